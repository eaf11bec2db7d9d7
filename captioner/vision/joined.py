"""Recordings that lie behind one another in a file (`cat a.ts b.ts`): their times begin anew, and are made to go on."""

import math
from collections.abc import Callable, Iterable
from typing import Any

from av.error import FFmpegError

FORMATS = ("mpegts", "mpeg")
"""What may be put behind one another; a header would tell the length of the first one, and these have none."""
_PLACES = 32  # of a file at which its times are looked at
_ANEW = 1.0  # seconds that times go back where another recording begins; frames out of order lie closer together


def begins_anew(container: Any, size: int, times: Callable[[], Iterable[float]], end: float) -> bool:
    """Whether times go back on the way, by a look at some places of the file, which takes milliseconds.

    Args:
        container: PyAV's, which is left anywhere.
        size: of the file in bytes.
        times: of packets from where the container is, minus infinity for those without one.
        end: when the file's last packet ends, by its own times.
    """
    latest = -math.inf
    for place in range(_PLACES):
        try:
            container.seek(size * place // _PLACES, unsupported_byte_offset=True)
        except FFmpegError:
            continue
        time = next((time for time in times() if time > -math.inf), latest)
        if time < latest - _ANEW:
            return True
        latest = max(latest, time)
    return end < latest - _ANEW


class OneClock:
    """Times of several recordings, each of which begins where the one before it ends.

    Args:
        interval: seconds from one frame to the next.
    """

    def __init__(self, interval: float) -> None:
        self._interval, self._before, self._latest = interval, 0.0, -math.inf

    def __call__(self, time: float) -> float:
        """The time of the next frame or packet, by its recording's own; minus infinity stays."""
        if -math.inf < self._before + time < self._latest - _ANEW:
            self._before = self._latest + self._interval - time
        self._latest = max(self._latest, self._before + time)
        return self._before + time
