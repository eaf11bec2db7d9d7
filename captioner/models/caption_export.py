"""A captioner's networks in the form that other programs run: pixels to a grid, a grid to a beginning, and one step.

Each is a plain function of tensors without Python's choices in it, so that `torch.export` can follow it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from captioner.models.caption_network import CaptionDecoder
from captioner.models.phrases import LONGEST, SCALE, Phrases
from captioner.models.search import Finder, SearchNetwork
from captioner.recurrent.stepping import CELLS
from captioner.text.vocabulary import SPECIALS, Vocabulary

STATE = {"tanh": ("h",), "gru": ("h",), "lstm": ("h", "c")}
"""The parts of a unit's state."""


def context_names(decoder: CaptionDecoder) -> tuple[str, ...]:
    """What every step reads of an image, in order."""
    config = decoder.config
    return ("keys", "values") * config.attention + ("inner", "content") * config.content_vector


class StartNetwork(nn.Module):
    """A search's beginning.

    Args:
        decoder: of a captioner.
    """

    def __init__(self, decoder: CaptionDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, grid: Tensor) -> tuple[Tensor, ...]:
        """State and context of images.

        Args:
            grid: (images, regions, channels), as an encoder gives it.

        Returns:
            the state's parts (images, 1, layers, hidden), and the context's: keys (images, heads, width, regions),
            values (images, heads, regions, width), inner and content (images, 1, embedding).
        """
        decoder, config = self.decoder, self.decoder.config
        pooled = grid.mean(dim=1)
        content = decoder.content(pooled) if config.content_vector else None
        first = decoder.image_projection(pooled if content is None else content)
        zeros = torch.zeros_like(first[:, :1]).expand(-1, config.hidden_size)
        states = [[zeros for _ in STATE[config.unit]] for _ in range(config.layers)]
        state = _advance(decoder, first, states)[1]
        context: list[Tensor] = []
        if config.attention:
            parts = decoder.attention.split(decoder.regions(grid))
            context += [parts.transpose(2, 3), parts]
        if content is not None:
            context += [decoder.inner(content)[:, None], content[:, None]]
        return (*(part[:, None] for part in state), *context)


