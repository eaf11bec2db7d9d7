"""Frames of video files at chosen instants, upright and in RGB, at as little decoding as the file allows.

FFmpeg decodes (through PyAV). Time is always that of timestamps, never a count of frames times a rate, so variable
frame rates need no special care. Between two instants nothing is converted to RGB, frames that no other is predicted
from are not decoded where the instants lie far apart, and stretches are jumped over where a key frame follows.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from captioner.vision.frame_files import FrameFiles, StillFrame, is_frames, numbered_frames
from captioner.vision.images import MAX_PIXELS, Pixels, Transform, resize

if TYPE_CHECKING:
    from captioner.vision.container import DecodedFrame, Skip

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"}
    | {".ogv", ".vob"}
)
"""What counts as a clip when a folder is listed."""

CLIP_SUFFIXES = VIDEO_SUFFIXES | {".gif"}
"""What counts as a clip where no photos are looked for."""

# a step of so many frames hides that only frames which others are predicted from are seen
_COARSE = 8
# key frames may be listed under the moment of decoding, which is a few frames before they are shown
_REORDERING = 0.25
# without a list of key frames, seeking pays from the longest usual distance of two of them on
_UNLISTED = 10.0
_PASSED = 32  # frames kept on the way from one instant to the next
_SAME = 1e-6  # seconds of rounding


@dataclass(frozen=True)
class Frame:
    """A frame.

    Attributes:
        time: when it is shown, in seconds from the beginning.
        pixels: upright RGB (height, width, 3).
    """

    time: float
    pixels: Pixels


@dataclass(frozen=True)
class Clip:
    """Frames of a clip.

    Attributes:
        frames: RGB (frames, height, width, 3), in order.
        times: (frames,) when each is shown, in seconds from the beginning.
        duration: of the whole file, in seconds.
        warning: what is wrong with the file although it could be read, or None.
    """

    frames: Pixels
    times: NDArray[np.float64]
    duration: float
    warning: str | None = None


def is_clip_file(path: Path) -> bool:
    """Whether there is a video file, a GIF or a folder of numbered frames at a path."""
    return bool(numbered_frames(path)) if path.is_dir() else path.suffix.lower() in CLIP_SUFFIXES and path.is_file()


def sample_frames(
    path: Path | str,
    count: int | None = None,
    rate: float | None = None,
    start: float = 0.0,
    end: float | None = None,
    transform: Callable[[Pixels], Pixels] | None = None,
) -> Clip:
    """Frames of a video file, evenly spread over a part of it.

    Each is the frame that is shown at its instant; no frame is given twice, so there are fewer than asked for where the
    file has fewer. Where the instants are 8 frames apart or more, it is the last frame before the instant that others
    are predicted from, which is at most a few frames older and much cheaper.

    Args:
        path: of the file.
        count: how many frames; the instants are the middles of as many equal parts.
        rate: or how many frames a second.
        start: of the part, in seconds.
        end: of the part; the file's end by default.
        transform: applied to each frame (height, width, 3).

    Raises:
        VideoError: the file is missing, no video, or not one frame of it can be decoded.
        ValueError: not exactly one of `count` and `rate` is given, or it is not positive.
    """
    if isinstance(transform, Transform):
        transform = transform.of_frames
    with Video(path, size=shrinks_to(transform)) as video:
        stop = video.duration if end is None else min(end, video.duration)
        frames, times = [], []
        for frame in video.frames(instants(start, stop, count=count, rate=rate)):
            frames.append(frame.pixels if transform is None else transform(frame.pixels))
            times.append(frame.time)
        return Clip(np.stack(frames), np.array(times, dtype=np.float64), video.duration, video.warning)


def clip_paths(clips: Path | str | Sequence[Path | str]) -> Sequence[Path | str]:
    """Paths of clips as a sequence, also where one path is given."""
    return [clips] if isinstance(clips, str | Path) else clips


def shrinks_to(transform: Callable[[Pixels], Pixels] | None) -> tuple[int, int] | None:
    """The (height, width) that frames may be shrunk to before a transform, if it would do nothing else."""
    return transform.size if isinstance(transform, Transform) and transform.crop == "squash" else None


def instants(start: float, end: float, *, count: int | None = None, rate: float | None = None) -> NDArray[np.float64]:
    """The middles of equal parts of a stretch of time: `count` of them, or `rate` a second and at least one.

    Raises:
        ValueError: not exactly one of `count` and `rate` is given, or it is not positive.
    """
    if (count is None) == (rate is None) or (count or rate or 0) <= 0:
        raise ValueError(f"give a positive count or a positive rate of frames, not {count} and {rate}")
    length = max(0.0, end - start)
    parts = count if count is not None else max(1, math.ceil(length * (rate or 0) - 1e-6))
    step = length / parts if rate is None else 1 / rate
    return np.minimum(start + (np.arange(parts) + 0.5) * step, max(start, end))


def windows(duration: float, every: float) -> list[tuple[float, float]]:
    """(start, end) of parts of `every` seconds; a last one of less than half that length joins the one before."""
    count = max(1, int(duration / every + 0.5))
    starts = [0.0, *(place * every for place in range(1, count))]
    return list(zip(starts, [*starts[1:], duration], strict=True))


class Video:
    """An open video file. Reading forwards is cheap; memory does not grow with the length.

    Args:
        path: of the file, or of a folder of numbered frames.
        threads: that decode it; one each is best where several files are read side by side.
        size: (height, width) to which frames are shrunk, if both sides shrink; cheaper here than afterwards.
        max_pixels: of a frame; files that claim larger ones are refused.

    Attributes:
        duration: in seconds, until the last frame's end; measured at the file's end, since headers err.
        start: when the first frame is shown, 0 but for odd files.

    Raises:
        VideoError: the file is missing, no video, or not one frame of it can be decoded.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        threads: int = 1,
        size: tuple[int, int] | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        from captioner.vision.container import Container  # what reads no clips need not wait for FFmpeg

        self._file: Any = FrameFiles(path, max_pixels) if is_frames(path) else Container(path, threads, max_pixels)
        self._size = size
        self._shape: tuple[int, int] | None = None
        self._shown: DecodedFrame | StillFrame | None = None  # the frame of the latest instant
        self._next: DecodedFrame | StillFrame | None = None  # and the one after it
        self._exact = True  # whether seeking has always led to where it should
        try:
            self.duration, self._claimed = self._file.find_end()
            self.start = self._file.start
            self._land(self.start)
            if self._next is None:
                raise self._file.error("not one frame can be decoded" if self._file.damaged else "has no frames")
            self._next = self._file.count_from(self._next)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Video":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._shown = self._next = None
        self._file.close()

    @property
    def warning(self) -> str | None:
        """What has been found wrong with the file so far, or None."""
        if self._claimed is not None:
            return f"the file ends too soon ({self.duration:.1f} of {self._claimed:.1f} seconds could be read)"
        return "parts of the file are damaged" if self._file.damaged else None

    def frames(
        self, times: Sequence[float] | NDArray[np.float64], *, passed: "list[DecodedFrame | StillFrame] | None" = None
    ) -> Iterator[Frame]:
        """The frames that are shown at these instants, none twice; see `sample_frames` for which they are.

        Args:
            times: in seconds, ascending; at least one.
            passed: a list that receives what was decoded on the way to each frame, that frame last; thinned out to at
                most 32.

        Raises:
            VideoError: where frames should be, not one can be decoded.
        """
        step = min(np.diff(times), default=math.inf)
        self._decode_only("NONREF" if step >= _COARSE * self._file.interval else "DEFAULT")
        given = None
        for time in map(float, times):
            self._go_to(time, passed if given is not None else None)
            picture = self._shown or self._next
            if self._next is None and picture is given:
                return  # nothing comes after the last frame
            if picture is not None and picture is not given:
                given = picture
                yield Frame(picture.time, self._pixels(picture))
        if given is None:
            raise self._file.error("not one frame can be decoded there")

    def _pixels(self, picture: "DecodedFrame | StillFrame") -> Pixels:
        """A frame in the size of the first one."""
        self._file.check(picture)  # streams may change their size
        pixels = picture.pixels(self._size)
        self._shape = self._shape or (pixels.shape[0], pixels.shape[1])
        return resize(pixels, *self._shape)

    def _decode_only(self, skip: "Skip") -> None:
        """Choose which frames are decoded; those between the present two may have been passed over."""
        before, self._file.skip = self._file.skip, skip
        if skip == "DEFAULT" and before != skip and self._shown is not None:
            self._land(self._shown.time)

    def _go_to(self, time: float, passed: "list[DecodedFrame | StillFrame] | None" = None) -> None:
        """Make `_shown` the frame that is shown at an instant, or None before the first one."""
        before = self._shown is not None and self._shown.time > time + _SAME
        if before or self._may_jump(time):
            self._land(time)
        while self._next is not None and self._next.time <= time + _SAME:
            self._shown, self._next = self._next, next(self._pictures, None)
            if passed is not None:
                passed.append(self._shown)
                if len(passed) > _PASSED:
                    del passed[:-1:2]

    def _may_jump(self, time: float) -> bool:
        """Whether decoding may begin at a key frame that has not been reached yet."""
        if not self._exact:
            return False
        key = self._file.next_key(time - _REORDERING)
        return time - self._file.reached > _UNLISTED if key is None else key

    def _land(self, time: float) -> None:
        """Decode on from a key frame before an instant; where seeking misses it, from the beginning."""
        self._shown = None
        for back in (_REORDERING, 2.0, _UNLISTED):
            if not self._file.seek(time - back):
                break
            self._restart()
            if self._next is not None and self._next.time <= max(time, self.start) + _SAME:
                return
        self._exact = False
        self._file.rewind()
        self._restart()

    def _restart(self) -> None:
        self._pictures = self._file.pictures()
        self._next = next(self._pictures, None)
