"""The network that tells what happens in a clip: features of its frames in, one score a class out.

Each frame's features are normalised and projected as the training clips said, a recurrent network reads them in order,
and its states are pooled over the real frames (Donahue et al., 2015, "LRCN"; Ng et al., 2015, compare the poolings).
Several members, which differ only in how they began, vote: a handful of clips decides little about one network.
"""

from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from captioner.recurrent.units import LockedDropout, Recurrent, Unit
from captioner.vision.clip_features import STREAMS

Pooling = Literal["mean", "max", "last", "attention"]


class ClassifierConfig(BaseModel):
    """The network over time.

    Attributes:
        inputs: features of the `frames`, their `differences` from frame to frame, or `both`.
        components: width to which each of these is projected, at most.
        unit: `mlp` reads every frame alone, the others remember.
        layers: how many are stacked.
        hidden_size: width of a state, in each direction.
        bidirectional: read forwards and backwards.
        pooling: of the states over a clip's real frames: their `mean` or `max`, the `last` one, or a mean weighted by
            `attention`.
        dropout: of the inputs, between layers, and of the pooled state.
        members: networks that vote.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    inputs: Literal["frames", "differences", "both"] = "both"
    components: int = Field(192, ge=1)
    unit: Unit = "lstm"
    layers: int = Field(1, ge=1)
    hidden_size: int = Field(64, ge=1)
    bidirectional: bool = False
    pooling: Pooling = "mean"
    dropout: float = Field(0.5, ge=0, lt=1)
    members: int = Field(1, ge=1)

    @property
    def streams(self) -> list[int]:
        """Which of `STREAMS` are read."""
        return [place for place, name in enumerate(STREAMS) if self.inputs in (name, "both")]


class Projection(nn.Module):
    """Normalised principal components of each stream of features, fitted once; nothing here is trained.

    Networks over a few hundred components learn in seconds what those over thousands learn in minutes.

    Args:
        streams: how many are projected.
        channels: width of each.
        components: width of each projection.
    """

    mean: Tensor
    matrix: Tensor

    def __init__(self, streams: int, channels: int, components: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(streams, channels))
        self.register_buffer("matrix", torch.zeros(streams, channels, components))

    @torch.no_grad()
    def fit(self, features: Tensor) -> None:
        """Learn from the features (frames, streams, channels) of training clips."""
        self.mean.copy_(features.mean(dim=0))
        for stream, values in enumerate(features.transpose(0, 1)):
            deviation = values.std(dim=0, correction=0)
            # a channel that hardly ever speaks would be all noise if it were made as loud as the others
            scale = deviation.clamp(min=float(deviation.mean()) / 10).clamp(min=1e-6)
            normal = (values - self.mean[stream]) / scale
            _, vectors = torch.linalg.eigh(normal.T @ normal)
            matrix = vectors.flip(1)[:, : self.matrix.shape[2]] / scale[:, None]
            spread = ((values - self.mean[stream]) @ matrix).square().mean().sqrt()
            self.matrix[stream] = matrix / spread.clamp(min=1e-6)

    def forward(self, features: Tensor) -> Tensor:
        """Inputs (clips, frames, streams * components) from features (clips, frames, streams, channels)."""
        return torch.einsum("bfsc,sck->bfsk", features - self.mean, self.matrix).flatten(2)


class Member(nn.Module):
    """One recurrent network with its pooling and its classes.

    Args:
        config: sizes and choices.
        inputs: width of a frame's input.
        classes: how many there are.
    """

    def __init__(self, config: ClassifierConfig, inputs: int, classes: int) -> None:
        super().__init__()
        self.pooling = config.pooling
        self.recurrent = Recurrent(
            config.unit,
            inputs,
            config.hidden_size,
            config.layers,
            config.dropout,
            bidirectional=config.bidirectional,
            locked=True,
        )
        width = config.hidden_size * self.recurrent.directions
        self.drop_inputs = LockedDropout(config.dropout)
        self.drop = nn.Dropout(config.dropout)
        self.look = nn.Linear(width, 1) if config.pooling == "attention" else None
        self.readout = nn.Linear(width, classes)

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Read clips.

        Args:
            inputs: (clips, frames, width), padded behind.
            lengths: (clips,) real frames of each.

        Returns:
            logits (clips, classes) and states (clips, frames, hidden_size * directions), zero on padding.
        """
        states, end = self.recurrent(self.drop_inputs(inputs), lengths=lengths)
        real = (torch.arange(inputs.shape[1], device=inputs.device) < lengths.to(inputs.device)[:, None])[..., None]
        if self.pooling == "last":
            pooled = end["h"][:, -self.recurrent.directions :].flatten(1)
        elif self.pooling == "max":
            pooled = states.masked_fill(~real, -torch.inf).amax(dim=1)
        elif self.look is not None:
            weights = self.look(states).masked_fill(~real, -torch.inf).softmax(dim=1)
            pooled = (weights * states).sum(dim=1)
        else:
            pooled = states.sum(dim=1) / real.sum(dim=1)
        return self.readout(self.drop(pooled)), states


class ClassifierNetwork(nn.Module):
    """All members, and the projection that they share.

    Args:
        config: sizes and choices.
        channels: width of the CNN's features.
        classes: how many there are.
    """

    def __init__(self, config: ClassifierConfig, channels: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.streams = config.streams
        components = min(config.components, channels)
        self.projection = Projection(len(self.streams), channels, components)
        width = len(self.streams) * components
        self.members = nn.ModuleList(Member(config, width, classes) for _ in range(config.members))

    def project(self, features: Tensor) -> Tensor:
        """Inputs (clips, frames, width) from features (clips, frames, streams, channels) of all streams."""
        return self.projection(features[:, :, self.streams])

    def forward(self, inputs: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Every member's logits (members, clips, classes) and states (members, clips, frames, width); see `Member`."""
        logits, states = zip(*(member(inputs, lengths) for member in self.members), strict=True)
        return torch.stack(logits), torch.stack(states)


def vote(logits: Tensor) -> Tensor:
    """Probabilities (clips, classes), the mean of what members with logits (members, clips, classes) say."""
    return logits.softmax(dim=-1).mean(dim=0)


def pad(clips: list[Tensor]) -> tuple[Tensor, Tensor]:
    """A batch (clips, frames, ...) of clips (frames, ...), padded with zeros behind, and their lengths (clips,)."""
    lengths = torch.tensor([len(clip) for clip in clips])
    return nn.utils.rnn.pad_sequence(clips, batch_first=True), lengths
