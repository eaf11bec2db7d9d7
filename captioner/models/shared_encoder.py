"""CNNs that models have in common, so that no weights are stored twice.

A model folder may name a photo captioner of the package instead of holding a CNN of its own. It also holds a digest of
that CNN, because scores hold only for those very weights.
"""

import hashlib
import json
from functools import cached_property
from pathlib import Path

import torch
from pydantic import BaseModel, ConfigDict

from captioner.errors import ModelError
from captioner.models.base import kind_of, read_config, read_weights, shipped
from captioner.models.caption import CaptionConfig
from captioner.vision.encoder import EncoderConfig
from captioner.vision.lazy_encoder import LazyEncoder
from captioner.weights import Weights, part_of


class SharedEncoder(BaseModel):
    """The CNN of a model in the package.

    Attributes:
        model: its name.
        digest: of the CNN's configuration and weights, see `encoder_digest`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    digest: str


class FrameEncoder(LazyEncoder):
    """The CNN of a model that looks at frames: its own, or that of another model in the package.

    Args:
        config: which of both.
        device: `cpu` or a CUDA device.
        weights: of its own CNN, by timm's names; None to read them from the model in the package.
        source: for messages.
    """

    def __init__(
        self,
        config: EncoderConfig | SharedEncoder,
        device: torch.device,
        weights: Weights | None = None,
        source: str | Path = "",
    ) -> None:
        if not isinstance(config, SharedEncoder):
            super().__init__(config, weights or {}, device, Path(source or config.name))
            return
        super().__init__(*read_shared(config.model), device, Path(config.model))
        if config.digest and config.digest != self.digest:
            raise ModelError(
                f"{source}: was trained on another CNN than {config.model} has now, so its scores would not hold; "
                "train it again, or install the captioner that it came with."
            )

    @cached_property
    def digest(self) -> str:
        """See `encoder_digest`."""
        return encoder_digest(self.config, self.weights)


def read_shared(model: str) -> tuple[EncoderConfig, Weights]:
    """Configuration and weights of the CNN of a model in the package.

    Raises:
        ModelError: the package has no such model, or it has no CNN.
    """
    # a model folder comes from anywhere: what it names must neither be downloaded nor read from this machine's folders
    if model not in shipped():
        raise ModelError(
            f"encoder.model is {model!r}; only models in the package share their CNN: {', '.join(shipped())}."
        )
    folder = shipped()[model]
    if kind_of(folder) != "caption":
        raise ModelError(f"{model}: only a photo captioner's CNN can be shared; name one, such as photos.")
    tensors = read_weights(folder)
    return read_config(folder, CaptionConfig).encoder, part_of(tensors, "encoder.")


def encoder_digest(config: EncoderConfig, weights: Weights) -> str:
    """What identifies a CNN: its name, transform and precision, and its weights."""
    digest = hashlib.blake2b(json.dumps(config.model_dump(mode="json"), sort_keys=True).encode(), digest_size=8)
    for name in sorted(weights):
        digest.update(name.encode())
        digest.update(weights[name].detach().to("cpu", torch.float16).contiguous().numpy().tobytes())
    return digest.hexdigest()
