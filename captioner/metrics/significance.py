"""How sure a score is: bootstrap intervals, and paired tests of two systems on the same images.

Images are drawn with replacement (Efron and Tibshirani, 1993; Koehn, 2004). CIDEr-D's document frequencies stay those
of all images, as if they were given, so that its score is a mean like the others'.
"""

from dataclasses import dataclass

import numpy as np

from captioner.errors import DataError
from captioner.metrics.bleu import bleu
from captioner.metrics.ngrams import MAX_ORDER, Floats
from captioner.metrics.scores import Scores

RESAMPLES = 1000
_SEED = 12345  # fixed, so that a report can be made again
_BLOCK = 50_000  # images drawn at a time, which caches hold


@dataclass(frozen=True)
class Difference:
    """One metric of two systems.

    Attributes:
        difference: the first system's score less the other's.
        interval: its 95 % bootstrap interval.
        p_value: two-sided, of the difference being nothing but the choice of images.
    """

    difference: float
    interval: tuple[float, float]
    p_value: float


def bootstrap(scores: Scores, resamples: int = RESAMPLES) -> dict[str, Floats]:
    """Scores of resampled sets of images; the same resamples for all systems on equally many images.

    METEOR is left out: its total is not a function of its scores of images.

    Args:
        scores: of N images.
        resamples: how many sets to draw.

    Returns:
        (resamples,) totals for each metric.
    """
    number = len(scores.ids)
    means = [name for name in scores.per_image if not name.startswith("Bleu_") and name != "METEOR"]
    columns = [scores.per_image[name][:, None] for name in means]
    if scores.bleu_statistics is not None:
        columns.append(scores.bleu_statistics)
    if not columns:
        return {}
    table = np.concatenate(columns, axis=1)
    random = np.random.default_rng(_SEED)
    sums = np.empty((resamples, table.shape[1]))
    block = max(1, _BLOCK // number)
    for first in range(0, resamples, block):
        size = min(block, resamples - first)
        drawn = random.integers(0, number, (size, number))
        drawn += np.arange(size)[:, None] * number
        counts = np.bincount(drawn.ravel(), minlength=size * number).reshape(size, number)
        sums[first : first + size] = counts @ table
    totals = {name: sums[:, place] / number for place, name in enumerate(means)}
    if scores.bleu_statistics is not None:
        totals |= {f"Bleu_{order + 1}": row for order, row in enumerate(bleu(sums[:, len(means) :]).T[:MAX_ORDER])}
    return totals


def interval(totals: Floats) -> tuple[float, float]:
    """The 95 % percentile interval of resampled totals."""
    low, high = np.percentile(totals, [2.5, 97.5])
    return float(low), float(high)


def compare(scores: Scores, other: Scores, resamples: int = RESAMPLES) -> dict[str, Difference]:
    """Compare two systems on the same images, metric by metric.

    The p-value is that of the paired bootstrap: how often the differences of the resamples, moved to a mean of zero,
    are as large as the one observed.

    Raises:
        DataError: the systems were scored on different images.
    """
    if scores.ids != other.ids:
        raise DataError("two systems can be compared on the same images only.")
    ours, theirs = bootstrap(scores, resamples), bootstrap(other, resamples)
    differences = {}
    for name in (name for name in scores.totals if name in ours):
        drawn = ours[name] - theirs[name]
        observed = scores.totals[name] - other.totals[name]
        extreme = np.abs(drawn - drawn.mean()) >= abs(observed)
        differences[name] = Difference(observed, interval(drawn), float((extreme.sum() + 1) / (resamples + 1)))
    return differences
