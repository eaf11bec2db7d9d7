"""Settings of glibc's heap, which have no effect where the C library is another."""

import contextlib
import ctypes
import threading
import time

# Parameters of mallopt, from glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8
_PAD = 100_000_000  # bytes that the heap grows by at a time
_TRIMMED = 15.0  # seconds


def share_arenas(count: int) -> None:
    """Have all threads share so many arenas.

    By itself nearly each has its own, which keeps the most that its thread ever needed.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, count)


def keep_freed() -> None:
    """Keep memory that was freed for the next tensors, instead of giving it back to the system at once.

    A training step asks for the same large tensors again and again. Each would come from the system as new pages, which
    it has to fill with zeros: half of the time of fine-tuning a CNN on a CPU. Now and then what is free is given back,
    since the heap would otherwise grow by half in a hundred steps, over holes in which nothing fits.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        mallopt, trim = library.mallopt, library.malloc_trim
        for parameter, value in ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, -1), (_TOP_PAD, _PAD)):
            mallopt(parameter, value)
        threading.Thread(target=_give_back, args=(trim,), daemon=True, name="trim").start()


def _give_back(trim: "ctypes._NamedFuncPointer") -> None:
    while True:
        time.sleep(_TRIMMED)
        trim(0)
