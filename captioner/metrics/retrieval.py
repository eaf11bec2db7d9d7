"""How well sentences find their photos and photos their sentences: recalls and median ranks, with intervals.

As in Hodosh et al. (2013): R@K is the share of queries whose right answer is among the first K, and of a photo's
several sentences the best placed counts. Equal scores count against the system, so that one which tells nothing scores
nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

AT = (1, 5, 10)
RESAMPLES = 1000
_SEED = 12345  # fixed, so that a report can be made again


@dataclass(frozen=True)
class Retrieval:
    """One direction of a retrieval.

    Attributes:
        ranks: of each query's right answer, from 1.
    """

    ranks: NDArray[np.int64]

    @property
    def totals(self) -> dict[str, float]:
        """`R@1`, `R@5`, `R@10` as shares, and the median rank."""
        return _totals(self.ranks)

    def intervals(self, groups: NDArray[np.int64] | None = None) -> dict[str, tuple[float, float]]:
        """95 % bootstrap intervals of the totals.

        Args:
            groups: of each query; queries of one group, such as the sentences of a photo, are drawn together. By
                default each query stands alone.
        """
        groups = np.arange(len(self.ranks)) if groups is None else groups
        members = [np.flatnonzero(groups == group) for group in np.unique(groups)]
        random = np.random.default_rng(_SEED)
        drawn = []
        for _ in range(RESAMPLES):
            chosen = random.integers(0, len(members), len(members))
            drawn.append(_totals(self.ranks[np.concatenate([members[each] for each in chosen])]))
        return {
            name: (float(low), float(high))
            for name in self.totals
            for low, high in [np.percentile([each[name] for each in drawn], [2.5, 97.5])]
        }


def rank_of(scores: NDArray[np.float32], right: Sequence[int] | NDArray[np.int64]) -> int:
    """The place, from 1, of the best placed right answer among all answers' scores."""
    chosen = np.zeros(len(scores), bool)
    chosen[np.asarray(right)] = True
    return 1 + int((scores[~chosen] >= scores[chosen].max()).sum())


def _totals(ranks: NDArray[np.int64]) -> dict[str, float]:
    recalls = {f"R@{count}": float((ranks <= count).mean()) for count in AT}
    return {**recalls, "median rank": float(np.median(ranks))}
