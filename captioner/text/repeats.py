"""Runs of words that follow themselves at once ("on a plate on a plate"), as recurrent networks write them."""

import re
from collections.abc import Iterator

_WORDS = re.compile(r"\w+|[^\w\s]")
_SHORT = 3  # letters of a word that may well stand twice: "Frauen, die die Straße"
_TWICE = frozenset(["nous", "vous"])  # longer ones that may
_LONGEST = 12  # words of a run


def repeats_itself(text: str) -> bool:
    """Whether a run of several words, or one word that languages do not write twice, stands twice in a row."""
    words = _WORDS.findall(text)
    return any(_tells(run) for run in _runs(words))


def says_twice(text: str) -> bool:
    """Whether a run of words, or any word, stands twice in a row, so that a translation may do so too."""
    return any(any(word.isalpha() for word in run) for run in _runs(_WORDS.findall(text.lower())))


def _runs(words: list[str]) -> Iterator[list[str]]:
    """Those that stand twice in a row."""
    for size in range(1, min(len(words) // 2, _LONGEST) + 1):
        same = 0
        for place in range(size, len(words)):
            same = same + 1 if words[place] == words[place - size] else 0
            if same == size:
                yield words[place - size + 1 : place + 1]


def _tells(run: list[str]) -> bool:
    if len(run) == 1:
        return run[0].isalpha() and len(run[0]) > _SHORT and run[0].lower() not in _TWICE
    return any(word.isalpha() for word in run)
