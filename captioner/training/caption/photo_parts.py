"""Which photos a process of a training reads, and in which order."""

from collections.abc import Iterator

from captioner.data.captions import CaptionSet
from captioner.data.photos import ImageStore
from captioner.training import processes
from captioner.training.batches import PhotoItems
from captioner.training.parts import PartBuckets, deal, owners


class PhotoParts:
    """The photos of a training, each of which belongs to one process for the whole of it.

    On one machine all processes read one cache of features; each computes those of its own photos. Of several machines
    each has a cache of the photos that its processes own, and the first, which validates, of the validation photos.

    Args:
        photos: where they lie.
        captions: with the photos to learn from and to validate on.
    """

    def __init__(self, photos: ImageStore, captions: CaptionSet) -> None:
        self.photos = photos
        images = [image for image in captions if image.split != "test"]
        self.shards = {image.file_name: photos.shard(image.file_name) for image in images}
        self.owners = dict(zip(self.shards, owners(list(self.shards.values()), processes.count()), strict=True))
        self.validation = [image.file_name for image in images if image.split == "val"]

    def here(self) -> list[str]:
        """The photos whose features this machine keeps."""
        if processes.machines() == 1:
            return list(self.shards)
        validation = set(self.validation)
        first = processes.machine() * processes.local_count()
        places = range(first, first + processes.local_count())
        here = [name for name, owner in self.owners.items() if owner in places and name not in validation]
        return [*here, *(self.validation if processes.machine() == 0 else [])]

    def mine(self) -> Iterator[str]:
        """Those that this process reads, shard by shard, each of which is brought before its turn."""
        owner = dict(self.owners)
        if processes.machines() > 1:
            first = zip(self.validation, owners([None] * len(self.validation), processes.local_count()), strict=True)
            owner.update(first)  # of the first machine
        mine = [name for name in self.here() if owner[name] == processes.place()]
        in_shards = [(shard, name) for name in mine if (shard := self.shards[name]) is not None]
        yield from (name for name in mine if self.shards[name] is None)
        if self.photos.shards is not None:
            yield from self.photos.shards.in_order(sorted(in_shards, key=lambda pair: pair[0]))

    def buckets(self, items: PhotoItems, batch_size: int, seed: int, *, streamed: bool = False) -> PartBuckets | None:
        """Batches of this process's own photos; None where any photo can be read at any time.

        Args:
            items: photos to learn from.
            batch_size: photos a batch.
            seed: of the order.
            streamed: the photos themselves are read, not features of them.

        Raises:
            ConfigError: there are fewer shards than processes.
        """
        shards = self.photos.shards if streamed else None
        if shards is None and processes.machines() == 1:
            return None
        names = [image.file_name for image in items.images]
        parts = deal([(self.shards[name], self.owners[name]) for name in names], processes.count())
        if shards is None:
            return PartBuckets(items.lengths, parts, processes.place(), batch_size, seed, mixed=len(names))
        return PartBuckets(
            items.lengths, parts, processes.place(), batch_size, seed, mixed=shards.mixed, expect=shards.expect
        )
