"""Batches of lines for training: read or drawn, changed the same way in every run, of about one width."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from captioner.training.batches import LengthBuckets
from captioner.vision.images import Pixels
from captioner.vision.line_augmentation import Strength, augment
from captioner.vision.line_pictures import extend

Example = tuple[Pixels, list[int]]


@dataclass
class LineBatch:
    """What one training step reads.

    Attributes:
        pixels: uint8 (lines, height, width), grey.
        targets: (characters,) the ids of all texts, one after the other.
        lengths: (lines,) characters of each.
    """

    pixels: Tensor
    targets: Tensor
    lengths: Tensor

    def to(self, device: torch.device) -> "LineBatch":
        """The same batch on another device."""
        return LineBatch(self.pixels.to(device), self.targets.to(device), self.lengths.to(device))


class LineItems(Dataset[Example]):
    """Lines of pictures, and lines that are drawn anew every few epochs.

    Args:
        count: lines of pictures.
        widths: of their inputs in pixels.
        fetch: gives a line's input and ids.
        strength: how much the lines of pictures are changed each time.
        seed: of the changes.
        repeat: how often an epoch has each line of pictures.
        painter: gives the input and ids of a drawing by its number, or None.
        drawings: an epoch.
        reuse: epochs for which drawings are kept.
    """

    def __init__(
        self,
        widths: Sequence[int],
        fetch: Callable[[int], Example],
        strength: Strength,
        seed: int,
        *,
        repeat: int = 1,
        painter: Callable[[int], Example] | None = None,
        drawings: int = 0,
        reuse: int = 1,
    ) -> None:
        self.fetch = fetch
        self.strength = strength
        self.seed = seed
        self.painter = painter
        self.reuse = reuse
        self.pictures = len(widths)
        self.repeated = self.pictures * repeat
        self.lengths = [*list(widths) * repeat, *[0] * (drawings if painter else 0)]
        self._drawn: list[Example] = []
        self._round = -1

    def __len__(self) -> int:
        return len(self.lengths)

    def begin(self, epoch: int) -> None:
        """Draw what this epoch reads, unless it is there."""
        if self.painter is None or epoch // self.reuse == self._round:
            return
        self._round = epoch // self.reuse
        count = len(self.lengths) - self.repeated
        first = self._round * count
        self._drawn = [self.painter(number) for number in range(first, first + count)]
        self.lengths[self.repeated :] = [line.shape[1] for line, _ in self._drawn]

    def __getitem__(self, key: tuple[int, int]) -> Example:
        item, epoch = key
        if item >= self.repeated:
            return self._drawn[item - self.repeated]
        line, ids = self.fetch(item % self.pictures)
        return augment(line, self.strength, np.random.default_rng([self.seed, item, epoch])), ids


class _Buckets(LengthBuckets):
    """Batches of lines of about the same width."""

    def __init__(self, items: LineItems, batch_size: int, seed: int) -> None:
        super().__init__(items.lengths, batch_size, seed)
        self.items = items

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        self.items.begin(self.epoch)
        yield from super().__iter__()


def collate(examples: Sequence[Example]) -> LineBatch:
    """A batch of lines; each goes on with its own background up to the widest one's end."""
    width = max(line.shape[1] for line, _ in examples)
    pixels = torch.from_numpy(np.stack([extend(line, width) for line, _ in examples]))
    targets = torch.tensor([each for _, ids in examples for each in ids])
    return LineBatch(pixels, targets, torch.tensor([len(ids) for _, ids in examples]))


def line_loader(items: LineItems, batch_size: int, seed: int) -> DataLoader[Example]:
    """A loader of batches of lines of about the same width."""
    # its own generator: starting an epoch must not draw from the one that dropout uses, or a resumed run would differ
    own = torch.Generator()
    buckets = _Buckets(items, batch_size, seed)
    return DataLoader(items, batch_sampler=buckets, collate_fn=collate, generator=own)
