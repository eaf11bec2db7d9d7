"""CIDEr-D (Vedantam et al., 2015, arXiv:1411.5726), equal to the COCO scorer's, and fast enough to be a reward."""

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np

from captioner.metrics.ngrams import MAX_ORDER, Counts, Floats, Hypotheses, Ints, References

_SIGMA = 6.0  # of the Gaussian length penalty


class CiderD:
    """CIDEr-D of hypotheses against prepared references, whose images also give the document frequencies.

    As a reward for self-critical training, prepare it once with the training references; `scores` then takes any number
    of hypotheses an image.

    Args:
        references: for each image id, its tokenised references; or these prepared as `References`.
    """

    def __init__(self, references: Mapping[Any, Sequence[Sequence[str]]] | References) -> None:
        self.references = references if isinstance(references, References) else References(references)
        self._most = math.log(len(self.references))
        self._idf = [self._most - np.log(np.maximum(groups.document_frequency, 1)) for groups in self.references.groups]
        total = int(self.references.number_of_references.sum())
        self._weights: list[Floats] = []
        self._norms = np.zeros((MAX_ORDER, total))
        for order, groups in enumerate(self.references.groups):
            self._weights.append(groups.count * self._idf[order][groups.gram])
            self._norms[order] = np.sqrt(np.bincount(groups.sentence, self._weights[order] ** 2, total))
        self._bigrams = np.maximum(self.references.lengths - 1, 0)

    def scores(self, ids: Sequence[Hashable], hypotheses: Sequence[Sequence[str]]) -> Floats:
        """Score hypotheses.

        Args:
            ids: the image of each hypothesis; may repeat.
            hypotheses: N tokenised hypotheses.

        Returns:
            (N,) scores, between 0 and 10.

        Raises:
            DataError: an id without references.
        """
        return self.scores_of(self.references.count(ids, hypotheses))

    def scores_of(self, hypotheses: Hypotheses) -> Floats:
        """Score captions that these references have counted; see `scores`."""
        references, rows = self.references, hypotheses.rows
        # pairs of a hypothesis and a reference: those of hypothesis i begin at pair first[i]
        number = references.number_of_references[rows]
        first = np.cumsum(number) - number
        hypothesis = np.repeat(np.arange(len(rows)), number)
        reference = np.arange(len(hypothesis)) + (references.first_reference[rows] - first)[hypothesis]
        similarity = np.zeros(len(hypothesis))
        for order, counts in enumerate(hypotheses.counts):
            norms, products = self._products(order, rows, counts, first, len(hypothesis))
            scale = norms[hypothesis] * self._norms[order][reference]
            similarity += products / np.where(scale > 0, scale, 1)
        # the official scorer's length of a caption is its number of bigrams
        bigrams = np.maximum(hypotheses.lengths - 1, 0)
        difference = bigrams[hypothesis] - self._bigrams[reference]
        similarity *= np.exp(-(difference**2) / (2 * _SIGMA**2))
        return 10 / MAX_ORDER * np.bincount(hypothesis, similarity, len(rows)) / np.maximum(number, 1)

    def _products(self, order: int, rows: Ints, counts: Counts, first: Ints, pairs: int) -> tuple[Floats, Floats]:
        """Norms of the hypotheses, (N,), and their clipped products with their references, (pairs,), for one order."""
        groups, idf = self.references.groups[order], self._idf[order]
        weights = counts.count * np.append(idf, self._most)[np.minimum(counts.gram, len(idf))]
        norms = np.sqrt(np.bincount(counts.sentence, weights**2, len(rows)))
        group, found = groups.find(rows[counts.sentence], counts.gram)
        group, sentence, weights = group[found], counts.sentence[found], weights[found]
        # every reference entry of a group meets the hypothesis' entry
        begin = groups.starts[group]
        number = groups.starts[group + 1] - begin
        entry = np.arange(number.sum()) + np.repeat(begin - np.cumsum(number) + number, number)
        sentence, weights = np.repeat(sentence, number), np.repeat(weights, number)
        pair = first[sentence] + groups.sentence[entry] - self.references.first_reference[rows[sentence]]
        entry_weights = self._weights[order][entry]
        products = np.bincount(pair, np.minimum(weights, entry_weights) * entry_weights, pairs)
        return norms, np.asarray(products, np.float64)
