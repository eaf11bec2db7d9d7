"""What captions of an image probably say, in runs of one to four words, and so how well a caption will be scored.

A linear map of what the CNN sees on average predicts the TF-IDF vector, as CIDEr compares them (Vedantam et al., 2015),
that people's captions of the image have on average. Its product with a caption's own vector is the CIDEr to be
expected, but for that score's penalty of length and its clipping. To choose among a search's captions by it is minimum
Bayes risk (Kumar and Byrne, 2004) under a model that did not write them.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from captioner.errors import ModelError
from captioner.models.base import read_json
from captioner.models.search_config import captioner_digest
from captioner.text.vocabulary import SPECIALS
from captioner.weights import check_fit, read_tensors, write_atomically, write_tensors

PHRASE_FILES = ("phrases.safetensors", "phrases.json")
LONGEST = 4  # words of a phrase
MOST_WORDS = 2**15 - 1  # of a vocabulary, that phrases are made of: int16 holds their ids
SCALE = 10 / LONGEST  # of CIDEr, the mean over lengths times ten


class Phrases(nn.Module):
    """Phrases, and what predicts them.

    Args:
        channels: of the CNN's features.
        count: how many phrases.
        rank: of the map.
        weight: what an expected CIDEr counts beside a caption's log-probability, normalised by its length as in the
            search.
    """

    grams: Tensor
    idf: Tensor
    rare: Tensor
    mean: Tensor
    center: Tensor
    deviation: Tensor
    look: Tensor
    look_step: Tensor
    say: Tensor
    say_step: Tensor

    def __init__(self, channels: int, count: int, rank: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.register_buffer("grams", torch.zeros(count, LONGEST, dtype=torch.int16))  # ids of words, then -1
        self.register_buffer("idf", torch.zeros(count))
        self.register_buffer("rare", torch.zeros(()))  # idf of all other phrases
        self.register_buffer("mean", torch.zeros(count))
        self.register_buffer("center", torch.zeros(channels))
        self.register_buffer("deviation", torch.ones(channels))
        # the map's two halves as whole numbers of 8 bits, and the step of each of its dimensions
        self.register_buffer("look", torch.zeros(rank, channels, dtype=torch.int8))
        self.register_buffer("look_step", torch.ones(rank))
        self.register_buffer("say", torch.zeros(rank, count, dtype=torch.int8))
        self.register_buffer("say_step", torch.ones(rank))

    @classmethod
    def load(cls, folder: Path, channels: int, vocabulary_size: int) -> "Phrases | None":
        """What lies in a captioner's folder, if anything does.

        Args:
            folder: of the captioner.
            channels: of its features.
            vocabulary_size: of the captioner.

        Raises:
            ModelError: a file is damaged, or belongs to another captioner.
        """
        weights_path, path = (folder / name for name in PHRASE_FILES)
        if not path.is_file():
            return None
        about = read_json(path)
        weight = about.get("weight")
        if about.get("captioner") != captioner_digest(folder):
            raise ModelError(f"{path}: belongs to another model.safetensors; copy the whole folder again.")
        if not isinstance(weight, int | float) or isinstance(weight, bool) or not 0 <= weight < float("inf"):
            raise ModelError(f"{path}: weight is {weight!r}, no number of at least 0; copy the whole folder again.")
        weights = read_tensors(weights_path)
        count, rank = (weights[name].numel() if name in weights else 0 for name in ("idf", "look_step"))
        found = cls(channels, count, rank, float(weight))
        check_fit(weights, dict(found.state_dict()), weights_path)
        found.load_state_dict(weights)
        if not count or not all(bool(value.isfinite().all()) for value in weights.values()):
            raise ModelError(f"{weights_path}: holds no phrases, or no numbers; copy the whole folder again.")
        if not -1 <= int(found.grams.min()) <= int(found.grams.max()) < vocabulary_size:
            raise ModelError(f"{weights_path}: has words that vocabulary.json lacks; copy the whole folder again.")
        return found

    def save(self, folder: Path) -> None:
        """Write them beside the captioner that the folder holds."""
        weights, config = (folder / name for name in PHRASE_FILES)
        write_tensors(weights, dict(self.state_dict()))
        about = {"captioner": captioner_digest(folder), "weight": self.weight}
        write_atomically(config, json.dumps(about) + "\n")

    def expected(self, pooled: Tensor) -> Tensor:
        """How much of each phrase captions of images hold on average (images, phrases), in units of TF-IDF.

        Args:
            pooled: (images, channels), the means of features.
        """
        seen = standardised(pooled.float(), self.center, self.deviation) @ self.look.float().T
        return (seen * (self.look_step * self.say_step)) @ self.say.float() + self.mean

    def fit(self, pooled: Tensor, captions: Tensor, images: Tensor) -> Tensor:
        """The CIDEr to be expected of captions, (captions,).

        Args:
            pooled: (images, channels), the means of features.
            captions: (captions, steps), ids of words, padded behind.
            images: (captions,), which image each is of.
        """
        expected, keys = self.expected(pooled), keys_of_grams(self.grams)
        order = keys.argsort()
        found = pooled.new_zeros(len(captions), dtype=torch.float32)
        for size in range(1, min(LONGEST, captions.shape[1]) + 1):
            runs, real = keys_of_runs(captions, size)
            place = order[torch.searchsorted(keys[order], runs).clamp(max=len(keys) - 1)]
            known = keys[place] == runs
            idf = torch.where(known, self.idf[place], self.rare) * real
            times = ((runs.unsqueeze(2) == runs.unsqueeze(1)) & real.unsqueeze(1)).sum(2)
            norms = (times * idf.square()).sum(1).sqrt()
            products = (known * idf * expected[images.unsqueeze(1), place]).sum(1)
            found += products / norms.clamp(min=1e-6)
        return SCALE * found


def standardised(pooled: Tensor, center: Tensor, deviation: Tensor) -> Tensor:
    """Unit vectors of standardised features."""
    return normalize((pooled - center) / deviation, dim=-1)


def keys_of_grams(grams: Tensor) -> Tensor:
    """One number (phrases,) for each phrase (phrases, LONGEST), which is that of the same run of words."""
    return _keys((grams.long() + 1).unbind(-1))


def keys_of_runs(captions: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """A number for each run of `size` words (captions, runs), and whether it is one, and no padding or end."""
    runs = captions.long().unfold(1, size, 1)
    real = (runs >= len(SPECIALS)).all(-1)
    keys = _keys([*(runs + 1).unbind(-1), *[torch.zeros_like(runs[..., 0])] * (LONGEST - size)])
    return torch.where((runs < MOST_WORDS).all(-1), keys, -1), real


def _keys(parts: Sequence[Tensor]) -> Tensor:
    key = torch.zeros_like(parts[0])
    for part in parts:
        key = key * (MOST_WORDS + 1) + part
    return key
