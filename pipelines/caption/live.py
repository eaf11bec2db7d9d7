"""Live Photos and motion photos: a photo and the clip of the seconds around it are one item.

A Live Photo is two files of one name; in a motion photo the clip follows the picture.
"""

import os
import unicodedata
from collections.abc import Sequence

from captioner.errors import VideoError
from captioner.pipelines.folder.inputs import Inputs, identity
from captioner.vision.images import SUFFIXES
from captioner.vision.motion_photo import NAME, has_clip
from captioner.vision.video import Video

_SECONDS = 6.0  # of the longest such clip: phones keep one and a half before and after
_CLIPS = (".mov", ".mp4")
_JPEG = (".jpg", ".jpeg")


def leave_out_live_clips(found: Inputs, named: Sequence[str]) -> None:
    """Take the clips of Live Photos out of the inputs, unless they are named, and note how many.

    Args:
        found: the inputs; a clip of some seconds that is called like a photo beside it is that photo's.
        named: the command's arguments.
    """
    photos = {_stem(path) for path in found.paths if os.path.splitext(path)[1].lower() in SUFFIXES}
    kept = {identity(path) for path in named}
    live = {
        path
        for path in found.paths
        if path.lower().endswith(_CLIPS) and _stem(path) in photos and identity(path) not in kept and _is_short(path)
    }
    if live:
        found.paths = [path for path in found.paths if path not in live]
        clips = f"{len(live)} clip{'s' * (len(live) > 1)} of Live Photos"
        found.remarks.append(f"left out: {clips}, whose photos are captioned; --live takes them too")


def add_motion_clips(found: Inputs) -> None:
    """Put the clip of each motion photo behind it, as `a.jpg/motion.mp4`."""
    found.paths = [
        each
        for path in found.paths
        for each in ([path, os.path.join(path, NAME)] if path.lower().endswith(_JPEG) and has_clip(path) else [path])
    ]


def _stem(path: str) -> str:
    return unicodedata.normalize("NFC", os.path.splitext(path)[0]).casefold()


def _is_short(path: str) -> bool:
    try:
        with Video(path) as video:
            return video.duration <= _SECONDS
    except VideoError:  # its own row says what is wrong
        return False
