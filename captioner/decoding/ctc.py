"""Texts from the columns of a reader: the best path, prefix beam search, and which columns show which character.

A reader says of each column which character it shows, or blank. Under CTC (Graves et al., 2006) a labelling of the
columns becomes a text when equal neighbours are joined and blanks dropped, and a text's probability is the sum over all
labellings that become it. Prefix beam search (Hannun et al., 2014) sums as it goes, and lets a language model or a list
of words score every character too.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import ctc_loss

from captioner.text.alphabet import BLANK

Floats = NDArray[np.float32]
_TRIED = 12  # characters of a column that a search considers; the rest together have next to no probability
_LEAST = -9.0  # log-probability below which a character is not considered


@dataclass(frozen=True)
class Span:
    """The columns that show a character.

    Attributes:
        first: column.
        last: column, which is shown too.
        probability: the highest that the character has in any of them.
    """

    first: int
    last: int
    probability: float


def columns_needed(ids: Sequence[int]) -> int:
    """The fewest columns that can show a text: one a character, and a blank between equal ones."""
    return len(ids) + sum(first == second for first, second in pairwise(ids))


def best_path(log_probs: Tensor) -> list[int]:
    """The ids of the text that the likeliest label of each column (columns, classes) gives."""
    labels = torch.unique_consecutive(log_probs.argmax(dim=-1)).tolist()
    return [label for label in labels if label != BLANK]


def best_spans(log_probs: Floats) -> tuple[list[int], list[Span]]:
    """The ids that `best_path` gives, and the columns that show each, which are the likeliest ones for this text."""
    labels = log_probs.argmax(axis=-1)
    starts = np.flatnonzero(np.concatenate(([True], labels[1:] != labels[:-1])))
    ends = np.append(starts[1:], len(labels))
    heights = np.exp(np.maximum.reduceat(log_probs.max(axis=-1), starts))
    runs = zip(labels[starts].tolist(), starts.tolist(), ends.tolist(), heights.tolist(), strict=True)
    shown = [(label, Span(first, end - 1, height)) for label, first, end, height in runs if label != BLANK]
    return [label for label, _ in shown], [span for _, span in shown]


def log_probabilities(
    log_probs: Tensor, texts: Sequence[Sequence[int]], columns: Sequence[int] | None = None
) -> Tensor:
    """The log-probability of a text for each line, summed over all its labellings.

    Args:
        log_probs: (lines, columns, classes).
        texts: the ids of one text a line.
        columns: how many of each line's columns are real; all by default.

    Returns:
        (lines,), minus infinity where a line has too few columns for its text.
    """
    lengths = torch.tensor([len(ids) for ids in texts])
    targets = torch.tensor([each for ids in texts for each in ids], dtype=torch.long)
    real = torch.full((len(texts),), log_probs.shape[1]) if columns is None else torch.tensor(columns)
    return -ctc_loss(log_probs.cpu().transpose(0, 1), targets, real, lengths, reduction="none")


def align(log_probs: Floats, ids: Sequence[int]) -> list[Span]:
    """The columns of each character in the likeliest labelling that gives a text (Viterbi's algorithm).

    Args:
        log_probs: (columns, classes).
        ids: of the text, for which there are enough columns.
    """
    if not ids:
        return []
    states = np.full(2 * len(ids) + 1, BLANK)
    states[1::2] = ids
    # a character may follow the one before it with no blank between, unless they are equal
    skips = np.zeros(len(states), bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    scores = np.full(len(states), -np.inf, np.float64)
    scores[:2] = log_probs[0, states[:2]]
    moves = np.zeros((len(log_probs), len(states)), np.int8)
    for column in range(1, len(log_probs)):
        one = np.concatenate(([-np.inf], scores[:-1]))
        two = np.where(skips, np.concatenate(([-np.inf, -np.inf], scores[:-2])), -np.inf)
        choices = np.stack((scores, one, two))
        moves[column] = choices.argmax(axis=0)
        scores = choices.max(axis=0) + log_probs[column, states]
    state = len(states) - 1 if scores[-1] >= scores[-2] else len(states) - 2
    path = np.empty(len(log_probs), np.int64)
    for column in range(len(log_probs) - 1, -1, -1):
        path[column] = state
        state -= int(moves[column, state])
    spans = []
    for place, label in enumerate(ids):
        columns = np.flatnonzero(path == 2 * place + 1)
        first, last = int(columns[0]), int(columns[-1])
        spans.append(Span(first, last, float(np.exp(log_probs[first : last + 1, label].max()))))
    return spans


class NextCharacter(Protocol):
    """A language model of characters, as a search asks it."""

    def score(self, texts: Sequence[tuple[int, ...]]) -> Floats:
        """Log-probabilities (texts, classes) of the character that follows each text; the blank's mean nothing."""


class WordList:
    """Words that a text may consist of, as a tree of their characters; case is as in the list.

    Args:
        words: the ids of each.
        space: the id of the space, or None if the reader has none.
    """

    def __init__(self, words: Iterable[Sequence[int]], space: int | None) -> None:
        self.space = space
        self._root: dict[int, dict[int, object]] = {}
        for word in words:
            node: dict = self._root  # type: ignore[type-arg]
            for character in word:
                node = node.setdefault(character, {})
            node[BLANK] = {}  # a word may end here

    def allows(self, text: Sequence[int]) -> set[int]:
        """The characters that may follow a text; the blank among them if the text may end."""
        node: dict = self._root  # type: ignore[type-arg]
        for character in text:
            node = self._root if character == self.space else node.get(character, {})
        allowed = set(node)
        if BLANK in allowed and self.space is not None:
            allowed.add(self.space)
        return allowed


@dataclass
class Beam:
    """How texts are searched for.

    Attributes:
        size: hypotheses that are kept.
        language: a language model of characters, or None.
        weight: how much it has to say.
        bonus: added for each character, since a language model makes longer texts less likely.
        words: the only words a text may have, or None.
    """

    size: int = 8
    language: NextCharacter | None = None
    weight: float = 0.3
    bonus: float = 0.5
    words: WordList | None = None


@dataclass
class _Hypothesis:
    """A text so far: log-probabilities of its labellings that end in a blank, and of those that do not."""

    ids: tuple[int, ...]
    blank: float = -np.inf
    other: float = -np.inf
    prior: float = 0.0  # what the language model says, weighted
    next: Floats | None = None
    allowed: set[int] | None = field(default=None)

    @property
    def total(self) -> float:
        return float(np.logaddexp(self.blank, self.other))

    @property
    def score(self) -> float:
        return self.total + self.prior


def beam_search(log_probs: Floats, beam: Beam) -> list[int] | None:
    """The ids of the best text for the columns (columns, classes) of a line; None if no word of the list fits."""
    hypotheses: dict[tuple[int, ...], _Hypothesis] = {(): _Hypothesis((), blank=0.0)}
    for column in log_probs:
        _ask(hypotheses.values(), beam)
        hypotheses = _prune(_extend(hypotheses, column, beam), beam.size)
    if beam.words is not None:
        words = beam.words
        hypotheses = {ids: each for ids, each in hypotheses.items() if BLANK in words.allows(ids)}
        if not hypotheses:
            return None
    return list(max(hypotheses.values(), key=lambda each: each.score).ids)


def _ask(hypotheses: Iterable[_Hypothesis], beam: Beam) -> None:
    """Look up what may follow the texts that are new."""
    new = [each for each in hypotheses if each.next is None]
    if beam.language is not None and new:
        for hypothesis, scores in zip(new, beam.language.score([each.ids for each in new]), strict=True):
            hypothesis.next = scores
    if beam.words is not None:
        for hypothesis in hypotheses:
            if hypothesis.allowed is None:
                hypothesis.allowed = beam.words.allows(hypothesis.ids)


def _extend(
    hypotheses: dict[tuple[int, ...], _Hypothesis], column: Floats, beam: Beam
) -> dict[tuple[int, ...], _Hypothesis]:
    """All texts that one more column can lead to."""
    chosen = np.argpartition(column, -min(_TRIED, len(column)))[-_TRIED:]
    tried = [int(label) for label in chosen if label != BLANK and column[label] > _LEAST]
    found: dict[tuple[int, ...], _Hypothesis] = {}
    for ids, old in hypotheses.items():
        same = found.get(ids)
        if same is None:
            same = found[ids] = _Hypothesis(ids, prior=old.prior)
        same.next, same.allowed = old.next, old.allowed
        same.blank = float(np.logaddexp(same.blank, old.total + column[BLANK]))
        if ids:  # the last character goes on
            same.other = float(np.logaddexp(same.other, old.other + column[ids[-1]]))
        for label in tried:
            if old.allowed is not None and label not in old.allowed:
                continue
            # an equal character begins anew only after a blank
            before = old.blank if ids and label == ids[-1] else old.total
            if before == -np.inf:
                continue
            longer = (*ids, label)
            new = found.get(longer)
            if new is None:
                said = beam.weight * float(old.next[label]) + beam.bonus if old.next is not None else 0.0
                new = found[longer] = _Hypothesis(longer, prior=old.prior + said)
            new.other = float(np.logaddexp(new.other, before + column[label]))
    return found


def _prune(found: dict[tuple[int, ...], _Hypothesis], size: int) -> dict[tuple[int, ...], _Hypothesis]:
    best = sorted(found.values(), key=lambda each: each.score, reverse=True)[:size]
    return {each.ids: each for each in best}
