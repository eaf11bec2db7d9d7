"""Ranks of photos for their sentences and of sentences for their photos, as a finder ranks them."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from captioner.metrics.retrieval import Retrieval, rank_of
from captioner.models.rank import log_probs
from captioner.models.search import Finder, Seen
from captioner.models.search_config import CANDIDATES

Floats = NDArray[np.float32]


def retrieve(
    finder: Finder,
    seen: Seen,
    sentences: Sequence[Sequence[int]],
    owners: NDArray[np.int64],
    *,
    top: int = CANDIDATES,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, tuple[Retrieval, Retrieval]]:
    """Rank all photos for each sentence, and all sentences for each photo.

    Args:
        finder: what ranks.
        seen: photos.
        sentences: ids of their tokens.
        owners: the photo of each sentence.
        top: best answers by the quick part that the careful one ranks; it ranks all where there is no quick part.
        progress: is told of every photo.

    Returns:
        `quick` (where there is such a part) and `careful`, which has the quick one's help where there is one: from
        sentences to photos, and from photos to sentences.
    """
    cosines: Floats = np.zeros((len(seen), len(sentences)), np.float32)
    if seen.vectors is not None:
        cosines = (seen.vectors @ finder.read(sentences).T).numpy()
    of_sentence, of_photo = _best(cosines.T, top).T, _best(cosines, top)
    if seen.vectors is None:
        of_sentence[:] = of_photo[:] = True
    fits = np.full(cosines.shape, -np.inf, np.float32)
    decoder = finder.captioner.searched_decoder
    prior = finder.prior(sentences).numpy()
    for photo in range(len(seen)):
        wanted = np.flatnonzero(of_sentence[photo] | of_photo[photo])
        if len(wanted):
            known = log_probs(decoder, seen.prepared[photo : photo + 1], [sentences[int(each)] for each in wanted])
            fits[photo, wanted] = known.numpy()[0] - prior[wanted]
        progress(1)
    own = [np.flatnonzero(owners == photo) for photo in range(len(seen))]
    rights = [photo for photo in range(len(seen)) if len(own[photo])]
    weights = (0.0, 0.0) if finder.config is None else (finder.config.cosine_weight, finder.config.sentences_weight)
    photos, captions = (fits + weight * cosines for weight in weights)
    found = {
        "careful": (
            _ranks(photos.T, cosines.T, of_sentence.T, [np.array([owner]) for owner in owners]),
            _ranks(captions[rights], cosines[rights], of_photo[rights], [own[photo] for photo in rights]),
        )
    }
    if seen.vectors is not None:
        found["quick"] = (
            Retrieval(np.array([rank_of(row, [owner]) for row, owner in zip(cosines.T, owners, strict=True)])),
            Retrieval(np.array([rank_of(cosines[photo], own[photo]) for photo in rights])),
        )
    return found


def _best(scores: Floats, count: int) -> NDArray[np.bool_]:
    """Which answers of each query (queries, answers) are its `count` best."""
    chosen = np.zeros(scores.shape, bool)
    best = torch.from_numpy(scores).topk(min(count, scores.shape[1])).indices.numpy()
    np.put_along_axis(chosen, best, True, axis=1)
    return chosen


def _ranks(fits: Floats, cosines: Floats, chosen: NDArray[np.bool_], rights: Sequence[NDArray[np.int64]]) -> Retrieval:
    """Ranks where the chosen answers of each query stand first, by how they fit, and the others behind, by cosine."""
    ranks = []
    for fit, cosine, first, right in zip(fits, cosines, chosen, rights, strict=True):
        if first[right].any():
            ranks.append(rank_of(np.where(first, fit, -np.inf), right[first[right]]))
        else:
            ranks.append(rank_of(cosine, right))
    return Retrieval(np.array(ranks))
