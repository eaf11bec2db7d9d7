"""BLEU-1 to BLEU-4 (Papineni et al., 2002), the arithmetic of nltk's `corpus_bleu` made equal to the COCO scorer's.

Against nltk: precisions are (matches + 1e-15) / (n-grams + 1e-9), and a hypothesis of fewer than n words has no
n-grams, where nltk counts one. The reference length is the closest one, ties to the shorter.
"""

import numpy as np

from captioner.metrics.ngrams import MAX_ORDER, Floats, Hypotheses, Ints, References

_TINY, _SMALL = 1e-15, 1e-9  # the official scorer's constants, which keep an empty hypothesis at 0


def statistics(references: References, hypotheses: Hypotheses) -> Floats:
    """What BLEU is computed from; sums of rows are the statistics of a corpus.

    Args:
        references: of the images.
        hypotheses: N captions, counted by these references.

    Returns:
        (N, 10): matches for n = 1 to 4, n-grams for n = 1 to 4, caption length, closest reference length.
    """
    rows, lengths = hypotheses.rows, hypotheses.lengths
    table = np.zeros((len(rows), 2 * MAX_ORDER + 2))
    for order, counts in enumerate(hypotheses.counts):
        groups = references.groups[order]
        group, found = groups.find(rows[counts.sentence], counts.gram)
        most = np.maximum.reduceat(groups.count, groups.starts[:-1])[group[found]] if found.any() else 0
        table[:, order] = np.bincount(counts.sentence[found], np.minimum(counts.count[found], most), len(rows))
        table[:, MAX_ORDER + order] = np.maximum(lengths - order, 0)
    table[:, -2] = lengths
    table[:, -1] = _closest_lengths(references, rows, lengths)
    return table


def _closest_lengths(references: References, rows: Ints, lengths: Ints) -> Ints:
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
