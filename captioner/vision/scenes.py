"""Dividing a clip into segments, each with a few of its frames: of equal length, at scene cuts, or both.

A cut is where the colours change at once: the Hellinger distance of two frames' histograms of hue, saturation and
value (Lienhart, 1999, compares such measures). The clip is read once, and memory does not grow with its length. Cuts
are where a frame's time stamp says that it is shown, so they are right at any frame rate, slide shows included.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

import cv2
import numpy as np

from captioner.vision.images import Pixels, resize
from captioner.vision.video import Frame, Video, instants, windows

if TYPE_CHECKING:
    from captioner.vision.container import DecodedFrame
    from captioner.vision.frame_files import StillFrame

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
    start = 0.0
    colours: Pixels | None = None
    kept = _Kept(count, see)
    passed: list[DecodedFrame | StillFrame] = []

    def full(time: float) -> Iterator[Segment[Sample]]:
        """The segments of `every` seconds that are over at a moment; whatever is shown lasts into the next one."""
        nonlocal start, kept
        while every is not None and time - start >= every and video.duration - start >= 1.5 * every:
            yield Segment(start, start + every, kept.evenly_spaced())
            start, kept = start + every, _Kept(count, see, kept.latest)

    for frame in video.frames(instants(0.0, video.duration, rate=_RATE), passed=passed):
        last, colours = colours, _colours(frame.pixels)
        cut = frame.time
        if last is not None and _apart(last, colours) > CUT:
            cut = _first_of_scene(passed, last, colours).time
            yield from full(cut)
            if cut - start >= _SHORTEST:
                yield Segment(start, cut, kept.evenly_spaced())
                start, kept = cut, _Kept(count, see)
        yield from full(frame.time)
        kept.add(frame)
        passed.clear()
    yield from full(video.duration)
    yield Segment(start, video.duration, kept.evenly_spaced())


def _first_of_scene(
    passed: "Sequence[DecodedFrame | StillFrame]", last: Pixels, colours: Pixels
) -> "DecodedFrame | StillFrame":
    """Of the frames between two that were looked at, the first that resembles the later one more."""
    first, end = 0, len(passed) - 1
    while first < end:
        middle = (first + end) // 2
        between = _colours(passed[middle].pixels((_SIDE, _SIDE)))
        if _apart(between, colours) < _apart(between, last):
            end = middle
        else:
            first = middle + 1
    return passed[end]


def _colours(pixels: Pixels) -> Pixels:
    hsv = cv2.cvtColor(resize(pixels, _SIDE, _SIDE), cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256])
    return np.asarray(counts / counts.sum())


def _apart(one: Pixels, other: Pixels) -> float:
    return float(cv2.compareHist(one, other, cv2.HISTCMP_HELLINGER))


class _Kept(Generic[Sample]):
    """Evenly spread frames of a segment whose length is not known yet: twice as many as wanted, at most.

    Args:
        count: how many are wanted.
        see: makes of a frame what is kept of it.
        shown: what is shown when the segment begins, which is all there is of it if no other frame follows.
    """

    def __init__(self, count: int, see: Callable[[Frame], Sample], shown: Frame | None = None) -> None:
        self.count, self.see, self.latest = count, see, shown
        self.step, self.passed = 1, 0
        self.frames: list[Sample] = []

    def add(self, frame: Frame) -> None:
        self.latest = frame
        if self.passed % self.step == 0:
            self.frames.append(self.see(frame))
            if len(self.frames) == 2 * self.count:
                self.frames = self.frames[::2]
                self.step *= 2
        self.passed += 1

    def evenly_spaced(self) -> list[Sample]:
        if not self.frames and self.latest is not None:
            return [self.see(self.latest)]
        count = min(self.count, len(self.frames))
        return [self.frames[(2 * place + 1) * len(self.frames) // (2 * count)] for place in range(count)]
