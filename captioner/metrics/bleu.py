"""BLEU-1 to BLEU-4 (Papineni et al., 2002), the arithmetic of nltk's `corpus_bleu` made equal to the COCO scorer's.

Against nltk: precisions are (matches + 1e-15) / (n-grams + 1e-9), and a hypothesis of fewer than n words has no
n-grams, where nltk counts one. The reference length is the closest one, ties to the shorter.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from captioner.metrics.ngrams import MAX_ORDER, Floats, Ints, References, sentence_lengths

_TINY, _SMALL = 1e-15, 1e-9  # the official scorer's constants, which keep an empty hypothesis at 0


class Bleu:
    """BLEU of hypotheses against prepared references.

    Args:
        references: for each image id, its tokenised references; or these prepared as `References`.
    """

    def __init__(self, references: Mapping[Any, Sequence[Sequence[str]]] | References) -> None:
        self.references = references if isinstance(references, References) else References(references)

    def statistics(self, ids: Sequence[Hashable], hypotheses: Sequence[Sequence[str]]) -> Floats:
        """What BLEU is computed from; sums of rows are the statistics of a corpus.

        Args:
            ids: the image of each hypothesis.
            hypotheses: N tokenised hypotheses.

        Returns:
            (N, 10): matches for n = 1 to 4, n-grams for n = 1 to 4, hypothesis length, closest reference length.
        """
        rows, lengths = self.references.rows(ids), sentence_lengths(hypotheses)
        statistics = np.zeros((len(rows), 2 * MAX_ORDER + 2))
        for order, counts in enumerate(self.references.index.count(hypotheses)):
            groups = self.references.groups[order]
            group, found = groups.find(rows[counts.sentence], counts.gram)
            most = np.maximum.reduceat(groups.count, groups.starts[:-1])[group[found]] if found.any() else 0
            matches = np.minimum(counts.count[found], most)
            statistics[:, order] = np.bincount(counts.sentence[found], matches, len(rows))
            statistics[:, MAX_ORDER + order] = np.maximum(lengths - order, 0)
        statistics[:, -2] = lengths
        statistics[:, -1] = self._closest_lengths(rows, lengths)
        return statistics

    def _closest_lengths(self, rows: Ints, lengths: Ints) -> Ints:
        references = self.references
        number = references.number_of_references[rows]
        first = np.cumsum(number) - number
        within = np.arange(number.sum()) - np.repeat(first, number)
        length = references.lengths[np.repeat(references.first_reference[rows], number) + within]
        # one number orders by distance first, then by length
        ranked = np.abs(length - np.repeat(lengths, number)) << 32 | length
        return np.minimum.reduceat(ranked, first) & 0xFFFFFFFF if len(rows) else lengths


def bleu(statistics: Floats) -> Floats:
    """BLEU-1 to BLEU-4 from statistics.

    Args:
        statistics: (..., 10), of single hypotheses or summed over a corpus.

    Returns:
        (..., 4) between 0 and 1.
    """
    matches, guesses = statistics[..., :MAX_ORDER], statistics[..., MAX_ORDER : 2 * MAX_ORDER]
    precisions = (matches + _TINY) / (guesses + _SMALL)
    scores = np.cumprod(precisions, axis=-1) ** (1 / np.arange(1, MAX_ORDER + 1))
    ratio = (statistics[..., -2] + _TINY) / (statistics[..., -1] + _SMALL)
    with np.errstate(over="ignore"):  # an empty hypothesis: exp(-inf) = 0
        penalty = np.exp(np.minimum(0, 1 - 1 / ratio))
    return scores * penalty[..., None]
