"""Captioned clips: JSON files in the form of MSR-VTT's, which copies of MSVD have too, or any form that photos have.

    {"videos": [{"video_id": "video0", "split": "train"}, ...],
     "sentences": [{"video_id": "video0", "caption": "a man is singing"}, ...]}

Other keys are passed over. A clip is the video file in the folder, at any depth, that is called as the id but for
its suffix; in other forms, that is named with as much of its path as tells clips apart.
"""

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from captioner.data.caption_forms import Entry, find_captions
from captioner.data.caption_forms.json_files import read_json
from captioner.data.captions import CaptionSet, assemble
from captioner.data.names import Names
from captioner.data.splits import SPLITS, Split
from captioner.errors import DataError
from captioner.text.tokenization import PTB, Tokenization
from captioner.vision.video import is_clip_file


def read_video_captions(
    path: Path, clips: Path, *, allow_missing: bool = False, tokenization: Tokenization = PTB
) -> CaptionSet:
    """Read captioned clips.

    Args:
        path: MSR-VTT's JSON file, or a zip file that holds one, or whatever `caption_forms.find_captions` finds.
        clips: folder of the video files.
        allow_missing: go on without the clips that are not there.
        tokenization: of the captions.

    Returns:
        the clips; `file_name` is a path relative to `clips`. A video without a split is for training.

    Raises:
        DataError: there are no captions, or clips are missing.
    """
    entries = _read(path)
    files = _files(clips)
    names = Names({file: file for file in files})
    stems = defaultdict(list)
    for file in files:
        stems[Path(file).stem].append(file)
    places = [stems.get(entry.name) or names.find(entry.name, entry.name) for entry in entries]
    missing = [entry.name for entry, there in zip(entries, places, strict=True) if not there]
    if missing and (not allow_missing or len(missing) == len(entries)):
        raise DataError(
            f"{path}: {len(missing)} of {len(entries)} clips not found in {clips}, such as {missing[0]}; add them, or "
            "set data.allow_missing=true to train without them."
        )
    double = [(entry.name, there) for entry, there in zip(entries, places, strict=True) if len(there) > 1]
    if double:
        name, there = double[0]
        raise DataError(f"{path}: {name} may be {there[0]} or {there[1]}; give it with its folder.")
    found = [replace(entry, name=there[0]) for entry, there in zip(entries, places, strict=True) if there]
    return assemble(found, path, tokenization=tokenization)


def _read(path: Path) -> list[Entry]:
    """Clips with their captions, by their names."""
    content = None
    if path.suffix.lower() in (".json", ".zip"):
        content = read_json(path)
    if not isinstance(content, dict) or "sentences" not in content:
        if isinstance(content, dict) and "videos" in content:
            raise DataError(f"{path}: not captions of clips, which have videos (video_id, split) and sentences.")
        return list(find_captions(path).taken())
    captions: dict[str, list[str]] = defaultdict(list)
    splits: dict[str, Split] = {}
    try:
        for video in content["videos"]:
            name, split = str(video["video_id"]), _split(video.get("split", "train"), path)
            if splits.setdefault(name, split) != split:
                raise DataError(f"{path}: {name} is in the splits {splits[name]} and {split}; leave it in one.")
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
    return [Entry(video, tuple(captions[video]), split, place) for place, (video, split) in enumerate(splits.items())]


def _split(name: Any, path: Path) -> Split:
    if name not in SPLITS:
        raise DataError(f"{path}: a video has split {name!r}; known are train, validate, val and test.")
    return SPLITS[name]


def _files(folder: Path) -> list[str]:
    """Video files, GIFs and folders of numbered frames, by their paths in the folder."""
    if not folder.is_dir():
        raise DataError(f"{folder}: there is no such folder of clips.")
    found = sorted(path for path in folder.rglob("*") if is_clip_file(path))
    return [path.relative_to(folder).as_posix() for path in found]
