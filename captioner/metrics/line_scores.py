"""How well lines were read: character and word error rates, lines read exactly, and what is taken for what.

Rates are over all lines together: edits divided by what the true texts hold, as OCR is scored everywhere. Intervals and
tests resample lines (Efron and Tibshirani, 1993).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein

from captioner.metrics.significance import RESAMPLES, Difference, interval
from captioner.text.alphabet import normalise

METRICS = {
    "CER": "character error rate",
    "WER": "word error rate",
    "accuracy": "lines read exactly",
    "alphanumeric": "lines whose letters and digits are right, in either case",
}
_SEED = 12345  # fixed, so that a report can be made again
# of each metric, the columns of the counts whose sums are divided
_RATIOS = {"CER": (0, 1), "WER": (2, 3), "accuracy": (4, 6), "alphanumeric": (5, 6)}


def alphanumeric(text: str) -> str:
    """The letters and digits of a text in lower case, which words on photographs are usually scored by."""
    return "".join(character for character in text.lower() if character.isalnum())


@dataclass(frozen=True)
class LineScores:
    """Scores of texts that were read.

    Attributes:
        counts: (lines, 7) character edits, characters, word edits, words, whether the line is right, whether its
            letters and digits are, and 1.
    """

    counts: NDArray[np.int64]

    @classmethod
    def of(cls, truths: Sequence[str], texts: Sequence[str]) -> "LineScores":
        """Score texts against what the pictures say, both in NFC and with single spaces."""
        rows = [_count(normalise(truth), normalise(text)) for truth, text in zip(truths, texts, strict=True)]
        return cls(np.array(rows, np.int64).reshape(-1, 7))

    @property
    def totals(self) -> dict[str, float]:
        """Each of `METRICS` over all lines."""
        return {name: float(value[0]) for name, value in _ratios(self.counts.sum(axis=0)[None]).items()}

    def intervals(self, resamples: int = RESAMPLES) -> dict[str, tuple[float, float]]:
        """Their 95 % bootstrap intervals."""
        return {name: interval(values) for name, values in _ratios(self._resampled(resamples)).items()}

    def compare(self, other: "LineScores", resamples: int = RESAMPLES) -> dict[str, Difference]:
        """The difference to another system's scores of the same lines, with a paired bootstrap test."""
        ours, theirs = _ratios(self._resampled(resamples)), _ratios(other._resampled(resamples))
        differences = {}
        for name, total in self.totals.items():
            drawn, observed = ours[name] - theirs[name], total - other.totals[name]
            # a tie as large as the difference that was seen must count, whatever the last bit of a float says
            extreme = int((np.abs(drawn - drawn.mean()) >= abs(observed) - 1e-12).sum())
            differences[name] = Difference(observed, interval(drawn), (extreme + 1) / (resamples + 1))
        return differences

    def _resampled(self, resamples: int) -> NDArray[np.int64]:
        """Sums of the counts of resampled lines; the same lines for every system on equally many."""
        draw = np.random.default_rng(_SEED)
        lines = len(self.counts)
        sums = [self.counts[draw.integers(0, lines, lines)].sum(axis=0) for _ in range(resamples)]
        return np.stack(sums)


@dataclass(frozen=True)
class Confusion:
    """What was read for something else: an empty `truth` is an insertion, an empty `text` an omission."""

    truth: str
    text: str
    count: int


def confusions(truths: Sequence[str], texts: Sequence[str], most: int = 20) -> list[Confusion]:
    """The most frequent mistakes, a character each, of the fewest edits that lead from truth to text."""
    counts = Counter[tuple[str, str]]()
    for truth, text in zip(map(normalise, truths), map(normalise, texts), strict=True):
        for edit in Levenshtein.editops(truth, text):
            before = "" if edit.tag == "insert" else truth[edit.src_pos]
            after = "" if edit.tag == "delete" else text[edit.dest_pos]
            counts[before, after] += 1
    return [Confusion(truth, text, count) for (truth, text), count in counts.most_common(most)]


def _count(truth: str, text: str) -> tuple[int, ...]:
    words = truth.split()
    return (
        Levenshtein.distance(truth, text),
        len(truth),
        Levenshtein.distance(words, text.split()),
        len(words),
        int(truth == text),
        int(alphanumeric(truth) == alphanumeric(text)),
        1,
    )


def _ratios(sums: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    return {name: sums[:, above] / np.maximum(sums[:, below], 1) for name, (above, below) in _RATIOS.items()}
