"""The network of language models: words in, the next word's scores out.

What AWD-LSTM (Merity et al., 2018) showed to matter is here: input and output embeddings are one matrix, dropout is
locked along a sequence, whole words are dropped from the input, and weights are dropped from the recurrent matrices.
"""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from captioner.decoding.steps import Rows
from captioner.recurrent.units import LockedDropout, Recurrent, State, Unit
from captioner.text.vocabulary import Vocabulary


class NetworkConfig(BaseModel):
    """The network.

    Attributes:
        unit: of the recurrent network.
        layers: stacked.
        hidden_size: of each layer.
        embedding_size: of the words; where it is not `hidden_size`, a linear map leads back to it.
        embedding_dropout: probability of reading nothing for a word of the vocabulary, wherever it stands in a batch.
        input_dropout: of the embedded words' channels, locked along the sequence.
        dropout: of the states between layers, locked.
        output_dropout: of what the next word is chosen from, locked.
        weight_dropout: of the recurrent matrices' entries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Unit = "lstm"
    layers: int = Field(1, ge=1)
    hidden_size: int = Field(512, ge=1)
    embedding_size: int = Field(512, ge=1)
    embedding_dropout: float = Field(0.0, ge=0, lt=1)
    input_dropout: float = Field(0.0, ge=0, lt=1)
    dropout: float = Field(0.0, ge=0, lt=1)
    output_dropout: float = Field(0.0, ge=0, lt=1)
    weight_dropout: float = Field(0.0, ge=0, lt=1)


class LanguageNetwork(nn.Module):
    """The next word from the words so far.

    Args:
        config: sizes and choices.
        vocabulary_size: number of tokens, specials included.
    """

    def __init__(self, config: NetworkConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.config = config
        width, hidden = config.embedding_size, config.hidden_size
        self.embedding = nn.Embedding(vocabulary_size, width)
        self.recurrent = Recurrent(
            config.unit,
            width,
            hidden,
            config.layers,
            config.dropout,
            locked=True,
            weight_dropout=config.weight_dropout,
        )
        self.readout = nn.Identity() if hidden == width else nn.Linear(hidden, width)
        self.bias = nn.Parameter(torch.zeros(vocabulary_size))
        self.input_dropout = LockedDropout(config.input_dropout)
        self.output_dropout = LockedDropout(config.output_dropout)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)

    def forward(self, tokens: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Read words.

        Args:
            tokens: (batch, steps); padding comes last, so it reaches no state that is used.
            state: as returned for the words before; None where there are none.

        Returns:
            what predicts each next word, (batch, steps, embedding_size), and the state after the last word.
        """
        states, state = self.recurrent(self._embed(tokens), state)
        return self.output_dropout(self.readout(states)), state

    def logits(self, readout: Tensor) -> Tensor:
        """Scores (..., vocabulary) of what `forward` returns."""
        return nn.functional.linear(readout, self.embedding.weight, self.bias)

    def start(self, count: int) -> State:
        """The state of `count` searches before any word, (count, layers, hidden_size) each."""
        return self.recurrent.initial_state(count, like=self.bias)

    def step(self, tokens: Tensor, state: State, context: dict[str, Tensor], rows: Rows) -> tuple[Tensor, State, None]:
        """One word further in a search, as `captioner.decoding.steps.StepModel` says; there is no context.

        A search begins with `<start>`, which no text holds: what may begin a line is what follows the end of one.
        """
        words = tokens.masked_fill(tokens == Vocabulary.start, Vocabulary.end)
        readout, new = self(words.unsqueeze(1), state)
        return self.logits(readout.squeeze(1)), new, None

    def _embed(self, tokens: Tensor) -> Tensor:
        # tied embeddings are small enough for the output; inputs want unit variance
        words = self.embedding(tokens) * self.config.embedding_size**0.5
        probability = self.config.embedding_dropout
        if self.training and probability:
            kept = words.new_empty(len(self.bias), 1).bernoulli_(1 - probability) / (1 - probability)
            words = words * kept[tokens]
        return self.input_dropout(words)
