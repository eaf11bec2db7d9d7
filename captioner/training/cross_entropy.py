"""Cross-entropy over a large vocabulary, in blocks that fit a processor's cache, and among the answers of a batch.

With 10,000 words the scores are a hundred times as large as what they are made from. Written out for a whole batch, as
`nn.functional.cross_entropy` needs them, they make the softmax cost as much as all matrix products of a training step.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

ROWS = 128
SHARPEST = 100.0
"""That cosines are multiplied by at most where they are scores, as in CLIP (Radford et al., 2021)."""


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


def matching_cross_entropy(scores: Tensor) -> Tensor:
    """Mean cross-entropy of the right answer among a batch's, both ways (InfoNCE, van den Oord et al., 2018).

    Args:
        scores: (..., N, N), of each query's answers; the right ones are on the diagonal.
    """
    right = torch.arange(scores.shape[-1], device=scores.device).repeat(scores[..., 0, 0].numel())
    both = (cross_entropy(each.flatten(0, -2), right) for each in (scores, scores.transpose(-1, -2)))
    return torch.stack(list(both)).mean()
