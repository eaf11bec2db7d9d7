"""Batches of captions and photos for training: length-bucketed, shuffled and augmented the same way in every run."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from captioner.data.captions import CaptionedImage, CaptionSet
from captioner.text.vocabulary import Vocabulary
from captioner.vision.cache import FeatureCache, Photos
from captioner.vision.encoder import Features
from captioner.vision.images import decode_image


@dataclass
class Batch:
    """What one training step reads.

    Attributes:
        tokens: (photos, captions, steps), each from start to end, then padding.
        grid: (photos, regions, channels) from the cache, float16 as it lies there, or None.
        pixels: uint8 (photos, height, width, 3), or None.
        names: the photos' names; empty for text alone.
    """

    tokens: Tensor
    grid: Tensor | None = None
    pixels: Tensor | None = None
    names: tuple[str, ...] = ()

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        grid, pixels = (None if each is None else each.to(device) for each in (self.grid, self.pixels))
        return Batch(self.tokens.to(device), grid, pixels, self.names)

    @property
    def features(self) -> Features | None:
        """The cached features, if this batch has any, float32."""
        # widened where they are used: half as much travels to a GPU, and the CPU does not widen them for it
        return None if self.grid is None else Features.of(self.grid.float())


class LengthBuckets(Sampler[list[tuple[int, int]]]):
    """Batches of items of about the same length, in an order that only the seed and the epoch decide.

    Args:
        lengths: of the items.
        batch_size: items a batch in each process; the last batch may be smaller.
        seed: of the order.

    Yields:
        lists of (item, epoch); the epoch seeds what is random within an item.
    """

    drop_last = False

    def __init__(self, lengths: Sequence[int], batch_size: int, seed: int) -> None:
        self.lengths = lengths
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = 0
        self.share(0, 1)

    def share(self, place: int, count: int) -> None:
        """Give each of `count` processes its part of batches that are so many times as large; this is number `place`.

        Where the last batch has fewer items than there are processes, some are read by more than one.
        """
        self.place, self.count = place, count

    def __len__(self) -> int:
        return -(-len(self.lengths) // (self.batch_size * self.count))

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        draw = random.Random(f"{self.seed}/{self.epoch}")
        order = list(range(len(self.lengths)))
        draw.shuffle(order)
        order.sort(key=lambda item: self.lengths[item])  # stable, so equal lengths stay shuffled
        size = self.batch_size * self.count
        rest, cut = len(order) % size, size * draw.randrange(len(order) // size + 1)
        full, short = order[:cut] + order[cut + rest :], order[cut : cut + rest]
        batches = [full[first : first + size] for first in range(0, len(full), size)]
        draw.shuffle(batches)
        batches += [short] if short else []
        for batch in batches:
            mine = batch[self.place :: self.count] or [batch[self.place % len(batch)]]
            yield [(item, self.epoch) for item in mine]


class TextItems(Dataset[list[int]]):
    """Captions without photos, as token ids from start to end."""

    def __init__(self, captions: Sequence[Sequence[str]], vocabulary: Vocabulary, max_length: int) -> None:
        self.captions = [_encode(tokens, vocabulary, max_length) for tokens in captions]
        self.lengths = [len(ids) for ids in self.captions]

    def __len__(self) -> int:
        return len(self.captions)

    def __getitem__(self, key: tuple[int, int]) -> list[int]:
        return self.captions[key[0]]

    def collate(self, items: list[list[int]]) -> Batch:
        """One caption for each absent photo."""
        return Batch(_pad([[ids] for ids in items]))


Item = tuple[CaptionedImage, list[list[int]], random.Random]


class PhotoItems(Dataset[Item]):
    """Photos with some of their captions; `collate` fetches what the network reads of the photo.

    Args:
        images: captioned photos.
        vocabulary: numbers their words.
        captions_per_photo: chosen anew each epoch; a photo with fewer gives some twice.
        max_length: words after which a caption is cut.
        fetch: gives the photos' part of the batch, as `cached` and `Augmented` do.
        seed: of the choice of captions, and of what `fetch` draws.
    """

    def __init__(
        self,
        images: Sequence[CaptionedImage] | CaptionSet,
        vocabulary: Vocabulary,
        captions_per_photo: int,
        max_length: int,
        fetch: Callable[[list[CaptionedImage], list[random.Random]], dict[str, Tensor]],
        seed: int,
    ) -> None:
        self.images = images
        self.captions = [[_encode(tokens, vocabulary, max_length) for tokens in image.tokens] for image in images]
        self.lengths = [max(map(len, captions)) for captions in self.captions]
        self.captions_per_photo = captions_per_photo
        self.fetch = fetch
        self.seed = seed

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: tuple[int, int]) -> Item:
        item, epoch = key
        draw = random.Random(f"{self.seed}/{item}/{epoch}")
        captions, wanted = self.captions[item], self.captions_per_photo
        every = captions * (wanted // len(captions))
        return self.images[item], every + draw.sample(captions, wanted - len(every)), draw

    def collate(self, items: list[Item]) -> Batch:
        """Pad the captions and fetch the photos."""
        images = [image for image, _, _ in items]
        photos = self.fetch(images, [draw for _, _, draw in items])
        return Batch(_pad([captions for _, captions, _ in items]), **photos, names=tuple(i.file_name for i in images))


def cached(cache: FeatureCache) -> Callable[[list[CaptionedImage], list[random.Random]], dict[str, Tensor]]:
    """Fetch features, in a view drawn at random."""

    def fetch(images: list[CaptionedImage], draws: list[random.Random]) -> dict[str, Tensor]:
        pairs = zip(images, draws, strict=True)
        grids = [cache.grid(image.file_name, draw.randrange(cache.views)) for image, draw in pairs]
        return {"grid": torch.from_numpy(np.stack(grids))}

    return fetch


class Augmented:
    """Fetch pixels, randomly cropped, mirrored and coloured; the crop is then squashed to the network's size.

    A class and no closure, because workers that are spawned get it pickled.

    Args:
        photos: gives the photos' bytes.
        size: (height, width) in pixels.
        smallest_crop: least share of the photo's area that a crop shows.
        jitter: strength of random changes of brightness, contrast and saturation.
    """

    def __init__(self, photos: Photos, size: tuple[int, int], smallest_crop: float, jitter: float) -> None:
        from torchvision.transforms import v2

        self.photos = photos
        self.change = v2.Compose(
            [
                v2.RandomResizedCrop(size, (smallest_crop, 1.0), (0.8, 1.25), antialias=True),
                v2.RandomHorizontalFlip(),
                v2.ColorJitter(jitter, jitter, jitter),
            ]
        )

    def __call__(self, images: list[CaptionedImage], draws: list[random.Random]) -> dict[str, Tensor]:
        """The pixels of a batch."""
        pixels = []
        for image, draw in zip(images, draws, strict=True):
            decoded = decode_image(self.photos.read(image.file_name), image.file_name)
            with torch.random.fork_rng(devices=[]):  # its own draws, so that a resumed run repeats them
                torch.manual_seed(draw.getrandbits(32))
                pixels.append(self.change(torch.tensor(decoded).permute(2, 0, 1)).permute(1, 2, 0))
        return {"pixels": torch.stack(pixels)}


def make_loader(
    items: Any, batch_size: int, seed: int, workers: int = 0, buckets: Sampler[list[tuple[int, int]]] | None = None
) -> DataLoader[Any]:
    """A loader of length-bucketed batches of `TextItems` or `PhotoItems`; by default `LengthBuckets` makes them."""
    buckets = buckets or LengthBuckets(items.lengths, batch_size, seed)
    # its own generator: starting an epoch must not draw from the one that dropout uses, or a resumed run would differ
    return DataLoader(
        items, batch_sampler=buckets, collate_fn=items.collate, num_workers=workers, generator=torch.Generator()
    )


def _encode(tokens: Sequence[str], vocabulary: Vocabulary, max_length: int) -> list[int]:
    return [vocabulary.start, *vocabulary.encode(tokens[:max_length]), vocabulary.end]


def _pad(captions: Sequence[Sequence[Sequence[int]]]) -> Tensor:
    steps = max(len(ids) for several in captions for ids in several)
    padded = np.full((len(captions), len(captions[0]), steps), Vocabulary.pad, dtype=np.int64)
    for row, several in enumerate(captions):
        for column, ids in enumerate(several):
            padded[row, column, : len(ids)] = ids
    return torch.from_numpy(padded)
