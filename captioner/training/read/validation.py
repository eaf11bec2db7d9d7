"""Scores of a reader in training: its best paths against the true texts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from captioner.decoding.ctc import best_path, log_probabilities
from captioner.metrics.line_scores import LineScores, alphanumeric
from captioner.models.read_network import ReaderNetwork
from captioner.text.alphabet import Alphabet
from captioner.training.loop import Scores
from captioner.vision.images import Pixels

BATCH = 32


@dataclass(frozen=True)
class Answers:
    """What a network reads in lines.

    Attributes:
        texts: of the lines.
        log_probabilities: of each text.
    """

    texts: list[str]
    log_probabilities: list[float]


@torch.inference_mode()
def read_lines(network: ReaderNetwork, alphabet: Alphabet, lines: Sequence[Pixels]) -> Answers:
    """Read lines with a network as it is, those of one width in batches.

    Args:
        network: in evaluation mode.
        alphabet: of its classes.
        lines: (height, width) inputs.
    """
    device = next(network.parameters()).device
    texts, likely = [""] * len(lines), [0.0] * len(lines)
    order = sorted(range(len(lines)), key=lambda place: lines[place].shape[1])
    while order:
        width = lines[order[0]].shape[1]
        batch = [place for place in order[:BATCH] if lines[place].shape[1] == width]
        order = order[len(batch) :]
        pixels = torch.from_numpy(np.stack([lines[place] for place in batch])).to(device)
        log_probs = network(pixels).float().log_softmax(dim=-1).cpu()
        found = [best_path(each) for each in log_probs]
        for place, ids, value in zip(batch, found, log_probabilities(log_probs, found).tolist(), strict=True):
            texts[place], likely[place] = alphabet.decode(ids), value
    return Answers(texts, likely)


def score_answers(truths: Sequence[str], texts: Sequence[str]) -> tuple[float, Scores]:
    """What a training goes by, minus the character error rate, and the scores to record."""
    scores = LineScores.of(truths, texts).totals
    return -scores["CER"], {"lines": scores}


def are_right(truths: Sequence[str], texts: Sequence[str], *, loosely: bool) -> list[bool]:
    """Whether each line was read exactly; `loosely` goes by letters and digits in either case alone."""
    if loosely:
        return [alphanumeric(truth) == alphanumeric(text) for truth, text in zip(truths, texts, strict=True)]
    return [truth == text for truth, text in zip(truths, texts, strict=True)]
