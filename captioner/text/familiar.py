"""Words that a translator has met too rarely to translate: it writes others in their place."""

import re
from collections import Counter
from collections.abc import Iterable

from captioner.text.unicode_words import is_alone

OFTEN_ENOUGH = 5
"""Sentences that a word has to occur in. A translator of Multi30k's 29,000 pairs writes 6 % of the nouns right that it
never met, 8 % of those that it met once or twice, 18 % at three or four times, 46 % at five to eight, and 78 % above 16
(captions of COCO in German: `benchmarks/nouns.py`, docs/experiments.md)."""

_WORD = re.compile(r"[^\W\d_]{2,}")


def familiar_words(sentences: Iterable[str]) -> set[str]:
    """The words that occur in at least `OFTEN_ENOUGH` sentences, in lower case."""
    counts = Counter(word for sentence in sentences for word in set(_words(sentence)))
    return {word for word, count in counts.items() if count >= OFTEN_ENOUGH}


def unfamiliar_words(text: str, translation: str, familiar: frozenset[str]) -> list[str]:
    """The words of a text, as it writes them, that are not familiar; a name that its translation repeats is left out.

    Args:
        text: that was translated. Scripts without spaces between words have none that could be told.
        translation: of it.
        familiar: words in lower case.
    """
    unknown = (word for word in _WORD.findall(text) if word.lower() not in familiar)
    unfamiliar = [word for word in unknown if not familiar.issuperset(_words(word))]
    if not unfamiliar:
        return []
    repeated = set(_words(translation))
    return list(dict.fromkeys(word for word in unfamiliar if not repeated.issuperset(_words(word))))


def _words(text: str) -> list[str]:
    words = _WORD.findall(text.lower())
    return words if text.isascii() else [word for word in words if not any(map(is_alone, word))]
