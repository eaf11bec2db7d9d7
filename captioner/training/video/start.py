"""What a captioner of clips goes on from: one of its kind, or a photo captioner, which knows words and has a CNN."""

from collections.abc import Sequence
from typing import TypeAlias

import torch

from captioner.errors import ConfigError
from captioner.models.base import find, kind_of, load, shipped
from captioner.models.caption import Captioner
from captioner.models.shared_encoder import FrameEncoder, SharedEncoder
from captioner.models.video_caption import VideoCaptionConfig, VideoCaptioner, VideoDecoder
from captioner.text.tokenization import Tokenization
from captioner.training.start import take_over, with_words
from captioner.weights import named

Known: TypeAlias = Captioner | VideoCaptioner


def known_captioner(name: str) -> Known:
    """A captioner of clips or of photos, on the CPU.

    Raises:
        ConfigError: it is of another kind.
        ModelError: there is no such model, or it cannot be read.
    """
    if kind_of(find(name)) not in ("video", "caption"):
        raise ConfigError(f"init: {name} captions neither clips nor photos; name a model that does, such as photos.")
    model: Known = load(name, "cpu")
    return model


def encoder_of(known: Known, device: torch.device) -> tuple[FrameEncoder, str | None]:
    """A captioner's CNN, and the model in the package that it is shared with, if it is."""
    if isinstance(known, VideoCaptioner):
        chosen = known.config.encoder
        shared = chosen.model if isinstance(chosen, SharedEncoder) else None
        return FrameEncoder(chosen, device, known.encoder.weights, known.name), shared
    if known.name in shipped():
        return FrameEncoder(SharedEncoder(model=known.name, digest=""), device), known.name
    return FrameEncoder(known.config.encoder, device, named("", known.encoder.state_dict())), None


def begin_with(
    known: Known,
    config: VideoCaptionConfig,
    encoder: FrameEncoder,
    captions: Sequence[Sequence[str]],
    min_count: int,
    tokenization: Tokenization,
) -> VideoCaptioner:
    """A captioner of clips, on the CPU, with a captioner's weights and words, and the words of other captions added.

    A photo captioner has no network over time, so that is new, and so are the weights that read its states.

    Args:
        known: on the CPU.
        config: of the new model, with the known one's networks.
        encoder: the CNN.
        captions: tokenised; what new words come from.
        min_count: rarer words are not added.
        tokenization: of the captions, and of the model from now on.
    """
    vocabulary = with_words(known.vocabulary, captions, min_count, tokenization)
    network = VideoDecoder(config.temporal, config.decoder, encoder.channels, len(vocabulary))
    if isinstance(known, VideoCaptioner):
        network.temporal.load_state_dict(known.network.temporal.state_dict())
        take_over(network.decoder, known.network.decoder)
    else:
        reading = "content" if config.decoder.content_vector else "image_projection"  # what reads the mean of features
        take_over(network.decoder, known.decoder, but=(f"{reading}.weight", "regions.0.weight"))
    return VideoCaptioner(config, vocabulary, encoder, network)
