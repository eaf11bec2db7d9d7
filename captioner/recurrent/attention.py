"""Attention of recurrent states over an image's regions."""

import math

import torch
from torch import Tensor, nn


class GridAttention(nn.Module):
    """Scaled dot-product attention of decoder states over image regions, in several heads (Vaswani et al., 2017).

    The query is the state after the recurrent step (Luong et al., 2015), so all steps of a teacher-forced sequence
    attend in one batched product, and beams of one image share its regions.

    Args:
        hidden_size: width of the states and of the projected regions.
        heads: number of attention heads; divides `hidden_size`.
    """

    def __init__(self, hidden_size: int, heads: int = 1) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(
        self, states: Tensor, keys: Tensor, values: Tensor, real: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attend to regions.

        Args:
            states: (batch, steps, hidden_size).
            keys: (batch, regions, hidden_size).
            values: (batch, regions, hidden_size).
            real: (batch, regions), False for padding, which gets no weight; None where there is none.

        Returns:
            context (batch, steps, hidden_size) and weights (batch, steps, regions), the heads' mean, each row summing
            to 1.
        """
        return self.attend(self.query(states), self.split(keys).transpose(2, 3), self.split(values), real)

    def attend(
        self, queries: Tensor, keys: Tensor, values: Tensor, real: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Attend to keys and values that were split into heads beforehand, once for all steps of a search.

        Args:
            queries: (batch, steps, hidden_size), what `query` makes of the states.
            keys: (batch, heads, width, regions), where width is hidden_size / heads.
            values: (batch, heads, regions, width).
            real: (batch, regions), as in `forward`.
        """
        query = self.split(queries) / math.sqrt(keys.shape[2])
        scores = query @ keys
        if real is not None:
            scores = scores.masked_fill(~real[:, None, None], -torch.inf)
        wide = torch.promote_types(scores.dtype, torch.float32)  # a CPU's softmax of bfloat16 is slower
        weights = scores.to(wide).softmax(dim=-1).to(values.dtype)
        context = (weights @ values).transpose(1, 2).flatten(2)
        return context, weights.mean(dim=1)

    def split(self, tensor: Tensor) -> Tensor:
        """(batch, length, hidden_size) as (batch, heads, length, hidden_size / heads)."""
        return tensor.view(*tensor.shape[:2], self.heads, -1).transpose(1, 2)
