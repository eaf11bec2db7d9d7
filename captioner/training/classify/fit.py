"""Fit a classifier's network on cached features: a few seconds for a few hundred clips, so folds are cheap."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from captioner.data.clip_tables import LabelledClip
from captioner.errors import DataError
from captioner.models.classify_network import ClassifierNetwork, pad, vote
from captioner.training.classify.config import FitStage
from captioner.vision.clip_cache import ClipCache

_FRAMES = 20_000  # that principal components are computed from; more change nothing


@dataclass(frozen=True)
class Examples:
    """Labelled clips as a network reads them.

    Attributes:
        inputs: (clips, versions, frames, width), padded behind.
        lengths: (clips, versions) real frames of each.
        labels: (clips,) the class of each.
    """

    inputs: Tensor
    lengths: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def to(self, device: torch.device) -> "Examples":
        """The same examples on another device; lengths stay, since packing wants them on the CPU."""
        return Examples(self.inputs.to(device), self.lengths, self.labels.to(device))


def fit_projection(network: ClassifierNetwork, cache: ClipCache, clips: Sequence[LabelledClip]) -> None:
    """Fit the network's projection to the features of training clips, or of some of them where there are many."""
    versions = [version for clip in _some(clips, cache) for version in cache.read(clip.path)]
    network.projection.fit(torch.cat(versions)[:, network.streams])


def read_examples(
    network: ClassifierNetwork, cache: ClipCache, clips: Sequence[LabelledClip], labels: Sequence[str]
) -> Examples:
    """The inputs that a network with a fitted projection makes of clips, one clip at a time."""
    inputs, lengths = [], []
    with torch.inference_mode():
        for clip in clips:
            features, real = pad(cache.read(clip.path))
            inputs.append(network.project(features.to(network.projection.mean.device)).transpose(0, 1))
            lengths.append(real)
        padded = torch.nn.utils.rnn.pad_sequence(inputs, batch_first=True).transpose(1, 2).contiguous()
    places = torch.tensor([labels.index(clip.label) for clip in clips])
    return Examples(padded.clone(), torch.stack(lengths), places)


def fit(network: ClassifierNetwork, examples: Examples, stage: FitStage, seed: int) -> list[float]:
    """Train a network on examples, each time on one of a clip's versions.

    All members learn from the same batches; their starts and dropout differ.

    Args:
        network: with a fitted projection, on the examples' device; left ready for use.
        examples: to learn from.
        stage: how.
        seed: of everything random.

    Returns:
        the loss of each step.

    Raises:
        DataError: the loss is no longer a number.
    """
    count, versions = examples.lengths.shape
    weights = _class_weights(examples.labels, network.classes) if stage.class_weights else None
    parameters = list(network.members.parameters())
    optimizer = torch.optim.AdamW(parameters, weight_decay=stage.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, stage.learning_rate, stage.steps, pct_start=0.1)
    losses = []
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network.train()
        for rows in islice(_batches(count, stage.batch_size), stage.steps):
            version = torch.randint(versions, (len(rows),))
            logits, _ = network(examples.inputs[rows, version], examples.lengths[rows, version])
            targets = examples.labels[rows].expand(len(logits), -1)
            loss = cross_entropy(
                logits.flatten(0, 1), targets.flatten(), weights, label_smoothing=stage.label_smoothing
            )
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
    network.eval()
    if not math.isfinite(losses[-1]):
        raise DataError(f"stages.fit: the last loss is {losses[-1]}; lower learning_rate.")
    return losses


@torch.inference_mode()
def predict(network: ClassifierNetwork, examples: Examples) -> Tensor:
    """Probabilities (clips, classes) of clips as a trained model sees them: the first version of each."""
    logits, _ = network.eval()(examples.inputs[:, 0], examples.lengths[:, 0])
    return vote(logits).cpu()


def _batches(count: int, size: int) -> Iterator[Tensor]:
    """Rows of one batch after the other, in a new order each time all have been read."""
    while True:
        yield from torch.randperm(count).split(size)


def _class_weights(labels: Tensor, classes: int) -> Tensor:
    counts = labels.bincount(minlength=classes).float()
    return counts.sum() / (counts.clamp(min=1) * classes)


def _some(clips: Sequence[LabelledClip], cache: ClipCache) -> Sequence[LabelledClip]:
    """Every clip, or evenly spread ones that have about as many frames as are needed."""
    each = 2 * cache.views * cache.frames.count
    return clips[:: max(1, len(clips) * each // _FRAMES)]