class StepNetwork(nn.Module):
    """One word further.

    Args:
        decoder: of a captioner.
    """

    def __init__(self, decoder: CaptionDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, tokens: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """Score what may follow each hypothesis.

        Args:
            tokens: (images, hypotheses), each hypothesis' last word.
            parts: state (images, hypotheses, layers, hidden) and context, in the order that `StartNetwork` gives them.

        Returns:
            log-probabilities (images, hypotheses, vocabulary), attention (images, hypotheses, regions) where the
            decoder has it, and the new state.
        """
        decoder, config = self.decoder, self.decoder.config
        images, beams = tokens.shape
        count = len(STATE[config.unit])
        context = dict(zip(context_names(decoder), parts[count:], strict=True))
        words = decoder.embedding(tokens).flatten(0, 1) * config.embedding_size**0.5
        states = [[part.flatten(0, 1)[:, layer] for part in parts[:count]] for layer in range(config.layers)]
        hidden, new = _advance(decoder, words, states)
        read = hidden.view(images, beams, config.hidden_size)
        weights: tuple[Tensor, ...] = ()
        if config.attention:
            queries = decoder.attention.query(read)
            attended, attention = decoder.attention.attend(queries, context["keys"], context["values"])
            read, weights = torch.cat([read, attended], dim=-1), (attention,)
        readout = decoder.output_projection(read)
        if config.content_vector:
            readout = torch.tanh(readout + context["inner"]) + context["content"]
        else:
            readout = torch.tanh(readout)
        log_probs = decoder.logits(readout).log_softmax(dim=-1)
        return (log_probs, *weights, *(part.unflatten(0, (images, beams)) for part in new))


class FitNetwork(nn.Module):
    """How well captions fit images, by the quick part of a search and by the phrases that captions probably hold.

    Args:
        finder: of a captioner, with one of them or both.
    """

    def __init__(self, finder: Finder) -> None:
        super().__init__()
        self.network = finder.network if finder.caption_weight else None
        self.phrases = finder.phrases
        self.weight = finder.caption_weight
        self.embedding = finder.captioner.decoder.embedding

    def forward(self, grid: Tensor, tokens: Tensor) -> Tensor:
        """What counts beside log-probabilities that are normalised by length (images, captions).

        Args:
            grid: (images, regions, channels), as an encoder gives it.
            tokens: (images, captions, steps), each caption's, its end, and padding.
        """
        pooled = grid.mean(dim=1)
        fits = torch.zeros_like(tokens[..., 0], dtype=grid.dtype)
        if self.network is not None:
            fits = fits + self.weight * self._cosines(self.network, pooled, tokens)
        if self.phrases is not None:
            fits = fits + self.phrases.weight * self._expected(self.phrases, pooled, tokens)
        return fits

    def _cosines(self, quick: SearchNetwork, pooled: Tensor, tokens: Tensor) -> Tensor:
        captions, recurrent = tokens.flatten(0, 1), quick.recurrent
        network = recurrent.network
        assert isinstance(network, nn.RNNBase)
        weight, repeated, bias, repeated_bias = network.all_weights[0]
        words = self.embedding(captions) * self.embedding.embedding_dim**0.5
        inputs = nn.functional.linear(words, weight, bias)
        zeros = torch.zeros_like(inputs[:, 0, : recurrent.hidden_size])
        state, strongest = [zeros for _ in STATE[recurrent.unit]], zeros - 1
        cell: Callable[..., tuple[Tensor, ...]] = CELLS[recurrent.unit]
        for step in range(tokens.shape[2]):
            product = nn.functional.linear(state[0], repeated, repeated_bias)
            state = list(cell(inputs[:, step], product, *state))
            real = captions[:, step, None] != Vocabulary.pad
            strongest = torch.where(real, torch.maximum(strongest, state[0]), strongest)
        texts = nn.functional.normalize(quick.sentence(strongest), dim=-1).unflatten(0, tokens.shape[:2])
        return (texts * quick.look(pooled)[:, None]).sum(-1)

    def _expected(self, phrases: Phrases, pooled: Tensor, tokens: Tensor) -> Tensor:
        """As `Phrases.fit`, of tokens (images, captions, steps), word by word: OpenVINO has no keys of 64 bits."""
        expected, captions = phrases.expected(pooled), tokens.flatten(0, 1).to(torch.int32)
        images = expected[:, None].expand(-1, tokens.shape[1], -1).flatten(0, 1)
        grams = phrases.grams.to(torch.int32)
        lengths = (grams >= 0).sum(1)
        found = torch.zeros_like(images[:, 0])
        for size in range(1, min(LONGEST, tokens.shape[2]) + 1):
            runs = captions.unfold(1, size, 1)
            real = (runs >= len(SPECIALS)).all(-1)
            alike, twice = lengths == size, real.unsqueeze(1)
            for place in range(size):
                words = runs[..., place]
                alike = alike & (words.unsqueeze(2) == grams[:, place])
                twice = twice & (words.unsqueeze(2) == words.unsqueeze(1))
            same, times = alike.to(expected.dtype), twice.sum(2)
            known = same.sum(2)
            idf = (same @ phrases.idf + (1 - known) * phrases.rare) * real
            norms = (times * idf.square()).sum(1).sqrt()
            products = (idf * known * (same * images.unsqueeze(1)).sum(2)).sum(1)
            found = found + products / norms.clamp(min=1e-6)
        return SCALE * found.unflatten(0, tokens.shape[:2])


def _advance(decoder: CaptionDecoder, inputs: Tensor, states: list[list[Tensor]]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """The last layer's states (rows, hidden), and the new state's parts (rows, layers, hidden).

    Args:
        decoder: whose recurrent network it is.
        inputs: (rows, embedding).
        states: of each layer its parts (rows, hidden).
    """
    network = decoder.recurrent.network
    assert isinstance(network, nn.RNNBase)
    cell: Callable[..., tuple[Tensor, ...]] = CELLS[decoder.config.unit]
    made = []
    for (weight, recurrent, bias, recurrent_bias), old in zip(network.all_weights, states, strict=True):
        product = nn.functional.linear(old[0], recurrent, recurrent_bias)
        made.append(cell(nn.functional.linear(inputs, weight, bias), product, *old))
        inputs = made[-1][0]
    return inputs, tuple(torch.stack(parts, dim=1) for parts in zip(*made, strict=True))
