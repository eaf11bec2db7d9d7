"""The network that writes captions: features and the words so far in, the next word's scores out.

What the mean of the features says is the recurrent network's first input (Vinyals et al., 2015, "Show and Tell") and,
with a content vector, goes into the output too; with attention
each state after the recurrent step also looks at the grid (Xu et al., 2015, in the order of Luong et al., 2015), so a
whole teacher-forced caption is one recurrent call and one batched attention.
"""

import copy
import threading
from collections.abc import Callable
from typing import Generic, Literal, TypeVar

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from captioner.decoding.steps import Rows
from captioner.processor import multiplies_bfloat16
from captioner.recurrent.attention import GridAttention
from captioner.recurrent.stepping import StepwiseRNN, prepacked_linear, tanh
from captioner.recurrent.units import LockedDropout, Recurrent, State
from captioner.vision.encoder import Features, Precision

Network = TypeVar("Network", bound=nn.Module)
Made = TypeVar("Made")


class DecoderConfig(BaseModel):
    """The network that writes. `attention: false` is Show and Tell.

    Attributes:
        unit: of the recurrent network.
        layers: of the recurrent network.
        hidden_size: of each layer.
        embedding_size: of a word, read or written.
        attention: look at the grid after each step.
        heads: of the attention.
        content_vector: sum the picture up as a vector in the space of the word embeddings, as if it were the sum of
            the words that people would use of it. It is the first input, and it goes into every word's output, because
            a recurrent network forgets its first input within a few words. Without photos the words of a caption can
            make it, so that text teaches how to read it. Models saved before this was there do without.
        dropout: of inputs, features and states.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["tanh", "lstm", "gru"] = "lstm"
    layers: int = Field(1, ge=1)
    hidden_size: int = Field(512, ge=1)
    embedding_size: int = Field(512, ge=1)
    attention: bool = True
    heads: int = Field(8, ge=1)
    content_vector: bool = False
    dropout: float = Field(0.5, ge=0, lt=1)

    @model_validator(mode="after")
    def _heads_divide(self) -> "DecoderConfig":
        if self.attention and self.hidden_size % self.heads:
            raise ValueError(f"heads ({self.heads}) must divide hidden_size ({self.hidden_size})")
        return self


class CaptionDecoder(nn.Module):
    """Words from features. Input and output embeddings are one matrix (Press and Wolf, 2017).

    Args:
        config: sizes and choices.
        channels: width of the features.
        vocabulary_size: number of tokens, specials included.
    """

    def __init__(self, config: DecoderConfig, channels: int, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        width, hidden = config.embedding_size, config.hidden_size
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.image_projection = nn.Linear(width if config.content_vector else channels, width)
        self.recurrent = Recurrent(config.unit, width, hidden, config.layers, config.dropout)
        if config.attention:
            self.regions = nn.Sequential(nn.Linear(channels, hidden), nn.LayerNorm(hidden))
            self.attention = GridAttention(hidden, config.heads)
        self.output_projection = nn.Linear(hidden * (2 if config.attention else 1), width)
        if config.content_vector:
            self.content = nn.Linear(channels, width)
            self.inner = nn.Linear(width, width, bias=False)
            for layer in (self.image_projection, self.inner):  # sums of embeddings are small, inputs want unit variance
                nn.init.normal_(layer.weight, std=4 * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.dropout = LockedDropout(config.dropout)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def forward(self, features: Features | None, tokens: Tensor, content: Tensor | None = None) -> Tensor:
        """Hidden representations that predict each next token; `logits` makes them scores.

        Args:
            features: of the images, or None to read and write without pictures (a language model).
            tokens: (images, captions, steps) of every image's captions, from `start` on. Padding comes last, so it
                reaches no state that is used.
            content: (images, embedding_size), the content vectors; by default the features'.

        Returns:
            (images, captions, steps, embedding_size).
        """
        images, captions, steps = tokens.shape
        words = self._embed(tokens).flatten(0, 1)
        content = self._content(features) if content is None else content
        first = self._first_input(features, content, images, words)
        first = first[:, None].expand(-1, captions, -1).reshape(images * captions, 1, -1)
        states, _ = self.recurrent(torch.cat([first, words], dim=1))
        states = self.dropout(states[:, 1:]).reshape(images, captions * steps, -1)
        readout, _ = self._read_out(states, self._context(features, content))
        return readout.view(images, captions, steps, -1)

    @property
    def output(self) -> tuple[Tensor, Tensor]:
        """What makes representations scores: a matrix (vocabulary, embedding_size) and a bias (vocabulary,)."""
        return self.embedding.weight, self.bias

    def logits(self, readout: Tensor) -> Tensor:
        """Scores (..., vocabulary) of representations (..., embedding_size)."""
        return nn.functional.linear(readout, *self.output)

    def start(self, features: Features) -> tuple[State, dict[str, Tensor]]:
        """A search's beginning: the state after the picture, (images, layers, hidden), and each image's context."""
        content = self._content(features)
        first = self._first_input(features, content, len(features), self.embedding.weight)
        _, state = self.recurrent(first[:, None])
        return state, self._context(features, content)

    def summary(self, features: Features) -> Tensor:
        """What the mean of the features says (images, embedding_size): the content vector, or else the first input."""
        content = self._content(features)
        return self.image_projection(features.pooled) if content is None else content

    def follow(self, tokens: Tensor, state: State, context: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Hidden representations that predict each next token of given captions, from where `start` begins.

        Args:
            tokens: (images, captions, steps), as `forward` takes them.
            state: (images, layers, hidden) each, as `start` gives it.
            context: of each image, as `start` gives it.

        Returns:
            (images, captions, steps, embedding_size), and the attention's weights (images, captions, steps, regions)
            or None.
        """
        images, captions, steps = tokens.shape
        begin = {name: value.repeat_interleave(captions, 0) for name, value in state.items()}
        states, _ = self.recurrent(self._embed(tokens).flatten(0, 1), begin)
        readout, weights = self._read_out(states.reshape(images, captions * steps, -1), context)
        weights = None if weights is None else weights.view(images, captions, steps, -1)
        return readout.view(images, captions, steps, -1), weights

    def step(
        self, tokens: Tensor, state: State, context: dict[str, Tensor], rows: Rows
    ) -> tuple[Tensor, State, Tensor | None]:
        """One word further in a search.

        Args:
            tokens: (hypotheses,), each one's last word.
            state: (hypotheses, layers, hidden) each.
            context: of each image, as `start` gives it.
            rows: which hypotheses of which image they are.

        Returns:
            logits (hypotheses, vocabulary), the new state, and the attention's weights (hypotheses, regions) or None.
        """
        states, new = self.recurrent(self._embed(tokens[:, None]), state)
        readout, weights = self._read_out(rows.spread(states.squeeze(1)), context)
        return self.logits(rows.pick(readout)), new, None if weights is None else rows.pick(weights)

    def _embed(self, tokens: Tensor) -> Tensor:
        # tied embeddings are small enough for the output; inputs want unit variance
        return self.dropout(self.embedding(tokens) * self.config.embedding_size**0.5)

    def _content(self, features: Features | None) -> Tensor | None:
        """The content vectors (images, embedding_size) of features."""
        return self.content(features.pooled) if features is not None and self.config.content_vector else None

    def _first_input(self, features: Features | None, content: Tensor | None, images: int, like: Tensor) -> Tensor:
        if content is not None:
            return self.image_projection(content)
        if features is None:
            return like.new_zeros(images, self.config.embedding_size)
        return self.image_projection(self.dropout(features.pooled[:, None])).squeeze(1)

    def _context(self, features: Features | None, content: Tensor | None) -> dict[str, Tensor]:
        """What all words read of each image."""
        context: dict[str, Tensor] = {}
        if features is not None and self.config.attention:
            context["regions"] = self.regions(self.dropout(features.grid))
            if features.real is not None:
                context["real"] = features.real
        if content is not None:
            context |= {"inner": self.inner(content)[:, None], "content": content[:, None]}
        return context

    def _read_out(self, states: Tensor, context: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Combine states (images, steps, hidden) with what they look at."""
        weights = None
        if self.config.attention:
            attended = torch.zeros_like(states)
            if "regions" in context:
                regions = context["regions"]
                attended, weights = self.attention(states, regions, regions, context.get("real"))
            states = torch.cat([states, attended], dim=-1)
        readout = self.output_projection(states)
        if "content" in context:
            return torch.tanh(readout + context["inner"]) + context["content"], weights
        return torch.tanh(readout), weights


class SearchDecoder:
    """A trained decoder made ready for searches: what is the same at every step is computed once.

    That is what each word contributes to the recurrent network, and each image's keys and values as attention reads
    them. The scores are the decoder's own.

    Args:
        decoder: whose weights are as they shall be; later changes are not seen.
    """

    def __init__(self, decoder: CaptionDecoder) -> None:
        self.decoder = decoder
        inputs = decoder.embedding.weight * decoder.config.embedding_size**0.5
        self._cells = StepwiseRNN(decoder.recurrent, inputs)
        self._readout = prepacked_linear(decoder.output_projection.weight, decoder.output_projection.bias)
        if decoder.config.attention:
            self._query = prepacked_linear(decoder.attention.query.weight, None)
        self._logits = prepacked_linear(decoder.embedding.weight, decoder.bias)

    def start(self, features: Features) -> tuple[State, dict[str, Tensor]]:
        """As `CaptionDecoder.start`, the context being keys and values (images, heads, ..., width of a head)."""
        state, context = self.decoder.start(features)
        if "regions" in context:
            parts = self.decoder.attention.split(context.pop("regions"))
            context |= {"keys": parts.transpose(2, 3).contiguous(), "values": parts.contiguous()}
        return state, context

    def step(
        self, tokens: Tensor, state: State, context: dict[str, Tensor], rows: Rows
    ) -> tuple[Tensor, State, Tensor | None]:
        """As `CaptionDecoder.step`."""
        (states, new), weights = self._cells.step(tokens, state), None
        if "keys" in context:
            queries, real = rows.spread(self._query(states)), context.get("real")
            attended, weights = self.decoder.attention.attend(queries, context["keys"], context["values"], real)
            states, weights = torch.cat([states, rows.pick(attended)], dim=-1), rows.pick(weights)
        readout = self._readout(states)
        if "content" in context:
            inner, content = (rows.of_images(context[name].squeeze(1)) for name in ("inner", "content"))
            return self._logits(tanh(readout + inner) + content), new, weights
        return self._logits(tanh(readout)), new, weights


class ReadyForSearch(Generic[Network, Made]):
    """What is made of a network for searches, at the first call and again whenever training has changed the weights.

    Several threads may call it.

    Args:
        network: whose weights searches use.
        precision: of the weights in searches on a CPU, bfloat16 only where the CPU multiplies it.
        make: what is called with the network in that precision, a copy of it where that is not its own.
    """

    def __init__(self, network: Network, precision: Precision, make: Callable[[Network], Made]) -> None:
        self.network, self.precision, self.make = network, precision, make
        self._made: tuple[tuple[int, ...], Made] | None = None
        self._making = threading.Lock()

    def __call__(self) -> Made:
        """Of the network as it is now."""
        versions = tuple(value._version for value in self.network.parameters())
        with self._making:
            if self._made is None or self._made[0] != versions:
                on_cpu = next(self.network.parameters()).device.type == "cpu"
                slim = self.precision == "bfloat16" and on_cpu and multiplies_bfloat16()
                network = copy.deepcopy(self.network).bfloat16() if slim else self.network
                self._made = versions, self.make(network.eval())
            return self._made[1]
