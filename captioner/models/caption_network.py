"""The network that writes captions: features and the words so far in, the next word's scores out.

The mean of the features is the recurrent network's first input (Vinyals et al., 2015, "Show and Tell"); with attention
each state after the recurrent step also looks at the grid (Xu et al., 2015, in the order of Luong et al., 2015), so a
whole teacher-forced caption is one recurrent call and one batched attention.
"""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from captioner.recurrent.attention import GridAttention
from captioner.recurrent.stepping import StepwiseRNN, prepacked_linear, tanh
from captioner.recurrent.units import LockedDropout, Recurrent, State
from captioner.vision.encoder import Features


class DecoderConfig(BaseModel):
    """The network that writes. `attention: false` is Show and Tell."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Literal["tanh", "lstm", "gru"] = "lstm"
    layers: int = Field(1, ge=1)
    hidden_size: int = Field(512, ge=1)
    embedding_size: int = Field(512, ge=1)
    attention: bool = True
    heads: int = Field(8, ge=1)
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
        self.image_projection = nn.Linear(channels, width)
        self.recurrent = Recurrent(config.unit, width, hidden, config.layers, config.dropout)
        if config.attention:
            self.regions = nn.Sequential(nn.Linear(channels, hidden), nn.LayerNorm(hidden))
            self.attention = GridAttention(hidden, config.heads)
        self.output_projection = nn.Linear(hidden * (2 if config.attention else 1), width)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.dropout = LockedDropout(config.dropout)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def forward(self, features: Features | None, tokens: Tensor) -> Tensor:
        """Hidden representations that predict each next token; `logits` makes them scores.

        Args:
            features: of the images, or None to read and write without pictures (a language model).
            tokens: (images, captions, steps) of every image's captions, from `start` on. Padding comes last, so it
                reaches no state that is used.

        Returns:
            (images, captions, steps, embedding_size).
        """
        images, captions, steps = tokens.shape
        words = self._embed(tokens).flatten(0, 1)
        first = self._first_input(features, images, words)
        first = first[:, None].expand(-1, captions, -1).reshape(images * captions, 1, -1)
        states, _ = self.recurrent(torch.cat([first, words], dim=1))
        states = self.dropout(states[:, 1:]).reshape(images, captions * steps, -1)
        readout, _ = self._read_out(states, self._context(features))
        return readout.view(images, captions, steps, -1)

    def logits(self, readout: Tensor) -> Tensor:
        """Scores (..., vocabulary) of representations (..., embedding_size)."""
        return nn.functional.linear(readout, self.embedding.weight, self.bias)

    def start(self, features: Features) -> tuple[State, dict[str, Tensor]]:
        """A search's beginning: the state after the picture, (images, 1, layers, hidden), and each image's context."""
        first = self._first_input(features, len(features), self.embedding.weight)
        _, state = self.recurrent(first[:, None])
        return {name: value[:, None] for name, value in state.items()}, self._context(features)

    def step(self, tokens: Tensor, state: State, context: dict[str, Tensor]) -> tuple[Tensor, State, Tensor | None]:
        """One word further in a search.

        Args:
            tokens: (images, hypotheses), each hypothesis' last word.
            state: (images, hypotheses, layers, hidden) each.
            context: of each image, as `start` gives it.

        Returns:
            logits (images, hypotheses, vocabulary), the new state, and the attention's weights
            (images, hypotheses, regions) or None.
        """
        images, beams = tokens.shape
        words = self._embed(tokens).view(images * beams, 1, -1)
        states, new = self.recurrent(words, {name: value.flatten(0, 1) for name, value in state.items()})
        readout, weights = self._read_out(states.view(images, beams, -1), context)
        return self.logits(readout), {name: value.unflatten(0, (images, beams)) for name, value in new.items()}, weights

    def _embed(self, tokens: Tensor) -> Tensor:
        # tied embeddings are small enough for the output; inputs want unit variance
        return self.dropout(self.embedding(tokens) * self.config.embedding_size**0.5)

    def _first_input(self, features: Features | None, images: int, like: Tensor) -> Tensor:
        if features is None:
            return like.new_zeros(images, self.config.embedding_size)
        return self.image_projection(self.dropout(features.pooled[:, None])).squeeze(1)

    def _context(self, features: Features | None) -> dict[str, Tensor]:
        if features is None or not self.config.attention:
            return {}
        return {"regions": self.regions(self.dropout(features.grid))}

    def _read_out(self, states: Tensor, context: dict[str, Tensor]) -> tuple[Tensor, Tensor | None]:
        """Combine states (images, steps, hidden) with what they look at."""
        weights = None
        if self.config.attention:
            attended = torch.zeros_like(states)
            if context:
                attended, weights = self.attention(states, context["regions"], context["regions"])
            states = torch.cat([states, attended], dim=-1)
        return torch.tanh(self.output_projection(states)), weights


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
        self._logits = prepacked_linear(decoder.embedding.weight, decoder.bias)

    def start(self, features: Features) -> tuple[State, dict[str, Tensor]]:
        """As `CaptionDecoder.start`, the context being keys and values (images, heads, ..., width of a head)."""
        state, context = self.decoder.start(features)
        if not context:
            return state, {}
        parts = self.decoder.attention.split(context["regions"])
        return state, {"keys": parts.transpose(2, 3).contiguous(), "values": parts.contiguous()}

    def step(self, tokens: Tensor, state: State, context: dict[str, Tensor]) -> tuple[Tensor, State, Tensor | None]:
        """As `CaptionDecoder.step`."""
        images, beams = tokens.shape
        states, new = self._cells.step(tokens.flatten(), {name: value.flatten(0, 1) for name, value in state.items()})
        states, weights = states.view(images, beams, -1), None
        if context:
            attended, weights = self.decoder.attention.attend(states, context["keys"], context["values"])
            states = torch.cat([states, attended], dim=-1)
        logits = self._logits(tanh(self._readout(states)))
        return logits, {name: value.unflatten(0, (images, beams)) for name, value in new.items()}, weights
