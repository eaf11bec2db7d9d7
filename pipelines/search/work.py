"""Look at every photo and moment of some files for an index: each worker decodes, runs the CNN and packs."""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING

import numpy as np

from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.stages import defer_sigint, halve_on_oom, ordered_parallel_map
from captioner.pipelines.media import ClipOptions, MediaItem, load_media
from captioner.pipelines.search.index import Seen
from captioner.vision.images import MAX_PIXELS

if TYPE_CHECKING:
    from captioner.models.search import Finder

BATCH = 32
FRAMES = 2
"""Of a moment, whose features are averaged."""
Looked = tuple[MediaItem, Seen | None]


def index_files(
    paths: Sequence[str],
    finder: "Finder",
    outputs: Outputs,
    meter: Meter,
    summary: Summary,
    *,
    every: float,
    batch_size: int | None = None,
    workers: int = 2,
) -> None:
    """Look at photos and clips and write a record of each, in order.

    Args:
        paths: of the files.
        finder: what looks.
        outputs: the index.
        meter: is told of every batch.
        summary: counts what has been written, also when this is interrupted.
        every: seconds of a clip's moments.
        batch_size: photos and moments at a time.
        workers: threads, each with files of its own; they take turns on a GPU.

    Raises:
        WriteError: the index can no longer be written.
    """
    started = time.monotonic()
    size = batch_size or BATCH
    load = partial(
        load_media,
        transform=finder.captioner.transform,
        clips=ClipOptions(FRAMES, every),
        max_pixels=MAX_PIXELS,
        pictures=False,
    )
    turn = nullcontext() if finder.captioner.device.type == "cpu" else threading.Lock()
    ended = threading.Event()
    alone = len(paths) < workers  # few files: the CNN's streams share the photos of one

    def work(group: Sequence[str]) -> Iterator[list[Looked]]:
        items = takewhile(lambda _: not ended.is_set(), (item for path in group for item in load(path)))
        for batch in _batches(items, size):
            with turn:
                looked = _look(batch, finder, alone)
            yield looked

    groups = [paths[first : first + size] for first in range(0, len(paths), size)]
    waiting: list[Looked] = []
    try:
        with closing(ordered_parallel_map(work, groups, workers=workers, ended=ended)) as found:
            for batch in found:
                records = []
                for item, seen in batch:
                    waiting.append((item, seen))
                    if item.last:
                        records.append(_record(waiting))
                        waiting = []
                if records:
                    with defer_sigint():
                        outputs.write(records)
                        meter.advance(len(records), summary.add(records))
    finally:
        summary.seconds = time.monotonic() - started


def _batches(items: Iterator[MediaItem], size: int) -> Iterator[list[MediaItem]]:
    batch: list[MediaItem] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _look(batch: Sequence[MediaItem], finder: "Finder", parallel: bool) -> list[Looked]:
    """What the CNN sees of a batch; of a moment, the mean over its frames."""
    import torch

    read = [item for item in batch if item.pixels is not None]
    seen: dict[int, Seen] = {}
    if read:
        pixels = np.concatenate([item.pixels for item in read if item.pixels is not None])
        found = halve_on_oom(partial(finder.captioner.encode, parallel=parallel), pixels)
        frames = torch.cat([features.grid for features in found])
        lengths = [0 if item.pixels is None else len(item.pixels) for item in read]
        grids = torch.stack([part.mean(0) for part in frames.split(lengths)])
        vectors, packed = finder.pack(grids)
        for item, vector, photo in zip(read, vectors, packed, strict=True):
            start, end = item.span or (None, None)
            seen[id(item)] = Seen(start, end, vector.tobytes(), photo)
    return [(replace(item, pixels=None), seen.get(id(item))) for item in batch]


def _record(looked: Sequence[Looked]) -> Record:
    """All that was seen of a file."""
    first = looked[0][0]
    failed = next((item.error for item, _ in looked if item.error is not None), None)
    if failed is not None:
        return Record(first.path, error=failed, stamp=first.stamp)
    seen = [each for _, each in looked if each is not None]
    return Record(first.path, warning=looked[-1][0].warning, picture=seen, stamp=first.stamp)
