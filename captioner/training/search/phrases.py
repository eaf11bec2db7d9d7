"""How the phrases of images are learnt: a ridge regression from features to TF-IDF vectors, of a low rank."""

import math
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from captioner.data.captions import CaptionedImage, CaptionSet
from captioner.errors import DataError
from captioner.models.phrases import LONGEST, MOST_WORDS, Phrases, standardised
from captioner.text.vocabulary import Vocabulary

Gram = tuple[int, ...]
LEAST = 20  # images whose captions hold a phrase that is predicted; of a small set fewer do
RANK = 170
PENALTY = 1.0  # of the squared weights, where each image's features are a unit vector
RARE = 5  # images that a phrase is taken to occur in that is not predicted


def fit_phrases(
    pooled: Tensor, images: Sequence[CaptionedImage] | CaptionSet, vocabulary: Vocabulary, weight: float
) -> Phrases:
    """What predicts the phrases of captions.

    Args:
        pooled: (images, channels), the means of the finished CNN's features.
        images: to learn from, with their captions.
        vocabulary: of the captioner.
        weight: see `Phrases`.

    Raises:
        DataError: the captioner knows no word of the captions.
    """
    grams = [[_grams(vocabulary.encode(tokens)) for tokens in image.tokens] for image in images]
    frequency = Counter(gram for several in grams for gram in set().union(*several))
    least = min(LEAST, max(1, len(grams) // LEAST))
    often = (gram for gram, count in frequency.items() if count >= least)
    kept = sorted(gram for gram in often if vocabulary.unk not in gram and max(gram) < MOST_WORDS)
    if not kept:
        raise DataError("phrases: the captioner knows no word of the captions; learn from captions in its language.")
    rank = min(RANK, *pooled.shape, len(kept))
    found = Phrases(pooled.shape[1], len(kept), rank, weight)
    targets = _targets(grams, frequency, {gram: place for place, gram in enumerate(kept)}, vocabulary)
    center, deviation = pooled.mean(0), pooled.std(0, correction=int(len(pooled) > 1)) + 1e-4
    inputs = standardised(pooled, center, deviation)
    mean = torch.sparse.sum(targets, 0).to_dense() / len(grams)
    products = torch.sparse.mm(targets.t(), inputs).T - inputs.sum(0)[:, None] * mean
    half = torch.linalg.cholesky(inputs.T @ inputs + PENALTY * torch.eye(pooled.shape[1]))
    # the best map of this rank, in the metric of the regression, keeps the greatest directions of half^-1 products
    scaled = torch.linalg.solve_triangular(half, products, upper=False)
    directions = torch.linalg.eigh(scaled @ scaled.T).eigenvectors.flip(1)[:, :rank]
    say = torch.nn.functional.normalize(directions.T @ scaled, dim=1)
    look = torch.linalg.solve_triangular(half.T, scaled @ say.T, upper=True).T
    steps = {"look": look.abs().amax(1) / 127 + 1e-12, "say": say.abs().amax(1) / 127 + 1e-12}
    found.load_state_dict(
        {
            "grams": torch.tensor([[*gram, *[-1] * (LONGEST - len(gram))] for gram in kept], dtype=torch.int16).view(
                -1, LONGEST
            ),
            "idf": torch.tensor([math.log(len(grams) / frequency[gram]) for gram in kept]),
            "rare": torch.tensor(math.log(len(grams) / min(RARE, len(grams)))),
            "mean": mean,
            "center": center,
            "deviation": deviation,
            "look": (look / steps["look"][:, None]).round().to(torch.int8),
            "look_step": steps["look"],
            "say": (say / steps["say"][:, None]).round().to(torch.int8),
            "say_step": steps["say"],
        }
    )
    return found


def _grams(ids: Sequence[int]) -> Counter[Gram]:
    runs = (tuple(ids[first : first + size]) for size in range(1, LONGEST + 1) for first in range(len(ids) - size + 1))
    return Counter(runs)


def _targets(
    grams: Sequence[Sequence[Counter[Gram]]], frequency: Counter[Gram], places: dict[Gram, int], vocabulary: Vocabulary
) -> Tensor:
    """The mean TF-IDF vector of each image's captions (images, phrases), sparse; each length has the norm 1."""
    rows, columns, values = [], [], []
    for row, several in enumerate(grams):
        for counts in several:
            weights = {gram: count * math.log(len(grams) / frequency[gram]) for gram, count in counts.items()}
            norms = [0.0] * (LONGEST + 1)
            for gram, value in weights.items():
                norms[len(gram)] += value**2
            for gram, value in weights.items():
                if gram in places and value > 0:
                    rows.append(row)
                    columns.append(places[gram])
                    values.append(value / math.sqrt(norms[len(gram)]) / len(several))
    indices = torch.tensor([rows, columns], dtype=torch.long)
    shape = (len(grams), len(places))
    return torch.sparse_coo_tensor(indices, torch.tensor(values), shape, check_invariants=True).coalesce()
