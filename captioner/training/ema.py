"""An exponential moving average (EMA) of weights, which is what is validated and kept."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn


class Ema:
    """An exponential moving average of trained weights, which generalises better than the last ones (Polyak, 1992).

    Args:
        model: to follow.
        decay: share of the old average that each step keeps; less in the first steps.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = model
        self.decay = decay
        self.updates = 0
        self.weights = {name: value.clone() for name, value in self._trained().items()}

    def _trained(self) -> dict[str, Tensor]:
        return {name: value.detach() for name, value in self.model.named_parameters() if value.requires_grad}

    @torch.no_grad()
    def update(self) -> None:
        """Update the moving average with the current weights."""
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9))
        torch._foreach_lerp_(list(self.weights.values()), list(self._trained().values()), 1 - decay)

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Put the averaged weights into the network for a while."""
        trained = {name: value.clone() for name, value in self._trained().items()}
        self._set(self.weights)
        try:
            yield
        finally:
            self._set(trained)

    @torch.no_grad()
    def _set(self, weights: dict[str, Tensor]) -> None:
        for name, value in self._trained().items():
            value.copy_(weights[name])

    def save(self, path: Path) -> None:
        """Write as safetensors."""
        whole = {name: value.contiguous() for name, value in self.weights.items()}  # a CNN's are channels last
        save_file(whole, path, metadata={"updates": str(self.updates)})

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        with safe_open(path, "pt") as file:
            self.updates = int(file.metadata()["updates"])
            for name, value in self.weights.items():
                value.copy_(file.get_tensor(name))
