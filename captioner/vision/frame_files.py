"""Clips as folders of numbered pictures, one a frame, as data sets and video tools keep them."""

import math
import os
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from captioner.errors import ImageError, VideoError
from captioner.vision.images import MAX_PIXELS, SUFFIXES, Pixels, read, resize

RATE = 25.0
"""Frames a second, which a folder does not tell: what most video tools suppose."""

_NUMBERED = re.compile(r"(.*?)(\d+)(\.[^.]+)")
_PATTERN = re.compile(r"(.*)%0?\d*d(\.[^.]+)")  # as FFmpeg has it


def is_frames(path: Path | str) -> bool:
    """Whether a path means numbered frames: a folder, or a pattern such as `clip/%05d.jpg`."""
    if "%" not in os.path.basename(path) and _suffix(path) in SUFFIXES:
        return False  # a photo, of which there may be hundreds of thousands on a slow disk
    return os.path.isdir(path) or (_PATTERN.fullmatch(os.path.basename(path)) is not None and not os.path.exists(path))


def numbered_frames(path: Path | str) -> list[str]:
    """The frames of a folder or a pattern, by their numbers.

    A folder is a clip if it holds at least two pictures, all named alike but for their numbers; else this is empty.
    """
    folder, pattern = (os.fspath(path), None)
    if not os.path.isdir(path):
        folder, pattern = os.path.dirname(path) or ".", _PATTERN.fullmatch(os.path.basename(path))
    try:
        names = [name for name in os.listdir(folder) if not name.startswith(".") and _suffix(name) in SUFFIXES]
    except OSError:
        return []
    found = [match for name in names if (match := _NUMBERED.fullmatch(name))]
    if pattern is not None:
        found = [match for match in found if (match[1], match[3]) == (pattern[1], pattern[2])]
    elif len(found) < len(names) or len(found) < 2 or len({(match[1], match[3].lower()) for match in found}) > 1:
        return []
    return [os.path.join(folder, match[0]) for match in sorted(found, key=lambda match: (int(match[2]), match[0]))]


def _suffix(path: Path | str) -> str:
    return os.path.splitext(path)[1].lower()


class StillFrame:
    """A frame that is decoded when its pixels are asked for.

    Args:
        files: the clip.
        place: in it.
        time: when the frame is shown, in seconds.
    """

    def __init__(self, files: "FrameFiles", place: int, time: float) -> None:
        self.files, self.place, self.time = files, place, time

    def pixels(self, size: tuple[int, int] | None = None) -> Pixels:
        """RGB (height, width, 3), shrunk to `size` if both sides shrink; of a damaged frame the nearest sound one."""
        return self.files.decode(self.place, size)


class FrameFiles:
    """Numbered frames, with what `Video` asks of a container; every frame can be sought.

    Args:
        path: of the folder, or a pattern.
        max_pixels: of a frame; larger ones are refused.

    Attributes:
        start: 0, when the first frame is shown.
        interval: seconds from one frame to the next.
        reached: the latest moment that has been given.
        damaged: whether a frame could not be decoded.
        skip: which frames need not be decoded; here none is unless it is looked at.

    Raises:
        VideoError: there are no numbered frames.
    """

    def __init__(self, path: Path | str, max_pixels: int = MAX_PIXELS) -> None:
        self.path, self.max_pixels = path, max_pixels
        self.start, self.interval, self.reached = 0.0, 1 / RATE, -math.inf
        self.damaged = False
        self.skip = "DEFAULT"
        self._next = 0
        self._names = numbered_frames(path)
        if not self._names:
            raise self.error("no numbered frames in it (at least two pictures named alike but for their numbers)")

    def close(self) -> None:
        """Nothing is open."""

    def rewind(self) -> None:
        """Go back to the beginning."""
        self.seek(0.0)

    def seek(self, time: float) -> bool:
        """Go on at the frame that is shown at a moment."""
        self.reached = -math.inf
        self._next = min(max(0, int(time * RATE + 1e-6)), len(self._names) - 1)
        return True

    def next_key(self, time: float) -> bool:
        """Whether the frame of a moment has not been given yet."""
        return min(time, (len(self._names) - 1) / RATE) > self.reached

    def pictures(self) -> Iterator[StillFrame]:
        """Frames from here on."""
        while self._next < len(self._names):
            place = self._next
            self._next += 1
            self.reached = place / RATE
            yield StillFrame(self, place, place / RATE)

    def count_from(self, first: StillFrame) -> StillFrame:
        """Times are right already."""
        return first

    def find_end(self) -> tuple[float, None]:
        """When the last frame ends; nothing claims anything else."""
        return len(self._names) / RATE, None

    def check(self, picture: StillFrame) -> None:
        """Its size is looked at when it is decoded."""

    def decode(self, place: int, size: tuple[int, int] | None) -> Pixels:
        """A frame's pixels; see `StillFrame.pixels`.

        Raises:
            VideoError: no frame can be decoded, or it is too large.
        """
        for near in sorted(range(len(self._names)), key=lambda each: abs(each - place)):
            try:
                pixels = read(self._names[near], at_least=size, max_pixels=self.max_pixels).pixels
            except ImageError as error:
                if "--max-pixels" in str(error):
                    raise self.error(str(error).removeprefix(f"{self._names[near]}: ")) from error
                self.damaged = True
                continue
            smaller = size is not None and size[0] < pixels.shape[0] and size[1] < pixels.shape[1]
            return np.ascontiguousarray(resize(pixels, *size) if size is not None and smaller else pixels)
        raise self.error("not one frame can be decoded")

    def error(self, reason: str) -> VideoError:
        """An error about this clip."""
        return VideoError(f"{self.path}: {reason}")
