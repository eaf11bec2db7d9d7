"""A captioner to go on from: its weights and words are taken over, and words that it lacks are added."""

from collections.abc import Sequence

import torch

from captioner.models.caption import Captioner
from captioner.models.caption_network import CaptionDecoder
from captioner.text.tokenization import PTB, Tokenization
from captioner.training.start import find_init, take_over, with_words


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
    old = Captioner.load(find_init(name, "caption"), "cpu", name)
    vocabulary = with_words(old.vocabulary, captions, min_count, tokenization)
    encoder = old.encoder
    decoder = CaptionDecoder(old.config.decoder, encoder.channels, len(vocabulary))
    take_over(decoder, old.decoder)
    return Captioner(old.config.model_copy(update={"scores": {}}), vocabulary, encoder, decoder, device, name)
