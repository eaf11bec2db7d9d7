"""Cross-entropy over a large vocabulary, in blocks that fit a processor's cache.

With 10,000 words the scores are a hundred times as large as what they are made from. Written out for a whole batch, as
`nn.functional.cross_entropy` needs them, they make the softmax cost as much as all matrix products of a training step.
"""

from typing import Any

import torch
from torch import Tensor

ROWS = 128


def linear_cross_entropy(
    inputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy of `inputs @ weight.T + bias`.

    Args:
        inputs: (rows, width); the products are computed in their type.
        weight: (vocabulary, width).
        bias: (vocabulary,).
        targets: (rows,) ids.
        label_smoothing: probability mass spread evenly over all words (Szegedy et al., 2016).
    """
    loss: Tensor = _LinearCrossEntropy.apply(inputs, weight, bias, targets, label_smoothing)
    return loss


class _LinearCrossEntropy(torch.autograd.Function):
    """The gradients are computed with the loss, while a block's probabilities are at hand."""

    @staticmethod
    def forward(
        ctx: Any, inputs: Tensor, weight: Tensor, bias: Tensor, targets: Tensor, label_smoothing: float
    ) -> Tensor:
        evenly = label_smoothing / len(weight)
        matrix = weight.to(inputs.dtype)
        gradient = inputs.new_empty(len(inputs), len(weight))
        of_bias = torch.zeros_like(bias)
        loss = bias.new_zeros(())
        for first in range(0, len(inputs), ROWS):
            block = slice(first, first + ROWS)
            logits = (inputs[block] @ matrix.t()).float().add_(bias)
            chosen = targets[block, None]
            loss -= (1 - label_smoothing) * logits.gather(1, chosen).sum() + evenly * logits.sum()
            highest = logits.amax(1, keepdim=True)
            probabilities = logits.sub_(highest).exp_()
            total = probabilities.sum(1, keepdim=True)
            loss += (total.log() + highest).sum()
            probabilities /= total
            taken = probabilities.new_full((1, 1), label_smoothing - 1).expand(chosen.shape)
            probabilities.sub_(evenly).scatter_add_(1, chosen, taken)
            of_bias += probabilities.sum(0)
            gradient[block] = probabilities
        rows = len(inputs)
        ctx.save_for_backward(
            (gradient @ matrix) / rows, (gradient.t() @ inputs).to(weight.dtype) / rows, of_bias / rows
        )
        return loss / rows

    @staticmethod
    def backward(ctx: Any, *outer: Tensor) -> tuple[Tensor | None, ...]:
        of_inputs, of_weight, of_bias = ctx.saved_tensors
        scale = outer[0]
        return of_inputs * scale.to(of_inputs.dtype), of_weight * scale, of_bias * scale, None, None
