"""A CNN that is built only where it must be: as OpenVINO runs it, it may lie converted on this machine already.

Then neither PyTorch's form of it nor timm, which is slow to import, is needed.
"""

import threading
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import torch

from captioner.vision import compiled
from captioner.vision.encoder import Encoder, EncoderConfig, Engine, Features
from captioner.vision.images import Pixels, Transform
from captioner.weights import Weights, check_fit, named


class LazyEncoder:
    """The CNN of a trained model, whose weights stay as they are; several threads may use it.

    Compiling it takes a second, so it is left to the first pixels: a model that only decodes never needs it.

    Args:
        config: its name and transform, and the precision of its arithmetic on a CPU.
        weights: by timm's names.
        device: `cpu` or a CUDA device.
        path: where the weights were read from, for messages.
    """

    def __init__(self, config: EncoderConfig, weights: Weights, device: torch.device, path: Path) -> None:
        self.config, self.weights, self.device, self.path = config, weights, device, path
        self._making = threading.Lock()  # of what runs it

    @property
    def transform(self) -> Transform:
        """How images become the CNN's input."""
        return self.config.transform

    @cached_property
    def channels(self) -> int:
        """Width of the features.

        Raises:
            ModelError: the weights are not those of the CNN.
        """
        return self._network.channels if self._network is not None else self.encoder.channels

    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the last feature map."""
        return self._network.grid if self._network is not None else self.encoder.grid_shape()

    @cached_property
    def encoder(self) -> Encoder:
        """The CNN as PyTorch has it.

        Raises:
            ModelError: the weights are not those of the CNN.
        """
        encoder = Encoder(self.config.name, self.config.transform)
        check_fit(named("encoder.", self.weights), named("encoder.", encoder.state_dict()), self.path)
        encoder.load_state_dict(self.weights, strict=False)
        return encoder

    def __call__(self, pixels: Pixels, *, parallel: bool = True) -> Features:
        """Features of uint8 RGB pixels (images, height, width, 3).

        Args:
            pixels: of the images.
            parallel: look at several images at once on a CPU; False for callers of which several are at work, each in
                its own thread.
        """
        with self._making:
            run = self._run
        return run(pixels, parallel=parallel)

    @cached_property
    def _key(self) -> str | None:
        if self.device.type != "cpu" or not compiled.available():
            return None
        return compiled.digest(self.config.model_dump(mode="json"), self.weights)

    @cached_property
    def _network(self) -> compiled.Network | None:
        return None if self._key is None else compiled.find(self._key)

    @cached_property
    def _run(self) -> Callable[..., Features]:
        if self._network is None:
            return Engine(self.encoder, self.device, self.config.precision, self._key)
        streams = self._network.compile(self.config.precision)
        return lambda pixels, parallel: Features.of(streams(pixels, parallel=parallel))
