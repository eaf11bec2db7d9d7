"""A recurrent network small enough to search exhaustively, and the plain ways to score with it."""

import pytest
import torch

from captioner.decoding.steps import Rows
from captioner.text.vocabulary import SPECIALS, Vocabulary


class TinyModel:
    """A tanh network with random weights, in float64; it checks the shapes it is given and counts its steps."""

    def __init__(self, seed, vocabulary_size=7, end_bias=0.0):
        generator = torch.Generator().manual_seed(seed)

        def weights(*shape):
            return torch.randn(*shape, generator=generator, dtype=torch.float64) * 2 / shape[0] ** 0.5

        self.embedding, self.recurrent = 2 * weights(vocabulary_size, 6), weights(6, 6)
        self.picture, self.output, self.look = weights(4, 6), weights(6, vocabulary_size), weights(6, 3)
        self.bias = torch.zeros(vocabulary_size, dtype=torch.float64)
        self.bias[Vocabulary.end] = end_bias
        self.words = range(len(SPECIALS), vocabulary_size)
        self.calls = []

    def start(self, images, seed=0):
        context = torch.randn(images, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        return {"h": torch.zeros(images, 6, dtype=torch.float64)}, {"picture": context}

    def step(self, tokens, state, context, rows):
        assert len(context["picture"]) == rows.images
        assert len(tokens) == len(state["h"]) == (rows.images * rows.beams if rows.places is None else len(rows.places))
        self.calls.append((rows.images, rows.beams, len(tokens)))
        picture = rows.of_images(context["picture"] @ self.picture)
        hidden = torch.tanh(self.embedding[tokens] + state["h"] @ self.recurrent + picture)
        return hidden @ self.output + self.bias, {"h": hidden}, (hidden @ self.look).softmax(-1)

    def score(self, picture, words):
        """Log-probability of each word and the end, and the attention of each, by teacher forcing."""
        state, each, attention, last = self.start(1)[0], [], [], Vocabulary.start
        for word in [*words, Vocabulary.end]:
            logits, state, weights = self.step(torch.tensor([last]), state, {"picture": picture[None]}, Rows(1, 1))
            each.append(float(logits[0].log_softmax(-1)[word]))
            attention.append(weights[0])
            last = word
        return each, torch.stack(attention)


@pytest.fixture(scope="session")
def tiny():
    return TinyModel
