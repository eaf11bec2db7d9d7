"""The network that translates: a bidirectional encoder, and the captioner's decoder reading its states as a grid.

Bahdanau et al. (2015) with the decoder's attention after its recurrent step (Luong et al., 2015). Source, input and
output embeddings are one matrix over one joint vocabulary (Press and Wolf, 2017).
"""

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from captioner.models.caption_network import CaptionDecoder, DecoderConfig
from captioner.recurrent.units import LockedDropout, Recurrent, Unit
from captioner.vision.encoder import Features


class SourceConfig(BaseModel):
    """The network that reads the sentence.

    Attributes:
        unit: of the recurrent network.
        layers: stacked.
        hidden_size: of each direction.
        dropout: of the embedded pieces, locked along the sentence, and between layers.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    unit: Unit = "gru"
    layers: int = Field(1, ge=1)
    hidden_size: int = Field(256, ge=1)
    dropout: float = Field(0.3, ge=0, lt=1)


class TranslationNetwork(nn.Module):
    """Sentences in, the next piece's scores out.

    Args:
        source: the network that reads.
        target: the network that writes; its embedding is shared by both.
        vocabulary_size: number of pieces, specials included.
    """

    def __init__(self, source: SourceConfig, target: DecoderConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.reader = Recurrent(
            source.unit,
            target.embedding_size,
            source.hidden_size,
            source.layers,
            source.dropout,
            bidirectional=True,
            locked=True,
        )
        self.dropout = LockedDropout(source.dropout)
        self.decoder = CaptionDecoder(target, 2 * source.hidden_size, vocabulary_size)

    def encode(self, sentences: Tensor, lengths: Tensor) -> Features:
        """States of sentences, in the place of an image's grid.

        Args:
            sentences: (batch, steps) ids, padded behind.
            lengths: (batch,) real pieces of each, at least 1.
        """
        embedded = self.decoder.embedding(sentences) * self.decoder.config.embedding_size**0.5
        states, _ = self.reader(self.dropout(embedded), lengths=lengths)
        lengths = lengths.to(states.device)
        real = torch.arange(states.shape[1], device=states.device) < lengths[:, None]
        # states are zero on padding
        return Features(states, states.sum(1) / lengths[:, None].to(states.dtype), real)

    def forward(self, sentences: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """Hidden representations (batch, steps, embedding_size) that predict each next piece.

        Args:
            sentences: (batch, source steps) ids, padded behind.
            lengths: (batch,) real pieces of each sentence.
            tokens: (batch, steps) ids of the translations from `start` on, padded behind.
        """
        readout: Tensor = self.decoder(self.encode(sentences, lengths), tokens[:, None])
        return readout.squeeze(1)
