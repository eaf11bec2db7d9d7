"""Searches in which nothing follows itself at once: "on a plate on a plate" is what recurrent networks fall into.

One step model becomes another, so the searches need no change.
"""

import torch
from torch import Tensor

from captioner.decoding.steps import Rows, StepModel, Tensors, batch_size
from captioner.text.vocabulary import Vocabulary

_WORDS = "without_repeats.words"  # what has been read, beside the decoder's own state


class WithoutRepeats:
    """A decoder that says no word, and no run of words, twice in a row.

    What must not follow gives its probability to `<pad>`, which no search ever chooses, so that log-probabilities stay
    the decoder's own.

    Args:
        model: the decoder.
        free: which words (V,) may follow themselves, as digits do; none by default.
    """

    def __init__(self, model: StepModel, free: Tensor | None = None) -> None:
        self.model, self.free = model, free

    def start(self, state: Tensors) -> Tensors:
        """The decoder's state (B, ...) at a search's beginning, and that no word was read yet."""
        words = torch.empty(batch_size(state), 0, dtype=torch.long, device=next(iter(state.values())).device)
        return {**state, _WORDS: words}

    def step(
        self, tokens: Tensor, state: Tensors, context: Tensors, rows: Rows
    ) -> tuple[Tensor, Tensors, Tensor | None]:
        """Read one token a hypothesis, and score what may follow."""
        own = {name: value for name, value in state.items() if name != _WORDS}
        words = torch.cat([state[_WORDS], tokens.unsqueeze(1)], dim=1)
        logits, own, attention = self.model.step(tokens, own, context, rows)
        logits = logits.float()
        for size in range(1, words.shape[1] // 2 + 1):
            _ban(logits, words, size, self.free if size == 1 else None)
        return logits, {**own, _WORDS: words}, attention


def _ban(logits: Tensor, words: Tensor, size: int, free: Tensor | None) -> None:
    """Take the word away with which the last `size` words would be those before them.

    Args:
        logits: (N, V), changed in place.
        words: (N, t), the words so far, `<start>` included.
        size: of the run.
        free: words (V,) that are not taken away; None for no such word.
    """
    steps = words.shape[1]
    last, before = words[:, steps - size + 1 :], words[:, steps - 2 * size + 1 : steps - size]
    again = (last == before).all(1, keepdim=True)
    if free is not None:
        again &= ~free[words[:, -1:]]
    banned = torch.where(again, words[:, steps - size, None], Vocabulary.pad)
    taken = logits.gather(1, banned).masked_fill(~again, -torch.inf)
    logits.scatter_(1, banned, torch.where(again, -torch.inf, logits[:, Vocabulary.pad, None]))
    logits[:, Vocabulary.pad] = torch.logaddexp(logits[:, Vocabulary.pad], taken.squeeze(1))
