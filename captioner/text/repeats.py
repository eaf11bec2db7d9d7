"""Runs of words that follow themselves at once ("on a plate on a plate"), as recurrent networks write them."""

import re

_WORDS = re.compile(r"\w+|[^\w\s]")
_SHORT = 3  # letters of a word that may well stand twice: "Frauen, die die Straße", "nous nous"


def repeats_itself(text: str) -> bool:
    """Whether a run of several words, or one word of more than three letters, stands twice in a row."""
    words = _WORDS.findall(text)
    for size in range(1, len(words) // 2 + 1):
        same = 0
        for place in range(size, len(words)):
            same = same + 1 if words[place] == words[place - size] else 0
            if same == size and _tells(words[place - size + 1 : place + 1]):
                return True
    return False


def _tells(run: list[str]) -> bool:
    if len(run) == 1:
        return run[0].isalpha() and len(run[0]) > _SHORT
    return any(word.isalpha() for word in run)
