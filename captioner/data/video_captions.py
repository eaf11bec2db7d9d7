"""Captioned clips: JSON files in the form of MSR-VTT's, which copies of MSVD have too, and a folder of clips.

    {"videos": [{"video_id": "video0", "split": "train"}, ...],
     "sentences": [{"video_id": "video0", "caption": "a man is singing"}, ...]}

Other keys are passed over. A clip is the video file in the folder, at any depth, that is called as the id but for
its suffix.
"""

from collections import defaultdict
from pathlib import Path
from typing import Any

from captioner.data.caption_forms.entries import Entry
from captioner.data.caption_forms.json_files import read_json
from captioner.data.captions import CaptionSet, assemble
from captioner.data.splits import SPLITS, Split
from captioner.errors import DataError
from captioner.vision.video import VIDEO_SUFFIXES


def read_video_captions(path: Path, clips: Path, *, allow_missing: bool = False) -> CaptionSet:
    """Read captioned clips.

    Args:
        path: the JSON file, or a zip file that holds one.
        clips: folder of the video files.
        allow_missing: go on without the clips that are not there.

    Returns:
        the clips; `file_name` is a path relative to `clips`. A video without `split` is for training.

    Raises:
        DataError: the file is not of this form, or clips are missing.
    """
    content = read_json(path)
    captions: dict[str, list[str]] = defaultdict(list)
    splits: dict[str, Split] = {}
    try:
        for video in content["videos"]:
            splits[str(video["video_id"])] = _split(video.get("split", "train"), path)
        for sentence in content["sentences"]:
            captions[str(sentence["video_id"])].append(sentence["caption"])
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: not captions of clips, which have videos (video_id, split) and sentences (video_id, caption) "
            f"({type(error).__name__}: {error})."
        ) from error
    if not all(isinstance(caption, str) for several in captions.values() for caption in several):
        raise DataError(f"{path}: a caption is not a text.")
    strangers = [video for video in captions if video not in splits]
    if strangers:
        raise DataError(f"{path}: sentences of {len(strangers)} videos that are not listed, such as {strangers[0]}.")
    files = _files(clips)
    missing = [video for video in splits if video not in files]
    if missing and (not allow_missing or len(missing) == len(splits)):
        raise DataError(
            f"{path}: {len(missing)} of {len(splits)} clips not found in {clips}, such as {missing[0]}.mp4; add them, "
            "or set data.allow_missing=true to train without them."
        )
    there = [(video, split) for video, split in splits.items() if video in files]
    return assemble(
        (Entry(files[video], tuple(captions[video]), split, number) for number, (video, split) in enumerate(there)),
        path,
    )


def _split(name: Any, path: Path) -> Split:
    if name not in SPLITS:
        raise DataError(f"{path}: a video has split {name!r}; known are train, validate, val and test.")
    return SPLITS[name]


def _files(folder: Path) -> dict[str, str]:
    """Video files by their names without suffixes."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of clips.")
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
    return {path.stem: str(path.relative_to(folder)) for path in found}
