"""Motion photos: JPEG files of phones with a clip of the seconds around the photo behind the picture.

The clip of `a.jpg` has a path of its own, `a.jpg/motion.mp4`.
"""

import os
from pathlib import Path

from captioner.errors import VideoError

NAME = "motion.mp4"
"""What a motion photo's clip is called."""

_MARKS = (b"MotionPhoto", b"MicroVideo")  # of Google's XMP, and of Samsung's trailer
_MARKED = 1 << 17  # bytes at the beginning and end in which a mark stands
_LARGEST = 1 << 29  # bytes of a photo's file


def has_clip(path: Path | str) -> bool:
    """Whether a JPEG file says that it is a motion photo, and a clip follows the picture."""
    try:
        with open(path, "rb") as file:
            head = file.read(_MARKED)
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _MARKED))
            marked = any(mark in part for mark in _MARKS for part in (head, file.read()))
            if not head.startswith(b"\xff\xd8") or not marked or size > _LARGEST:
                return False
            file.seek(0)
            return _start(file.read()) is not None
    except OSError:
        return False


def is_motion(path: Path | str) -> bool:
    """Whether a path is that of the clip in a motion photo."""
    folder, name = os.path.split(path)
    return name == NAME and os.path.isfile(folder)


def read_clip(path: Path | str) -> bytes:
    """The clip at such a path.

    Raises:
        VideoError: there is none.
    """
    try:
        data = Path(os.path.dirname(path)).read_bytes()
    except OSError as error:
        raise VideoError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    start = _start(data)
    if start is None:
        raise VideoError(f"{path}: no clip follows the photo")
    return data[start:]


def _start(data: bytes) -> int | None:
    """Where the clip begins: at the box `ftyp` after the picture's end."""
    found = data.rfind(b"ftyp")
    end = data.find(b"\xff\xd9")
    return found - 4 if 0 <= end < found - 4 else None
