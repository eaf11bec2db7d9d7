"""A video file opened by FFmpeg (through PyAV): its packets, decoded pictures and times, and what is wrong with it."""

import io
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import av
import numpy as np
from av.error import FFmpegError
from av.stream import Discard, Disposition

from captioner.errors import VideoError
from captioner.vision.images import MAX_PIXELS, Pixels
from captioner.vision.joined import FORMATS, OneClock, begins_anew
from captioner.vision.motion_photo import is_motion, read_clip

Skip = Literal["DEFAULT", "NONREF"]

_FOREVER = 1e9  # seconds
_LONGEST = 1e6  # seconds; who says more is damaged
_MISSING = 0.5  # seconds, and 2 % of the length, that a file may be shorter than it says
_REORDERED = 8  # frames, at most, from when one is decoded to when it is shown
# formats that hold their own content; playlists (HLS, DASH, SDP ...) name other files, which nobody asked to open
_FORMATS = (
    "mov,matroska,avi,mpeg,mpegts,mpegvideo,asf,flv,live_flv,ogg,gif,apng,avif,webp,h261,h263,h264,hevc,vvc,evc,av1,obu,"
    "ivf,mjpeg,m4v,dv,mxf,gxf,nut,nsv,rm,swf,wtv,amv,vc1,cavsvideo,avs2,avs3,dirac,dnxhd,yuv4mpegpipe,mp3,aac,ac3,flac,"
    "wav,aiff,amr,caf"
)
_COVER = Disposition.attached_pic  # the picture of a song
# titles of any encoding must not stop a file from being read, which PyAV sees to by itself from 19 on
_TITLES: dict[str, Any] = {} if int(av.__version__.partition(".")[0]) >= 19 else {"metadata_errors": "replace"}


@dataclass(frozen=True)
class DecodedFrame:
    """A decoded frame.

    Attributes:
        time: when it is shown, in seconds from the file's beginning.
        frame: PyAV's frame.
    """

    time: float
    frame: Any

    def pixels(self, size: tuple[int, int] | None = None) -> Pixels:
        """RGB (height, width, 3), turned as the file says.

        Args:
            size: (height, width) to shrink to, if both sides shrink: while colours are converted it costs least.
        """
        quarters = round(self.frame.rotation / 90) % 4
        height, width = (size or (0, 0))[:: -1 if quarters % 2 else 1]
        smaller: dict[str, Any] = {}
        if size is not None and height < self.frame.height and width < self.frame.width:
            smaller = {"height": height, "width": width, "interpolation": "AREA"}
        pixels: Pixels = self.frame.to_ndarray(format="rgb24", threads=1, **smaller)
        return np.ascontiguousarray(np.rot90(pixels, quarters)) if quarters else pixels


