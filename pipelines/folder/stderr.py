"""Standard error kept for a command alone, while libraries written in C would speak on it too."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def own_stderr(*, silence_python: bool = False) -> Iterator[TextIO]:
    """Let nothing that libraries say of their inner affairs reach the terminal.

    Args:
        silence_python: what Python code prints to standard error goes nowhere too, but for what is written to the
            stream that this gives.

    Yields:
        the standard error of before.
    """
    try:
        number = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):  # not a real file, so not where libraries written in C speak
        yield sys.stderr
        return
    python = sys.stderr
    saved = os.dup(number)
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,
        open(saved, "w", encoding=python.encoding, errors=python.errors) as ours,
    ):
        try:
            os.dup2(nowhere.fileno(), number)
            sys.stderr = nowhere if silence_python else ours
            yield ours
        finally:
            sys.stderr = python
            os.dup2(saved, number)
