"""ROUGE-L (Lin, 2004) as the COCO scorer computes it: beta 1.2, best precision and best recall taken separately."""

from collections.abc import Iterable, Sequence

import numpy as np

from captioner.metrics.ngrams import Floats

_BETA = 1.2


def rouge_l(hypotheses: Iterable[Sequence[str]], references: Iterable[Sequence[Sequence[str]]]) -> Floats:
    """Score each hypothesis against its references.

    Args:
        hypotheses: N tokenised hypotheses. The official scorer sees an empty caption as one empty word; so should you.
        references: the tokenised references of each, at least one.

    Returns:
        (N,) scores between 0 and 1.
    """
    return np.array([_score(words, texts) for words, texts in zip(hypotheses, references, strict=True)], np.float64)


def _score(hypothesis: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    places: dict[str, int] = {}
    for place, word in enumerate(hypothesis):
        places[word] = places.get(word, 0) | 1 << place
    common = [_longest_common_subsequence(places, len(hypothesis), words) for words in references]
    precision = max(common) / len(hypothesis)
    recall = max(length / len(words) for length, words in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def _longest_common_subsequence(places: dict[str, int], length: int, words: Sequence[str]) -> int:
    """Length of the longest common subsequence, bit-parallel (Hyyro, 2004): one row of the table is one integer.

    Args:
        places: for each word of the first sentence, the bits of its places.
        length: words in the first sentence.
        words: the second sentence.
    """
    mask = row = (1 << length) - 1
    for word in words:
        if word in places:
            matched = row & places[word]
            row = (row + matched | row - matched) & mask
    return length - row.bit_count()
