"""CNNs as configurations of trainings name them."""

from pathlib import Path

import torch

from captioner.models.shared_encoder import FrameEncoder, SharedEncoder
from captioner.training.config import ClipEncoder, EncoderOptions
from captioner.vision.encoder import Encoder, EncoderConfig, default_transform, load_encoder_weights
from captioner.weights import named


def new_encoder(name: str, options: EncoderOptions, root: Path) -> tuple[EncoderConfig, Encoder]:
    """One of timm's CNNs, as it comes or with weights from a file.

    Args:
        name: timm's.
        options: how it is made.
        root: that the path of its weights is relative to.

    Raises:
        ModelError: there is none of that name, or its weights cannot be read.
    """
    transform = default_transform(name, options.size, options.crop)
    encoder = Encoder(name, transform, pretrained=options.pretrained and options.weights is None)
    if options.weights is not None:
        load_encoder_weights(encoder, root / options.weights)
    return EncoderConfig(name=name, transform=transform, precision=options.precision), encoder


def frame_encoder(choice: ClipEncoder, root: Path, device: torch.device) -> FrameEncoder:
    """The CNN of a model of clips: that of a photo captioner, or one of timm's.

    Raises:
        ModelError: there is none of that name, or its weights cannot be read.
    """
    if choice.model is not None:
        return FrameEncoder(SharedEncoder(model=choice.model, digest=""), device)
    config, encoder = new_encoder(str(choice.name), choice, root)
    return FrameEncoder(config, device, named("", encoder.state_dict()))
