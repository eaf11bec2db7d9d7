"""A classifier to go on from: its CNN, what it sees of clips and its networks are taken over, and classes by name."""

from collections.abc import Sequence

import torch

from captioner.errors import ConfigError
from captioner.models.base import find, kind_of, load
from captioner.models.classify import VideoClassifier
from captioner.models.classify_network import ClassifierNetwork

_CLASSES = (".readout.weight", ".readout.bias")
"""Ends of the names of the weights that have a row for each class."""


def known_classifier(name: str) -> VideoClassifier:
    """A trained classifier, on the CPU.

    Raises:
        ConfigError: it is of another kind.
        ModelError: there is no such model, or it cannot be read.
    """
    kind = kind_of(find(name))
    if kind != "classify":
        instead = f"; for its CNN alone set encoder.model={name}" if kind == "caption" else ""
        raise ConfigError(f"init: {name} is no video classifier; name one, such as yoga{instead}.")
    model: VideoClassifier = load(name, "cpu")
    return model


@torch.no_grad()
def begin_with(known: VideoClassifier, labels: Sequence[str]) -> ClassifierNetwork:
    """A classifier's networks for other classes.

    A class of the same name keeps what the networks know of it; others begin as in a new network, and as likely as the
    mean of the known ones.

    Args:
        known: on the CPU.
        labels: the classes.
    """
    network = ClassifierNetwork(known.config.network, known.encoder.channels, len(labels))
    weights, places = network.state_dict(), known.config.labels
    same = [(row, places.index(label)) for row, label in enumerate(labels) if label in places]
    for key, value in known.network.state_dict().items():
        if not key.endswith(_CLASSES):
            weights[key].copy_(value)
            continue
        if key.endswith("bias"):
            weights[key].fill_(float(value.mean()))
        for row, place in same:
            weights[key][row] = value[place]
    return network


def not_taken(known: VideoClassifier, labels: Sequence[str]) -> list[str]:
    """The classes that a classifier knows and that are not among others."""
    return [label for label in known.config.labels if label not in labels]
