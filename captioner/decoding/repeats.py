"""Searches in which nothing follows itself at once: "on a plate on a plate" is what recurrent networks fall into.

One step model becomes another, so the searches need no change.
"""

import torch
from torch import Tensor

from captioner.decoding.steps import Rows, StepModel, Tensors, batch_size
from captioner.text.vocabulary import Vocabulary

LONGEST = 32  # words of a run that does not follow itself
# beside the decoder's own state (N, LONGEST each): the last words, the newest first, and how many words in a row, up to
# the newest, are those that stand 1, 2, ... places before them
_LAST, _SAME = "without_repeats.last", "without_repeats.same"


class WithoutRepeats:
    """A decoder that says no word, and no run of up to `LONGEST` words, twice in a row.

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
        none = torch.zeros(batch_size(state), LONGEST, dtype=torch.long, device=next(iter(state.values())).device)
        return {**state, _LAST: none - 1, _SAME: none}

    def step(
        self, tokens: Tensor, state: Tensors, context: Tensors, rows: Rows
    ) -> tuple[Tensor, Tensors, Tensor | None]:
        """Read one token a hypothesis, and score what may follow."""
        own = {name: value for name, value in state.items() if name not in (_LAST, _SAME)}
        logits, own, attention = self.model.step(tokens, own, context, rows)
        last, token = state[_LAST], tokens.unsqueeze(1)
        same = (state[_SAME] + 1) * (last == token)
        last = torch.cat([token, last[:, :-1]], dim=1)
        # a run of n words would follow itself if its other n - 1 do already
        again = same >= torch.arange(LONGEST, device=same.device)
        if self.free is not None:
            again[:, :1] &= ~self.free[token]
        return _without(logits.float(), last, again), {**own, _LAST: last, _SAME: same}, attention


def _without(logits: Tensor, words: Tensor, banned: Tensor) -> Tensor:
    """Logits (N, V) without those of some words (N, M) that are banned (N, M)."""
    gone = torch.where(banned, words, Vocabulary.pad).sort(1).values
    once = torch.cat([gone[:, :1] != Vocabulary.pad, gone[:, 1:] != gone[:, :-1]], dim=1)
    taken = logits.gather(1, gone).masked_fill(~once, -torch.inf).logsumexp(1)
    left = logits.scatter(1, gone, -torch.inf)
    left[:, Vocabulary.pad] = torch.logaddexp(logits[:, Vocabulary.pad], taken)
    return left
