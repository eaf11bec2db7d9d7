"""Checksums by which pictures and clips that have changed are known, without reading all of large files.

Times of change do not tell: copying a data set sets them anew, and unpacking or synchronising it may set old ones.
"""

import os
import zlib
from collections.abc import Callable
from pathlib import Path

_PLAIN = (".bmp", ".dib", ".pbm", ".pgm", ".pnm", ".ppm", ".tif", ".tiff", ".avi")
"""Files, perhaps not compressed, in which a small change may leave size, beginning and end as they were."""
_ENDS = 8192  # bytes
_PLACES = 16
"""Of a large file, at which it is read besides: clips of frames of one size may begin and end alike, in black."""
_BLOCK = 1 << 20


def checksum(read: Callable[[int, int], bytes], size: int, name: str) -> int:
    """Of a file's first and last bytes, of some on the way in a large one, or of all where these do not tell.

    Args:
        read: gives bytes of it, by offset and count.
        size: of it.
        name: of it, whose end says what it is.
    """
    value = zlib.crc32(read(0, min(size, _ENDS)))
    if name.lower().endswith(_PLAIN):
        for start in range(_ENDS, size, _BLOCK):
            value = zlib.crc32(read(start, min(_BLOCK, size - start)), value)
    elif size > _ENDS:
        start = max(_ENDS, size - _ENDS)
        value = zlib.crc32(read(start, size - start), value)
        for place in range(1, _PLACES) if size > _BLOCK else ():
            value = zlib.crc32(read(size * place // _PLACES, _ENDS // 2), value)
    return value


def stamp(path: Path | str) -> tuple[int, int, int]:
    """Size, time of change in nanoseconds and checksum of a file, or of a clip's numbered frames together.

    Raises:
        OSError: it cannot be read.
    """
    if not os.path.isdir(path) and "%" not in os.path.basename(path):
        return _stamp(path)
    from captioner.vision.frame_files import is_frames, numbered_frames  # what takes no frames does without OpenCV

    if not is_frames(path):
        return _stamp(path)
    frames = numbered_frames(path)
    if not frames:
        raise FileNotFoundError(path)
    sizes, times, sums = zip(*map(_stamp, frames), strict=True)
    return sum(sizes), max(times), zlib.crc32(repr(sums).encode())


def fingerprint(path: Path | str, span: tuple[int, int] | None = None, name: str = "") -> str:
    """A short text that changes when a file's content does, and not when the file is copied to another place.

    Args:
        path: of the file or clip, or of an archive in which it lies unpacked.
        span: offset and bytes of it there.
        name: of it there.
    """
    try:
        size, _, found = stamp(path) if span is None else _stamp(path, span, name)
    except OSError:  # which is said when it is read
        return f"unreadable-{zlib.crc32(os.fsencode(os.path.abspath(path))):08x}"
    return f"{size}-{found:08x}"


def _stamp(path: Path | str, span: tuple[int, int] | None = None, name: str = "") -> tuple[int, int, int]:
    with open(path, "rb", buffering=0) as file:
        status = os.fstat(file.fileno())
        first, size = span or (0, status.st_size)

        def read(start: int, count: int) -> bytes:
            file.seek(first + start)
            return file.read(count)

        return size, status.st_mtime_ns, checksum(read, size, name or os.fspath(path))
