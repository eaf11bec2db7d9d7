"""Train a classifier end to end: clips decoded afresh, the CNN learning along, in the loop that all trainings share."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset

from captioner.data.clip_tables import LabelledClip
from captioner.models.classify_network import ClassifierNetwork, pad
from captioner.vision.clip_features import FramesConfig, streams_of, view
from captioner.vision.encoder import Encoder
from captioner.vision.images import Pixels, Transform
from captioner.vision.video import Video

_VIEWS = 1_000_000  # that a clip is seen in, at random


@dataclass
class ClipBatch:
    """Clips as one training step reads them.

    Attributes:
        pixels: uint8 RGB (frames of all clips, height, width, 3).
        lengths: frames of each clip.
        labels: (clips,) the class of each.
    """

    pixels: Tensor
    lengths: list[int]
    labels: Tensor

    def to(self, device: torch.device) -> "ClipBatch":
        """The same batch on another device."""
        return ClipBatch(self.pixels.to(device), self.lengths, self.labels.to(device))


class ClipItems(Dataset[tuple[Pixels, int]]):
    """Clips with their classes, each epoch in another view, mirrored or not.

    Args:
        clips: that can be read.
        labels: the classes.
        frames: which frames are seen.
        transform: makes them the CNN's input.
        seed: of the views.
    """

    def __init__(
        self,
        clips: Sequence[LabelledClip],
        labels: Sequence[str],
        frames: FramesConfig,
        transform: Transform,
        seed: int,
    ) -> None:
        self.clips, self.frames, self.transform, self.seed = clips, frames, transform, seed
        self.classes = [labels.index(clip.label) for clip in clips]
        self.lengths = [1] * len(clips)  # all alike, so batches are drawn from all

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, key: tuple[int, int]) -> tuple[Pixels, int]:
        item, epoch = key
        draw = random.Random(f"{self.seed}/{item}/{epoch}")
        with Video(self.clips[item].path) as video:
            pixels = view(video, self.frames, self.transform, draw.randrange(1, _VIEWS)).pixels
        return (pixels[:, :, ::-1] if draw.random() < 0.5 else pixels), self.classes[item]

    def collate(self, items: list[tuple[Pixels, int]]) -> ClipBatch:
        """All frames behind one another."""
        pixels = torch.from_numpy(np.concatenate([pixels for pixels, _ in items]))
        return ClipBatch(pixels, [len(pixels) for pixels, _ in items], torch.tensor([label for _, label in items]))


class EndToEnd(nn.Module):
    """The loss of clips from their pixels on.

    Args:
        encoder: the CNN.
        network: reads its features.
        label_smoothing: probability mass spread over all classes.
    """

    def __init__(self, encoder: Encoder, network: ClassifierNetwork, label_smoothing: float) -> None:
        super().__init__()
        self.encoder, self.network, self.label_smoothing = encoder, network, label_smoothing

    def forward(self, batch: ClipBatch) -> tuple[Tensor, dict[str, float]]:
        """The mean loss a clip, and what to record."""
        features, lengths = pad(streams_of(self.encoder(batch.pixels), batch.lengths))
        logits, _ = self.network(self.network.project(features.float()), lengths)
        targets = batch.labels.expand(len(logits), -1).flatten()
        loss = cross_entropy(logits.flatten(0, 1).float(), targets, label_smoothing=self.label_smoothing)
        return loss, {"clips": float(len(lengths))}
