"""Settings of glibc's heap, which have no effect where the C library is another."""

import contextlib
import ctypes

# Parameters of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_PAD = 100_000_000  # bytes that the heap grows by at a time


def share_arenas(count: int) -> None:
    """Have all threads share so many arenas.

    By itself nearly each has its own, which keeps the most that its thread ever needed.
    """
    _set({_ARENA_MAX: count})


def keep_freed() -> None:
    """Keep memory that was freed for the next tensors, instead of giving it back to the system.

    A training step asks for the same large tensors again and again. Each would come from the system as new pages, which
    it has to fill with zeros: more than half of the time of fine-tuning a CNN on a CPU.
    """
    _set({_MMAP_MAX: 0, _TRIM_THRESHOLD: -1, _TOP_PAD: _PAD})


def _set(parameters: dict[int, int]) -> None:
    with contextlib.suppress(AttributeError, OSError, TypeError):
        mallopt = ctypes.CDLL(None).mallopt
        for parameter, value in parameters.items():
            mallopt(parameter, value)
