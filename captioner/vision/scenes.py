"""Dividing a clip into segments, each with a few of its frames: of equal length, at scene cuts, or both.

A cut is where the colours change at once: the Hellinger distance of two frames' histograms of hue, saturation and
value (Lienhart, 1999, compares such measures). The clip is read once, and memory does not grow with its length.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import cv2
import numpy as np

from captioner.vision.images import Pixels, resize
from captioner.vision.video import Frame, Video, instants, windows

Sample = TypeVar("Sample")

CUT = 0.4
"""Distance, from 0 to 1, above which two frames are of different scenes."""

_RATE = 3.0  # frames a second in which cuts are looked for
_SHORTEST = 1.0  # seconds of a scene; what flashes up for less is part of the one before
_SIDE = 64  # pixels of the picture whose colours are counted
_BINS = (16, 4, 8)  # of hue, saturation and value


@dataclass(frozen=True)
class Segment(Generic[Sample]):
    """A part of a clip.

    Attributes:
        start: in seconds.
        end: in seconds.
        frames: what was made of its frames, in order; at least one.
    """

    start: float
    end: float
    frames: list[Sample]


def segments(
    video: Video, see: Callable[[Frame], Sample], count: int, *, every: float | None = None, scenes: bool = False
) -> Iterator[Segment[Sample]]:
    """Divide a clip.

    Args:
        video: the open clip.
        see: makes of a frame what is kept of it.
        count: frames of each segment, evenly spread; fewer where there are no more.
        every: seconds of a segment; a last one of less than half of it joins the one before.
        scenes: also begin a segment wherever the scene changes.

    Returns:
        the segments in order, or one of the whole clip if neither `every` nor `scenes` is given.
    """
    if scenes:
        yield from _scenes(video, see, count, every)
        return
    for start, end in windows(video.duration, every) if every else [(0.0, video.duration)]:
        frames = [see(frame) for frame in video.frames(instants(start, end, count=count))]
        yield Segment(start, end, frames)


def distance(one: Pixels, other: Pixels) -> float:
    """How different the colours of two RGB frames (height, width, 3) are, from 0 to 1."""
    return _apart(_colours(one), _colours(other))


def _scenes(video: Video, see: Callable[[Frame], Sample], count: int, every: float | None) -> Iterator[Segment[Sample]]:
    start = before = 0.0
    colours: Pixels | None = None
    kept = _Kept[Sample](count)
    for frame in video.frames(instants(0.0, video.duration, rate=_RATE)):
        last, colours = colours, _colours(frame.pixels)
        cut = last is not None and _apart(last, colours) > CUT and frame.time - start >= _SHORTEST
        full = every is not None and frame.time - start >= every and video.duration - frame.time >= every / 2
        if cut or full:
            # a cut lies somewhere between two frames that were looked at
            end = (before + frame.time) / 2 if cut else start + (every or 0.0)
            yield Segment(start, end, kept.evenly_spaced())
            start, kept = end, _Kept[Sample](count)
        kept.add(frame, see)
        before = frame.time
    yield Segment(start, video.duration, kept.evenly_spaced())


def _colours(pixels: Pixels) -> Pixels:
    hsv = cv2.cvtColor(resize(pixels, _SIDE, _SIDE), cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256])
    return np.asarray(counts / counts.sum())


def _apart(one: Pixels, other: Pixels) -> float:
    return float(cv2.compareHist(one, other, cv2.HISTCMP_HELLINGER))


class _Kept(Generic[Sample]):
    """Evenly spread frames of a segment whose length is not known yet: twice as many as wanted, at most."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.step, self.passed = 1, 0
        self.frames: list[Sample] = []

    def add(self, frame: Frame, see: Callable[[Frame], Sample]) -> None:
        if self.passed % self.step == 0:
            self.frames.append(see(frame))
            if len(self.frames) == 2 * self.count:
                self.frames = self.frames[::2]
                self.step *= 2
        self.passed += 1

    def evenly_spaced(self) -> list[Sample]:
        count = min(self.count, len(self.frames))
        return [self.frames[(2 * place + 1) * len(self.frames) // (2 * count)] for place in range(count)]
