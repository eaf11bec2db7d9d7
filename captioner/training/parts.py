"""Parts of a data set that processes keep for a whole training, and batches of a part, a few shards at a time.

Each process reads its own shards only, and mixes the photos of as many as it has copies of. What an epoch reads is
decided by seed and epoch alone, so that a killed training goes on by counting batches.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from torch.utils.data import Sampler

from captioner.errors import ConfigError


@dataclass
class Group:
    """Items that are read together.

    Attributes:
        shard: that they are in; None where any photo can be read at any time.
        items: their numbers.
    """

    shard: int | None
    items: list[int]


def owners(shards: Sequence[int | None], count: int) -> list[int]:
    """The process that each item belongs to: shards are dealt in turn, and so are items that are in none.

    Args:
        shards: of each item.
        count: of processes.
    """
    turn = iter(range(len(shards)))
    return [(next(turn) if shard is None else shard) % count for shard in shards]


def deal(items: Sequence[tuple[int | None, int]], count: int) -> list[list[Group]]:
    """What each of `count` processes keeps, given each item's shard and owner.

    Raises:
        ConfigError: there is nothing for one of them.
    """
    parts: list[dict[int | None, Group]] = [{} for _ in range(count)]
    for item, (shard, owner) in enumerate(items):
        parts[owner].setdefault(shard, Group(shard, [])).items.append(item)
    if not all(parts):
        shards = len({shard for shard, _ in items})
        raise ConfigError(
            f"data.sets: photos to learn from are in {shards} shard{'s' * (shards != 1)}, so {count} processes cannot "
            "have some each; cut them into more shards, or start fewer processes."
        )
    return [list(part.values()) for part in parts]


class PartBuckets(Sampler[list[tuple[int, int]]]):
    """Batches of items of about the same length, from a process's own part; see `LengthBuckets`.

    All processes give as many batches, which differ by one item at most within a part.

    Args:
        lengths: of the items.
        parts: what each process keeps.
        place: number of this process.
        batch_size: items a batch, at most.
        seed: of the order.
        mixed: how many shards' items are mixed.
        expect: called with numbers of shards that will be read next, in this order.

    Yields:
        lists of (item, epoch); the epoch seeds what is random within an item.
    """

    drop_last = False

    def __init__(
        self,
        lengths: Sequence[int],
        parts: Sequence[Sequence[Group]],
        place: int,
        batch_size: int,
        seed: int,
        *,
        mixed: int = 1,
        expect: Callable[[Sequence[int]], None] = lambda numbers: None,
    ) -> None:
        self.lengths, self.parts, self.batch_size, self.seed = lengths, parts, batch_size, seed
        self.mixed, self.expect = max(mixed, 1), expect
        self.epoch = 0
        self.share(place, len(parts))

    def share(self, place: int, count: int) -> None:
        """Give the batches of this process, of `count`."""
        assert count == len(self.parts), "parts are made for the processes that there are"
        self.place = place

    def __len__(self) -> int:
        return max(-(-sum(len(group.items) for group in part) // self.batch_size) for part in self.parts)

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        draw = random.Random(f"{self.seed}/{self.epoch}/{self.place}")
        groups = list(self.parts[self.place])
        draw.shuffle(groups)
        total, count = sum(len(group.items) for group in groups), len(self)
        if total < count:  # fewer than another process has batches: some are read more than once
            items = [item for group in groups for item in group.items]
            groups.append(Group(None, [items[number % total] for number in range(count - total)]))
            total = count
        ends = [total * (number + 1) // count for number in range(count)]  # how much has been read after each batch
        read, done, rest = 0, 0, list[int]()
        for first in range(0, len(groups), self.mixed):
            near = groups[first : first + 2 * self.mixed]  # those that are mixed now, and after them
            self.expect([group.shard for group in near if group.shard is not None])
            pool = rest + [item for group in near[: self.mixed] for item in group.items]
            draw.shuffle(pool)
            whole = [end for end in ends[done:] if end - read <= len(pool)]
            sizes = [end - before for before, end in zip([read, *whole], whole, strict=False)]
            yield from self._batches(pool[: sum(sizes)], sizes, draw)
            done, read, rest = done + len(whole), read + sum(sizes), pool[sum(sizes) :]

    def _batches(self, pool: list[int], sizes: list[int], draw: random.Random) -> Iterator[list[tuple[int, int]]]:
        pool.sort(key=lambda item: self.lengths[item])  # stable, so equal lengths stay shuffled
        items = iter(pool)
        batches = [[(next(items), self.epoch) for _ in range(size)] for size in sizes]
        draw.shuffle(batches)
        yield from batches
