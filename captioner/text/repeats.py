"""Runs of words that follow themselves at once ("on a plate on a plate"), as recurrent networks write them."""

import re
from collections.abc import Iterator

_WORDS = re.compile(r"\w+|[^\w\s]")
_SHORT = 3  # letters of a word that may well stand twice: "Frauen, die die Straße"
_TWICE = frozenset(["nous", "vous"])  # longer ones that may
_LONGEST = 12  # words of a run


def repeats_itself(text: str) -> bool:
    """Whether a run of several words, or one word that languages do not write twice, stands twice in a row."""
    return any(map(_tells, _runs(_WORDS.findall(text))))


def repeats_more(text: str, source: str) -> bool:
    """Whether a translation repeats itself where the text that it was made from does not.

    A run of the text's allows one of the translation's, of a word more at the most.
    """
    told = sorted(len(run) for run in _runs(_WORDS.findall(text)) if _tells(run) and not _is_repeated(run))
    allowed = sorted(len(run) + 1 for run in _said_twice(source) if not _is_repeated(run))
    if len(told) > len(allowed):
        return True
    return any(size > most for size, most in zip(told, allowed[len(allowed) - len(told) :], strict=True))


def says_twice(text: str) -> bool:
    """Whether a run of words, or any word, stands twice in a row, so that a translation may do so too."""
    return bool(_said_twice(text))


def _said_twice(text: str) -> list[list[str]]:
    return [run for run in _runs(_WORDS.findall(text.lower())) if any(map(str.isalpha, run))]


def _runs(words: list[str]) -> Iterator[list[str]]:
    """Those that stand twice in a row."""
    for size in range(1, min(len(words) // 2, _LONGEST) + 1):
        same = 0
        for place in range(size, len(words)):
            same = same + 1 if words[place] == words[place - size] else 0
            if same == size:
                yield words[place - size + 1 : place + 1]


def _is_repeated(run: list[str]) -> bool:
    """Whether it is a shorter run several times."""
    return any(run[:size] * (len(run) // size) == run for size in range(1, len(run) // 2 + 1))


def _tells(run: list[str]) -> bool:
    if len(run) == 1:
        return run[0].isalpha() and len(run[0]) > _SHORT and run[0].lower() not in _TWICE
    return any(word.isalpha() for word in run)
