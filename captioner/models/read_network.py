"""The network that reads a text line: a CNN that keeps the width, its columns in order, and a recurrent network.

This is the CRNN of Shi et al. (2015): each column of the CNN's last features sees a few characters, the recurrent
network carries what stands to its left and right to it, and each of its states says which character, or blank, the
column shows. Nothing cuts the line into characters; `captioner.decoding.ctc` reads the text off the columns.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from captioner.recurrent.units import LockedDropout, Recurrent, Unit


class ReaderConfig(BaseModel):
    """The network's sizes and choices.

    Attributes:
        column: pixels of the input's width for each column that is read: 2 for short words in narrow letters, 4 for
            lines.
        channels: of the CNN's first layer; the last has four times as many.
        features: width of a column.
        unit: `mlp` reads every column alone, which is what cutting a line into pieces and classifying each amounts to;
            the others know the columns beside it.
        layers: how many are stacked.
        hidden_size: width of a state, in each direction.
        bidirectional: read forwards and backwards.
        dropout: of the columns, between layers, and of the states.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    column: Literal[2, 4] = 4
    channels: int = Field(32, ge=1)
    features: int = Field(192, ge=1)
    unit: Unit = "lstm"
    layers: int = Field(2, ge=1)
    hidden_size: int = Field(256, ge=1)
    bidirectional: bool = True
    dropout: float = Field(0.3, ge=0, lt=1)


def _layer(inputs: int, outputs: int, size: int = 3, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class LineEncoder(nn.Module):
    """A small CNN that turns a line into columns.

    Args:
        config: sizes and choices.
        height: of the lines in pixels, a multiple of 8.
    """

    def __init__(self, config: ReaderConfig, height: int) -> None:
        super().__init__()
        self.column = config.column
        width = config.channels
        self.cnn = nn.Sequential(
            _layer(1, width, 5, 2),
            _layer(width, 2 * width),
            nn.MaxPool2d((2, config.column // 2)),
            _layer(2 * width, 4 * width),
            _layer(4 * width, 4 * width),
            nn.MaxPool2d((2, 1)),
            _layer(4 * width, 4 * width),
        )
        self.project = nn.Linear(4 * width * (height // 8), config.features)

    def forward(self, pixels: Tensor) -> Tensor:
        """Columns (lines, columns, features) of grey uint8 lines (lines, height, width)."""
        images = pixels[:, None].float() / 127.5 - 1
        maps = self.cnn(images)
        return self.project(maps.permute(0, 3, 1, 2).flatten(2)).relu()


class ReaderNetwork(nn.Module):
    """CNN, recurrent network and one score a character for each column.

    Args:
        config: sizes and choices.
        height: of the lines in pixels, a multiple of 8.
        classes: characters and the blank.
    """

    def __init__(self, config: ReaderConfig, height: int, classes: int) -> None:
        super().__init__()
        self.encoder = LineEncoder(config, height)
        self.recurrent = Recurrent(
            config.unit,
            config.features,
            config.hidden_size,
            config.layers,
            config.dropout,
            bidirectional=config.bidirectional,
        )
        self.drop = LockedDropout(config.dropout)
        self.readout = nn.Linear(config.hidden_size * self.recurrent.directions, classes)

    def forward(self, pixels: Tensor) -> Tensor:
        """Scores (lines, columns, classes) of grey uint8 lines (lines, height, width), all of them real columns."""
        return self.read(self.encoder(pixels))

    def read(self, columns: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Scores (lines, columns, classes) of encoded columns.

        Args:
            columns: (lines, columns, features).
            lengths: (lines,) real columns of each, where the lines have several widths.
        """
        states, _ = self.recurrent(self.drop(columns), lengths=lengths)
        return self.readout(self.drop(states))


def count_columns(config: ReaderConfig, width: int) -> int:
    """How many columns a line of so many pixels has."""
    return -(-width // 2) if config.column == 2 else -(-width // 2) // 2