class Container:
    """An open video file; times are those of its timestamps, from its beginning on.

    Args:
        path: of the file.
        threads: that decode.
        max_pixels: of a frame; a file that claims larger ones is refused.

    Attributes:
        start: when the first frame is shown, 0 but for odd files.
        interval: usual seconds from one frame to the next.
        reached: the latest moment whose data have been read.
        damaged: whether something could not be decoded.
        timed: whether the file says when frames are shown; AVI says only when they are decoded, bare streams nothing.

    Raises:
        VideoError: the file is missing or no video, or its frames are too large.
    """

    def __init__(self, path: Path | str, threads: int = 1, max_pixels: int = MAX_PIXELS) -> None:
        self.path, self.threads, self.max_pixels = path, threads, max_pixels
        self.damaged = False
        self.skip: Skip = "DEFAULT"
        self._joined = False  # whether several recordings lie behind one another
        self._delay = 0.0
        self._container: Any = None
        self._inside = read_clip(path) if is_motion(path) else None
        self.rewind()

    def close(self) -> None:
        """Close the file."""
        if self._container is not None:
            self._container.close()

    def rewind(self) -> None:
        """Open the file afresh, which goes back to the beginning whatever its format."""
        self.close()
        self.reached = -math.inf
        self._container = self._open()
        videos = [stream for stream in self._container.streams.video if not stream.disposition & _COVER]
        if not videos:
            sound = bool(self._container.streams.audio)
            self.close()
            raise self.error("no video in it, only sound" if sound else "no video in it")
        self._stream: Any = videos[0]
        self._read_all(False)
        self._tick = float(self._stream.time_base)  # of arithmetic for every packet; fractions are slow
        context = self._stream.codec_context
        if context is None:
            self.close()
            raise self.error("its video is in a format that cannot be decoded")
        self.require_size(context.width, context.height)
        context.thread_count, context.thread_type = self.threads, "AUTO"
        rate = self._stream.average_rate or self._stream.guessed_rate
        self.interval = 1 / float(rate) if rate and 0.01 < rate < 1000 else 0.04
        self.timed = self._container.format.name != "avi" and self._stream.start_time is not None
        # players count from where the first stream begins
        first = self._stream.start_time
        self._origin = (self._container.start_time or 0) / av.time_base if first is not None else 0.0
        self.start = max(0.0, self._seconds(first) - self._origin) if first is not None else 0.0

    def seek(self, time: float) -> bool:
        """Go on at the last key frame that the file lists before a moment; False where it cannot be sought in."""
        self.reached = -math.inf
        if self._stream.start_time is None or self._joined:  # no times, or the same ones again
            return False
        try:
            self._container.seek(self._stamp(time), stream=self._stream)
        except FFmpegError:
            return False
        return True

    def next_key(self, time: float) -> bool | None:
        """Whether a key frame that has not been reached is listed before a moment; None if no list goes so far."""
        entries = self._stream.index_entries
        place = entries.search_timestamp(self._stamp(time))
        if place >= 0 and self._seconds(entries[place].timestamp) - self._origin > self.reached:
            return True
        listed = len(entries) > 0 and self._seconds(entries[len(entries) - 1].timestamp) - self._origin >= time
        return False if listed else None

    def pictures(self) -> Iterator[DecodedFrame]:
        """Decoded frames from here on, in the order in which they are shown; what is damaged is passed over."""
        last, clock = -math.inf, OneClock(self.interval)
        for packet in self._packets():
            # frames that no other is predicted from need not be decoded
            self._stream.codec_context.skip_frame = self.skip if self.timed else "DEFAULT"
            try:
                frames = packet.decode()
            except FFmpegError:
                self.damaged = True
                continue
            for frame in frames:
                self.damaged |= frame.is_corrupt
                stamp = frame.pts if self.timed and frame.pts is not None else frame.dts
                if stamp is not None:
                    time = self._seconds(stamp) - self._origin - self._delay
                    last = max(last, clock(time) if self._joined else time)
                else:
                    last = max(last + self.interval, 0.0)
                yield DecodedFrame(last, frame)

    def count_from(self, first: DecodedFrame) -> DecodedFrame:
        """Let a file that does not say when frames are shown begin with this one."""
        if not self.timed:
            self._delay += first.time - self.start
        return DecodedFrame(first.time if self.timed else self.start, first.frame)

    def find_end(self) -> tuple[float, float | None]:
        """When the last frame ends, by the data and not by the header, and the header's claim if that is not there."""
        end = self._listed_end() or self._measure()
        if end is None or end > _LONGEST:
            self.rewind()
            end = min(_LONGEST, self.interval * sum(packet.size > 0 for packet in self._packets()))
        if self._container.format.name in FORMATS:
            size = os.path.getsize(self.path)
            self._joined = begins_anew(self._container, size, lambda: map(self._end_of, self._packets()), end)
            if self._joined:
                self.rewind()
                end = max(map(OneClock(self.interval), map(self._end_of, self._packets())))
            return end, None
        claimed = self._seconds(self._stream.duration or 0)
        of_all = not claimed
        if of_all:
            claimed = (self._container.duration or 0) / av.time_base
            if "matroska" in self._container.format.name:  # whose header counts from zero, wherever the file begins
                claimed -= self._origin
        enough = claimed * 0.98 - _MISSING
        if end < enough and of_all:  # the longest stream may be the sound
            self._read_all(True)
            longest = self._measure() or 0.0
            self._read_all(False)
            return end, claimed if longest < enough else None
        return end, claimed if end < enough else None

    def check(self, picture: DecodedFrame) -> None:
        """Refuse a frame that is too large.

        Raises:
            VideoError: it is.
        """
        self.require_size(picture.frame.width, picture.frame.height)

    def require_size(self, width: int, height: int) -> None:
        """Refuse frames that are too large.

        Raises:
            VideoError: they are.
        """
        if width * height > self.max_pixels:
            self.close()
            raise self.error(
                f"too large ({width} x {height} pixels; --max-pixels, now {self.max_pixels:,}, sets the limit)"
            )

    def error(self, reason: str) -> VideoError:
        """An error about this file."""
        return VideoError(f"{self.path}: {reason}")

    def _open(self) -> Any:
        head = _head(self.path) if self._inside is None else self._inside[:12]
        try:
            # the prefix and the lists keep names and contents from opening anything but this file
            source = "file:" + os.fspath(self.path) if self._inside is None else io.BytesIO(self._inside)
            options = {"protocol_whitelist": "file", "format_whitelist": _FORMATS}
            return av.open(source, options=options, **_TITLES)
        except (FFmpegError, OSError) as error:
            if head[4:8] == b"ftyp":
                raise self.error("the file ends too soon (its index is missing)") from error
            raise self.error("not a video") from error

    def _read_all(self, all_streams: bool) -> None:
        """Whether packets of sound and the like are read too."""
        for stream in self._container.streams:
            stream.discard = Discard.default if all_streams or stream is self._stream else Discard.all
        self._streams = list(self._container.streams) if all_streams else [self._stream]

    def _packets(self) -> Iterator[Any]:
        """What is in the file from here on, until it ends or cannot be read."""
        try:
            for packet in self._container.demux(self._streams):
                stamp = packet.dts if packet.dts is not None else packet.pts
                if stamp is not None and packet.stream_index == self._stream.index:
                    self.reached = self._seconds(stamp) - self._origin
                yield packet
        except (FFmpegError, IndexError):  # the latter from PyAV, on streams that damage has made up
            self.damaged = True

    def _listed_end(self) -> float | None:
        """The header's claim, where the file's list of frames reaches as far and lies within the file."""
        entries = self._stream.index_entries
        if not len(entries) or self._stream.duration is None:
            return None
        last = entries[len(entries) - 1]
        size = os.path.getsize(self.path) if self._inside is None else len(self._inside)
        end = self.start + self._seconds(self._stream.duration)
        near = abs(self._seconds(last.timestamp) - self._origin + self.interval - end) < _REORDERED * self.interval
        return end if near and last.pos + last.size <= size else None

    def _measure(self) -> float | None:
        """When the last packet ends: of the file's last ones, or of all where it cannot be sought in."""
        end = -math.inf
        if self.seek(_FOREVER):
            end = max(map(self._end_of, self._packets()), default=end)
        if end == -math.inf and self.seek(0.0):
            end = max(map(self._end_of, self._packets()), default=end)
        return end if end > -math.inf else None

    def _end_of(self, packet: Any) -> float:
        if packet.pts is None or not packet.size:
            return -math.inf
        length = float(packet.duration * packet.time_base) if packet.duration else self.interval
        return float(packet.pts * packet.time_base) - self._origin + length

    def _seconds(self, ticks: int) -> float:
        return ticks * self._tick

    def _stamp(self, time: float) -> int:
        return int((max(time, self.start) + self._origin) / self._tick)


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
