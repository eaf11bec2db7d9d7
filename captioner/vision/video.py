"""Frames of video files at chosen instants, upright and in RGB, at as little decoding as the file allows.

FFmpeg decodes (through PyAV). Time is always that of timestamps, never a count of frames times a rate, so variable
frame rates need no special care. Between two instants nothing is converted to RGB, frames that no other is predicted
from are not decoded where the instants lie far apart, and stretches are jumped over where a key frame follows.
"""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Discard, Disposition
from numpy.typing import NDArray

from captioner.errors import VideoError
from captioner.vision.images import Pixels

VIDEO_SUFFIXES = frozenset(
    {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp"}
    | {".ogv", ".vob"}
)
"""What counts as a clip when a folder is listed."""

# a step of so many frames hides that only frames which others are predicted from are seen
_COARSE = 8
# key frames may be listed under the moment of decoding, which is a few frames before they are shown
_REORDERING = 0.25
# without a list of key frames, seeking pays from the longest usual distance of two of them on
_UNLISTED = 10.0
_MISSING = 0.5  # seconds, and 2 % of the length, that a file may be shorter than it says
_SAME = 1e-6  # seconds of rounding
_FOREVER = 1e9  # seconds
_Skip = Literal["DEFAULT", "NONREF"]
_COVER = Disposition.attached_pic  # the picture of a song


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
    with Video(path) as video:
        stop = video.duration if end is None else min(end, video.duration)
        frames, times = [], []
        for frame in video.frames(instants(start, stop, count=count, rate=rate)):
            frames.append(frame.pixels if transform is None else transform(frame.pixels))
            times.append(frame.time)
        return Clip(np.stack(frames), np.array(times, dtype=np.float64), video.duration, video.warning)


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


class Video:
    """An open video file. Reading forwards is cheap; memory does not grow with the length.

    Args:
        path: of the file.
        threads: that decode it; one each is best where several files are read side by side.

    Attributes:
        duration: in seconds, until the last frame's end; measured at the file's end, since headers err.
        start: when the first frame is shown, 0 but for odd files.

    Raises:
        VideoError: the file is missing, no video, or not one frame of it can be decoded.
    """

    def __init__(self, path: Path | str, *, threads: int = 1) -> None:
        self.path, self._threads = path, threads
        self._damaged = False
        self._skip: _Skip = "DEFAULT"
        self._shown: _Decoded | None = None  # the frame that is shown at the latest instant, and the one after it
        self._next: _Decoded | None = None
        self._open()
        try:
            said = self._seconds(self._stream.duration)
            self.duration = self._find_end()
            self._short = said if said is not None and said * 0.98 - _MISSING > self.duration else None
            self._land(self.start)
            if self._next is None:
                raise self._error("damaged; not one frame can be decoded" if self._damaged else "has no frames")
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
        self._container.close()

    @property
    def warning(self) -> str | None:
        """What has been found wrong with the file so far, or None."""
        if self._short is not None:
            return f"the file ends too soon ({self.duration:.1f} of {self._short:.1f} seconds could be read)"
        return "parts of the file are damaged" if self._damaged else None

    def frames(self, times: Sequence[float] | NDArray[np.float64]) -> Iterator[Frame]:
        """The frames that are shown at these instants, none twice; see `sample_frames` for which they are.

        Args:
            times: in seconds, ascending.
        """
        step = min(np.diff(times), default=math.inf)
        self._decode_only("NONREF" if step >= _COARSE * self._interval else "DEFAULT")
        given = None
        for time in map(float, times):
            self._go_to(time)
            frame = self._shown or self._next
            if frame is not None and frame is not given:
                given = frame
                yield Frame(frame.time, _upright(frame.picture))

    def _decode_only(self, skip: _Skip) -> None:
        """Choose which frames are decoded; those between the present two may have been passed over."""
        if skip == "DEFAULT" and self._skip != skip and self._shown is not None:
            self._land(self._shown.time)
        self._skip = self._stream.codec_context.skip_frame = skip

    def _go_to(self, time: float) -> None:
        """Make `_shown` the frame that is shown at an instant, or None before the first one."""
        before = self._shown is not None and self._shown.time > time + _SAME
        if before or self._may_jump(time):
            self._land(time)
        while self._next is not None and self._next.time <= time + _SAME:
            self._shown, self._next = self._next, next(self._decoder, None)

    def _may_jump(self, time: float) -> bool:
        """Whether decoding may begin at a key frame that has not been reached yet."""
        entries: Any = self._stream.index_entries
        place = entries.search_timestamp(self._stamp(time - _REORDERING))
        if place >= 0 and self._seconds_at(entries[place].timestamp) > self._reached:
            return True
        listed = len(entries) > 0 and self._seconds_at(entries[len(entries) - 1].timestamp) >= time
        return not listed and time - self._reached > _UNLISTED

    def _land(self, time: float) -> None:
        """Decode on from a key frame before an instant; where seeking misses it, from the beginning."""
        for back in (_REORDERING, 2.0, _UNLISTED):
            if not self._seek(time - back):
                break
            self._next = next(self._decoder, None)
            if self._next is not None and self._next.time <= max(time, self.start) + _SAME:
                return
        self._container.close()
        self._open()
        self._next = next(self._decoder, None)

    def _open(self) -> None:
        self._shown = self._next = None
        self._reached = -math.inf
        head = _head(self.path)
        try:
            # the prefix and the list keep names and contents from opening anything but this file
            options = {"protocol_whitelist": "file"}
            name = "file:" + os.fspath(self.path)
            self._container: Any = av.open(name, options=options, metadata_errors="replace")
        except (FFmpegError, OSError) as error:
            if head[4:8] == b"ftyp":
                raise self._error("the file ends too soon (its index is missing)") from error
            raise self._error("not a video") from error
        for stream in self._container.streams:
            stream.discard = Discard.all
        videos = [stream for stream in self._container.streams.video if not stream.disposition & _COVER]
        if not videos:
            self._container.close()
            raise self._error("no video in it, only sound" if self._container.streams.audio else "no video in it")
        self._stream: Any = videos[0]
        self._stream.discard = Discard.default
        context = self._stream.codec_context
        context.thread_count, context.thread_type = self._threads, "AUTO"
        context.skip_frame = self._skip
        rate = self._stream.average_rate or self._stream.guessed_rate
        self._interval = 1 / float(rate) if rate else 0.04
        first = self._stream.start_time
        # players count from where the first stream begins
        self._origin = (self._container.start_time or 0) / av.time_base if first is not None else 0.0
        self.start = max(0.0, self._seconds_at(first)) if first is not None else 0.0
        self._decoder = self._decode()

    def _seek(self, time: float) -> bool:
        """Go to the last key frame that the file lists before an instant, if it can be sought in."""
        self._shown = self._next = None
        self._reached = -math.inf
        try:
            self._container.seek(self._stamp(time), stream=self._stream)
        except FFmpegError:
            return False
        self._decoder = self._decode()
        return True

    def _decode(self) -> Iterator["_Decoded"]:
        """Frames from here on; what is damaged is passed over."""
        last = -math.inf
        for packet in self._packets():
            try:
                pictures = packet.decode()
            except FFmpegError:
                self._damaged = True
                continue
            for picture in pictures:
                stamp = picture.pts if picture.pts is not None else picture.dts
                time = self._seconds_at(stamp) if stamp is not None else max(last, -self._interval) + self._interval
                last = max(last, time)
                yield _Decoded(last, picture)

    def _packets(self) -> Iterator[Any]:
        """What is in the file from here on, until it ends or cannot be read."""
        try:
            for packet in self._container.demux(self._stream):
                stamp = packet.dts if packet.dts is not None else packet.pts
                if stamp is not None:
                    self._reached = self._seconds_at(stamp)
                yield packet
        except FFmpegError:
            self._damaged = True

    def _find_end(self) -> float:
        """When the last frame ends: from the last packets, or from all where the file cannot be sought in."""
        end, number = -math.inf, 0
        if self._seek(_FOREVER):
            end, _ = self._measure()
        if end == -math.inf:
            self._container.close()
            self._open()
            end, number = self._measure()
        return max(end, number * self._interval if end == -math.inf else 0.0)

    def _measure(self) -> tuple[float, int]:
        """When the last of the packets from here on ends, and how many there are."""
        end, number = -math.inf, 0
        for packet in self._packets():
            number += packet.size > 0
            if packet.pts is not None and packet.size:
                length = self._seconds(packet.duration) if packet.duration else self._interval
                end = max(end, self._seconds_at(packet.pts) + (length or 0))
        return end, number

    def _seconds(self, duration: int | None) -> float | None:
        return None if duration is None else float(duration * self._stream.time_base)

    def _seconds_at(self, stamp: int) -> float:
        return float(stamp * self._stream.time_base) - self._origin

    def _stamp(self, time: float) -> int:
        return int((max(time, self.start) + self._origin) / self._stream.time_base)

    def _error(self, reason: str) -> VideoError:
        return VideoError(f"{self.path}: {reason}")


@dataclass(frozen=True)
class _Decoded:
    time: float
    picture: Any


def _upright(picture: Any) -> Pixels:
    """RGB (height, width, 3) of a decoded picture, turned as the file says."""
    pixels: Pixels = picture.to_ndarray(format="rgb24", threads=1)
    quarters = round(picture.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels


def _head(path: Path | str) -> bytes:
    """The file's first bytes, or why there are none."""
    try:
        with open(path, "rb") as file:
            head = file.read(12)
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise VideoError(f"{path}: cannot be read ({reason})") from error
    if not head:
        raise VideoError(f"{path}: empty file")
    return head
