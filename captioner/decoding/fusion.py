"""Shallow fusion: a language model scores every word beside the captioner (Gülçehre et al., 2015).

A hypothesis is worth log p(captioner) + weight * log p(language model), word by word. Two step models become one, so
the searches need no change.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from captioner.decoding.steps import Rows, StepModel, Tensors, batch_size
from captioner.errors import UsageError
from captioner.text.vocabulary import Vocabulary

_OTHER = "language."  # what the language model's part of the state is called


class ShallowFusion:
    """A captioner's decoder and a language model, stepped as one.

    Words are matched as strings. The language model's probability of `<unk>` is divided evenly among the captioner's
    words that it does not know.

    Args:
        model: the decoder.
        language: the language model; it reads no context.
        begin: the language model's state before any word, (1, ...) each.
        words: the decoder's vocabulary.
        known: the language model's vocabulary.
        weight: of the language model's log-probabilities, at least 0.

    Raises:
        UsageError: the weight is negative or no number.
    """

    def __init__(
        self,
        model: StepModel,
        language: StepModel,
        begin: Mapping[str, Tensor],
        words: Vocabulary,
        known: Vocabulary,
        weight: float,
    ) -> None:
        if not 0 <= weight < float("inf"):
            raise UsageError(f"the language model's weight is {weight}; it must be a number of at least 0.")
        self.model = model
        self.language = language
        self.begin = begin
        self.weight = weight
        device = next(iter(begin.values())).device
        self.places = torch.tensor(known.encode(words.tokens), device=device)
        unknown = self.places == known.unk
        self.shares = torch.where(unknown, -unknown.sum().float().log(), 0.0)

    def start(self, state: Tensors) -> Tensors:
        """The decoder's state (B, ...) at a search's beginning with the language model's beside it."""
        count = batch_size(state)
        begin = {_OTHER + name: value.expand(count, *value.shape[1:]) for name, value in self.begin.items()}
        return {**state, **begin}

    def step(
        self, tokens: Tensor, state: Tensors, context: Tensors, rows: Rows
    ) -> tuple[Tensor, Tensors, Tensor | None]:
        """Read one token a hypothesis; the logits are the fused scores.

        The exponentials of all words' fused scores sum to less than 1; `<pad>`, which no search chooses, gets the rest,
        so that normalising the scores changes nothing.
        """
        own = {name: value for name, value in state.items() if not name.startswith(_OTHER)}
        other = {name.removeprefix(_OTHER): value for name, value in state.items() if name.startswith(_OTHER)}
        logits, own, attention = self.model.step(tokens, own, context, rows)
        scores, other, _ = self.language.step(self.places[tokens], other, {}, rows)
        fluency = scores.float().log_softmax(-1).index_select(-1, self.places) + self.shares
        fused = logits.float().log_softmax(-1) + self.weight * fluency
        fused[..., Vocabulary.pad] = -torch.inf
        whole = fused.logsumexp(-1).clamp(max=-1e-6)
        fused[..., Vocabulary.pad] = (-whole.expm1()).log()
        return fused, {**own, **{_OTHER + name: value for name, value in other.items()}}, attention
