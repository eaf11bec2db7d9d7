"""A captioner to go on from: its weights and words are taken over, and words that it lacks are added."""

from collections.abc import Sequence
from pathlib import Path

import torch

from captioner.errors import ConfigError
from captioner.models.base import find, kind_of
from captioner.models.caption import Captioner
from captioner.models.caption_network import CaptionDecoder
from captioner.text.tokenization import PTB, Tokenization
from captioner.training.start import take_over, with_words


def begin_with(
    name: str,
    captions: Sequence[Sequence[str]],
    min_count: int,
    device: torch.device,
    tokenization: Tokenization = PTB,
) -> Captioner:
    """A trained captioner with the words of other captions added.

    Args:
        name: of a model in the package, a folder, or `hf-hub:owner/name`.
        captions: tokenised; what new words come from.
        min_count: rarer words are not added.
        device: of the model.
        tokenization: of the captions, and of the model from now on.

    Raises:
        ConfigError: it is no photo captioner.
        ModelError: there is no such model, or it cannot be read.
    """
    old = Captioner.load(photo_captioner(name), "cpu", name)
    vocabulary = with_words(old.vocabulary, captions, min_count, tokenization)
    encoder = old.encoder
    decoder = CaptionDecoder(old.config.decoder, encoder.channels, len(vocabulary))
    take_over(decoder, old.decoder)
    return Captioner(old.config.model_copy(update={"scores": {}}), vocabulary, encoder, decoder, device, name)


def photo_captioner(name: str) -> Path:
    """The folder of a photo captioner.

    Raises:
        ConfigError: the model is of another kind.
        ModelError: there is no such model.
    """
    folder = find(name)
    if kind_of(folder) != "caption":
        raise ConfigError(f"init: {name} is no photo captioner; name one, such as photos.")
    return folder
