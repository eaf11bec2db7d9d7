"""Find what fits a sentence or resembles a photo among the moments of an index."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from captioner.models.packed import PackedShape
from captioner.models.search_config import CANDIDATES
from captioner.models.searcher import Searcher
from captioner.pipelines.search.moments import Moments
from captioner.pipelines.search.query import Query

_BLOCK = 64  # of them at a time
_FITS = 0.8  # of the best moment's score, from which on a neighbour belongs to it


@dataclass(frozen=True)
class Hit:
    """A photo or a moment that was found.

    Attributes:
        moment: its place in the index.
        path: of the file.
        span: start and end in seconds; None for a photo.
        score: of a sentence, both parts' scores a word, to be compared within one query; of a photo, the cosine.
        attention: (tokens, regions), where the words fit; None for a photo, or without attention.
    """

    moment: int
    path: str
    span: tuple[float, float] | None
    score: float
    attention: NDArray[np.float32] | None = None


class PackedPhotos(Protocol):
    """Where what the careful part needs comes from; an `Index` is one."""

    @property
    def shape(self) -> PackedShape | None:
        """Of the packed photos; None before there is any."""

    def packed(self, moments: Sequence[int]) -> list[bytes]:
        """Packed photos of some moments."""


def find_described(query: Query, moments: Moments, index: PackedPhotos, searcher: Searcher, top: int) -> list[Hit]:
    """The photos and moments that a sentence fits best: the quick part chooses some, the careful part ranks them."""
    shape = index.shape
    if shape is None or not len(moments):
        return []
    cosines = np.zeros(len(moments), np.float32)
    chosen = np.arange(len(moments))
    weight = 0.0
    if searcher.config is not None:
        weight = searcher.config.cosine_weight
        cosines = moments.vectors @ searcher.vector(query.ids)
        chosen = _best(cosines, max(CANDIDATES, 2 * top))
    scores, attention = [], []
    for first in range(0, len(chosen), _BLOCK):
        block = chosen[first : first + _BLOCK]
        fit = searcher.fit(shape, index.packed(moments.ids[block].tolist()), query.ids)
        scores.append(fit.gains + weight * cosines[block])
        attention += [None] * len(block) if fit.attention is None else list(fit.attention[:, : len(query.ids)])
    per_word = np.concatenate(scores) / (len(query.ids) + 1)
    hits = [
        Hit(int(moments.ids[each]), moments.paths[each], moments.spans[each], float(score), looked)
        for each, score, looked in zip(chosen.tolist(), per_word, attention, strict=True)
    ]
    return _joined(hits)[:top]


def find_similar(vector: NDArray[np.float32], moments: Moments, top: int) -> list[Hit]:
    """The photos and moments whose vectors are nearest to another's."""
    if not len(moments):
        return []
    cosines = moments.vectors @ vector
    hits = [
        Hit(int(moments.ids[each]), moments.paths[each], moments.spans[each], float(cosines[each]))
        for each in _best(cosines, max(CANDIDATES, 2 * top)).tolist()
    ]
    return _joined(hits)[:top]


def _best(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Places of the highest scores, best first."""
    count = min(count, len(scores))
    places = np.argpartition(-scores, count - 1)[:count]
    best: NDArray[np.int64] = places[np.argsort(-scores[places], kind="stable")]
    return best


def _joined(hits: Sequence[Hit]) -> list[Hit]:
    """Hits, best first, moments of a clip that follow one another as one where they fit about as well."""
    found: list[Hit] = []
    of_clip: defaultdict[str, list[Hit]] = defaultdict(list)
    for hit in hits:
        if hit.span is None:
            found.append(hit)
        else:
            of_clip[hit.path].append(hit)
    for several in of_clip.values():
        found += _moments(several)
    return sorted(found, key=lambda hit: -hit.score)


def _moments(hits: Sequence[Hit]) -> Iterator[Hit]:
    """Moments of one clip: from the best one on, each with the neighbours that fit about as well."""
    left = {hit.span: hit for hit in hits if hit.span is not None}
    while left:
        best = max(left.values(), key=lambda hit: hit.score)
        assert best.span is not None
        least = best.score - (1 - _FITS) * abs(best.score)
        start, end = best.span
        del left[best.span]
        while neighbour := next(
            (
                span
                for span, hit in left.items()
                if hit.score >= least and (abs(span[1] - start) < 1e-3 or abs(span[0] - end) < 1e-3)
            ),
            None,
        ):
            start, end = min(start, neighbour[0]), max(end, neighbour[1])
            del left[neighbour]
        yield Hit(best.moment, best.path, (start, end), best.score, best.attention)
