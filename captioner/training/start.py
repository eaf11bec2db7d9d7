"""Going on from a trained model: its words and weights are taken over, and words that it lacks are added."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

import torch
from torch import nn

from captioner.data.copies import digest_of_file
from captioner.errors import ConfigError
from captioner.models.base import find, kind_of
from captioner.text.tokenization import Tokenization
from captioner.text.vocabulary import Vocabulary
from captioner.training.config import TrainingConfig

_KINDS = {
    "caption": ("photo captioner", "photos"),
    "language": ("language model", "captions"),
    "read": ("reader", "words"),
    "translate": ("translator", "en-de"),
}


def find_init(name: str, kind: str) -> Path:
    """The folder of a model to go on from.

    Args:
        name: of a model in the package, a folder, or `hf-hub:owner/name`.
        kind: `caption`, `language`, `read` or `translate`.

    Raises:
        ConfigError: it is of another kind.
        ModelError: there is no such model.
    """
    folder = find(name)
    if kind_of(folder) != kind:
        called, example = _KINDS[kind]
        raise ConfigError(f"init: {name} is no {called}; name one, such as {example}.")
    return folder


def weights_of_init(config: TrainingConfig) -> list[str]:
    """A digest of the weights that a training goes on from; empty without."""
    name = getattr(config, "init", None)
    return [] if name is None else [digest_of_file(find(name) / "model.safetensors").hex()]


def with_words(
    old: Vocabulary, sentences: Iterable[Sequence[str]], min_count: int, tokenization: Tokenization
) -> Vocabulary:
    """A vocabulary with the words of other sentences added, the most frequent first.

    Args:
        old: whose tokens keep their numbers.
        sentences: tokenised.
        min_count: rarer words are not added.
        tokenization: of the sentences, and of the vocabulary from now on.
    """
    counts = Counter(token for sentence in sentences for token in sentence)
    added = [word for word, count in counts.items() if count >= min_count and word not in old]
    return Vocabulary([*old.tokens, *sorted(added, key=lambda word: (-counts[word], word))], tokenization)


@torch.no_grad()
def take_over(network: nn.Module, old: nn.Module, but: Collection[str] = ()) -> None:
    """Give a network the weights of an older one, whose vocabulary is the first part of its own.

    A new word's `bias` is the mean of all, so that it is as frequent as another word until a training says more.

    Args:
        network: to be changed.
        old: whose weights are copied.
        but: names of weights that stay the network's own.
    """
    weights = network.state_dict()
    for key, value in old.state_dict().items():
        if key in but:
            continue
        weights[key][: len(value)] = value
        if key == "bias":
            weights[key][len(value) :] = value.mean()
