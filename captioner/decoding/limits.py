"""Searches in which each image's captions have a limit of their own, so that all can share a batch.

One step model becomes another, so the searches need no change.
"""

import torch
from torch import Tensor

from captioner.decoding.steps import Rows, StepModel, Tensors
from captioner.text.vocabulary import Vocabulary

_LEFT = "with_limits.left"  # words that may still follow, beside the decoder's own state


class WithLimits:
    """A decoder that can only end where an image's limit is reached.

    What must not follow then gives its probability to `<pad>`, which no search ever chooses, so that log-probabilities
    stay the decoder's own.

    Args:
        model: the decoder.
    """

    def __init__(self, model: StepModel) -> None:
        self.model = model

    def start(self, state: Tensors, limits: Tensor) -> Tensors:
        """The decoder's state (B, ...) at a search's beginning, and the most words (B,) of each image's captions."""
        return {**state, _LEFT: limits.to(next(iter(state.values())).device)}

    def step(
        self, tokens: Tensor, state: Tensors, context: Tensors, rows: Rows
    ) -> tuple[Tensor, Tensors, Tensor | None]:
        """Read one token a hypothesis, and score what may follow."""
        left, own = state[_LEFT], {name: value for name, value in state.items() if name != _LEFT}
        logits, own, attention = self.model.step(tokens, own, context, rows)
        if (closed := left <= 0).any():
            logits = torch.where(closed.unsqueeze(1), _only_end(logits.float()), logits.float())
        return logits, {**own, _LEFT: left - 1}, attention


def _only_end(logits: Tensor) -> Tensor:
    """Logits (N, V) that leave the end its probability."""
    log_probs = logits.log_softmax(-1)
    only = torch.full_like(logits, -torch.inf)
    only[:, Vocabulary.end] = log_probs[:, Vocabulary.end]
    log_probs[:, Vocabulary.end] = -torch.inf
    only[:, Vocabulary.pad] = log_probs.logsumexp(-1)
    return only
