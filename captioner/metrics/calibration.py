"""Whether a probability means what it says: Platt's scaling, expected calibration error and the plot of both."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

BINS = 10
FOLDS = 5
_STEPS = 100  # at most; about ten are needed
_SMALL = 1e-9
_PRIOR = 0.1  # keeps a few answers, all of them right, from being certain


class Calibration(BaseModel):
    """Makes a probability of a log-probability: sigmoid(scale * log-odds + shift) (Platt, 1999).

    Attributes:
        scale: of the log-odds that the network gives.
        shift: of them.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    scale: float = 1.0
    shift: float = 0.0

    def __call__(self, log_probabilities: ArrayLike) -> NDArray[np.float64]:
        """Calibrated probabilities of log-probabilities."""
        return _sigmoid(self.scale * log_odds(log_probabilities) + self.shift)

    @classmethod
    def fit(cls, log_probabilities: ArrayLike, right: Sequence[bool]) -> "Calibration":
        """The scale and shift under which what was right is likeliest, drawn a little towards no change.

        Args:
            log_probabilities: of answers.
            right: whether each answer was right.
        """
        odds, truth = log_odds(log_probabilities), np.asarray(right, np.float64)
        inputs = np.stack([odds, np.ones_like(odds)], axis=1)
        start = np.array([1.0, 0.0])

        def loss(weights: NDArray[np.float64]) -> float:
            values = inputs @ weights
            return float(np.logaddexp(0, values).sum() - truth @ values + _PRIOR / 2 * ((weights - start) ** 2).sum())

        weights = start
        for _ in range(_STEPS):  # Newton's method; half as far where a whole step would climb
            chance = _sigmoid(inputs @ weights)
            gradient = inputs.T @ (chance - truth) + _PRIOR * (weights - start)
            curvature = (inputs * (chance * (1 - chance))[:, None]).T @ inputs + _PRIOR * np.eye(2)
            step = np.linalg.solve(curvature, gradient)
            while loss(weights - step) > loss(weights) and np.abs(step).max() > _SMALL:
                step = step / 2
            weights = weights - step
            if np.abs(step).max() <= _SMALL:
                break
        return cls(scale=float(weights[0]), shift=float(weights[1]))


def cross_fitted(log_probabilities: ArrayLike, right: Sequence[bool]) -> NDArray[np.float64]:
    """Probabilities of answers, each calibrated on the other folds' answers only, so that they can be judged.

    Neighbours are in one fold, since lines of one print or photograph stand together.
    """
    values, truth = np.asarray(log_probabilities, np.float64), np.asarray(right)
    found = np.empty(len(values))
    for fold in np.array_split(np.arange(len(values)), min(FOLDS, len(values))):
        others = np.ones(len(values), bool)
        others[fold] = False
        found[fold] = Calibration.fit(values[others], truth[others].tolist())(values[fold])
    return found


@dataclass(frozen=True)
class Reliability:
    """Answers in bins of about equal number, from the least sure on.

    Attributes:
        confidence: (bins,) mean probability.
        accuracy: (bins,) share that was right.
        counts: (bins,) answers.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]

    @classmethod
    def of(cls, probabilities: ArrayLike, right: Sequence[bool], bins: int = BINS) -> "Reliability":
        """Sort answers into bins."""
        values, truth = np.asarray(probabilities, np.float64), np.asarray(right, np.float64)
        parts = [part for part in np.array_split(np.argsort(values, kind="stable"), bins) if len(part)]
        return cls(
            np.array([values[part].mean() for part in parts]),
            np.array([truth[part].mean() for part in parts]),
            np.array([len(part) for part in parts]),
        )

    @property
    def error(self) -> float:
        """The expected calibration error (Naeini et al., 2015): how far confidence is from accuracy, on average."""
        return float((np.abs(self.confidence - self.accuracy) * self.counts).sum() / max(int(self.counts.sum()), 1))

    def draw(self, path: Path, title: str) -> None:
        """Draw accuracy against confidence."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(4.5, 4.5), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color="0.7", linewidth=1)
        axes.plot(self.confidence, self.accuracy, marker="o")
        axes.set(xlabel="confidence", ylabel="share read exactly", xlim=(0, 1), ylim=(0, 1), title=title)
        figure.savefig(path, dpi=120)


def log_odds(log_probabilities: ArrayLike) -> NDArray[np.float64]:
    """log(p / (1 - p)) of log p, within what a float can tell from 0 and 1."""
    values = np.minimum(np.asarray(log_probabilities, np.float64), -1e-9)
    return values - np.log(-np.expm1(values))


def _sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(0.5 * (1 + np.tanh(values / 2)), np.float64)
