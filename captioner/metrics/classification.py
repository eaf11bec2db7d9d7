"""Accuracy with an interval, the confusion matrix, and precision and recall of each class."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
_Z = 1.959964  # standard deviations either side of the middle 95 % of a normal distribution


@dataclass(frozen=True)
class ClassScore:
    """Precision and recall of one class.

    Attributes:
        precision: share of the clips predicted as this class that belong to it; None if none was predicted.
        recall: share of the clips of this class that were predicted as it; None if there are none.
        count: number of clips of this class.
    """

    precision: float | None
    recall: float | None
    count: int


@dataclass(frozen=True)
class ClassificationReport:
    """Scores of a classifier on clips it did not learn from.

    Attributes:
        labels: the classes.
        confusion: (true class, class it was given) counts.
        accuracy: share of clips given their class.
        interval: of the accuracy, 95 %, by resampling whole groups, and at least Wilson's.
    """

    labels: tuple[str, ...]
    confusion: NDArray[np.int64]
    accuracy: float
    interval: tuple[float, float]

    @classmethod
    def of(
        cls, labels: Sequence[str], true: Sequence[int], given: Sequence[int], groups: Sequence[Hashable]
    ) -> "ClassificationReport":
        """Score predictions.

        Args:
            labels: the classes.
            true: the class of each clip, as a place in `labels`.
            given: the class it was given.
            groups: which clips belong together; they are right or wrong together too, so an interval that took them for
                independent would be too narrow.
        """
        confusion = np.zeros((len(labels), len(labels)), np.int64)
        np.add.at(confusion, (np.asarray(true), np.asarray(given)), 1)
        right = np.asarray(true) == np.asarray(given)
        return cls(tuple(labels), confusion, float(right.mean()), _interval(right, groups))

    def classes(self) -> dict[str, ClassScore]:
        """Precision and recall by class."""
        right = np.diag(self.confusion)
        called, there = self.confusion.sum(axis=0), self.confusion.sum(axis=1)
        return {
            label: ClassScore(
                float(right[place] / called[place]) if called[place] else None,
                float(right[place] / there[place]) if there[place] else None,
                int(there[place]),
            )
            for place, label in enumerate(self.labels)
        }

    def draw(self, path: Path, title: str) -> None:
        """Draw the confusion matrix into a PNG file; a row adds up to a class' clips, its colour is the recall."""
        from matplotlib.figure import Figure

        size = 2.5 + 0.6 * len(self.labels)
        figure = Figure(figsize=(size + 1, size), layout="constrained")
        axes = figure.subplots()
        shares = self.confusion / np.maximum(self.confusion.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in np.ndindex(self.confusion.shape):
            ink = "white" if shares[row, column] > 0.6 else "black"
            axes.text(column, row, str(self.confusion[row, column]), ha="center", va="center", color=ink)
        places = range(len(self.labels))
        axes.set_xticks(places, self.labels, rotation=45, ha="right", rotation_mode="anchor")
        axes.set_yticks(places, self.labels)
        axes.set(xlabel="predicted", ylabel="true", title=title)
        figure.savefig(path, dpi=120)


def _interval(right: NDArray[np.bool_], groups: Sequence[Hashable]) -> tuple[float, float]:
    """The middle 95 % of accuracies over groups drawn with replacement (Efron's percentile bootstrap).

    It is at least as wide as Wilson's interval (1927) for independent clips: where every answer was right, no
    resample says how often the next will be wrong.
    """
    number = {group: place for place, group in enumerate(dict.fromkeys(groups))}
    group_of_clip = [number[group] for group in groups]
    hits = np.bincount(group_of_clip, weights=right, minlength=len(number))
    sizes = np.bincount(group_of_clip, minlength=len(number))
    drawn = np.random.default_rng(0).integers(0, len(number), (DRAWS, len(number)))
    low, high = np.percentile(hits[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), (2.5, 97.5))
    share, count = right.mean(), len(right)
    middle = (share + _Z**2 / (2 * count)) / (1 + _Z**2 / count)
    half = _Z / (1 + _Z**2 / count) * np.sqrt(share * (1 - share) / count + _Z**2 / (4 * count**2))
    return float(min(low, middle - half)), float(max(high, middle + half))
