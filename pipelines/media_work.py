"""Work through photos and clips with a CNN: each worker decodes and looks, and records are written in order."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.stages import defer_sigint, halve_on_oom, ordered_parallel_map
from captioner.pipelines.media import ClipOptions, MediaItem, load_media
from captioner.vision.images import MAX_PIXELS

if TYPE_CHECKING:
    from torch import Tensor

    from captioner.models.caption import Captioner

BATCH = 32
Result = TypeVar("Result")


def work_through(
    paths: Sequence[str],
    captioner: "Captioner",
    look: "Callable[[Tensor], Sequence[Result]]",
    record: Callable[[Sequence[tuple[MediaItem, Result]]], Record],
    outputs: Outputs,
    meter: Meter,
    summary: Summary,
    *,
    clips: ClipOptions,
    batch_size: int | None = None,
    workers: int = 2,
    pictures: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Look at photos and clips and write a record of each, in order. Memory grows with no folder and no clip.

    Args:
        paths: of the files.
        captioner: whose CNN looks.
        look: what is made of grids (items, regions, channels), an item being a photo or a segment of a clip, of which
            the grid is the mean over its frames.
        record: what is made of all items of a file that could be read.
        outputs: where records go.
        meter: is told of every batch.
        summary: counts what has been written, also when this is interrupted.
        clips: how clips are divided.
        batch_size: items at a time.
        workers: threads, each with files of its own; they take turns on a GPU.
        pictures: also make what a gallery shows.
        max_pixels: of a photo, or of a clip's frames.

    Raises:
        WriteError: an output can no longer be written.
    """
    started = time.monotonic()
    size = batch_size or BATCH
    load = partial(
        load_media, transform=captioner.transform, clips=clips, max_pixels=max_pixels, pictures=pictures
    )
    turn = nullcontext() if captioner.device.type == "cpu" else threading.Lock()
    ended = threading.Event()
    alone = len(paths) < workers  # few files: the CNN's streams share the photos of one

    def work(group: Sequence[str]) -> Iterator[list[tuple[MediaItem, Result | None]]]:
        items = takewhile(lambda _: not ended.is_set(), (item for path in group for item in load(path)))
        for batch in _batches(items, size):
            with turn:
                looked = _look(batch, captioner, look, alone)
            yield looked

    groups = [paths[first : first + size] for first in range(0, len(paths), size)]
    waiting: list[tuple[MediaItem, Result | None]] = []
    try:
        with closing(ordered_parallel_map(work, groups, workers=workers, ended=ended)) as found:
            for batch in found:
                records = []
                for item, result in batch:
                    waiting.append((item, result))
                    if item.last:
                        records.append(_record(waiting, record))
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


def _look(
    batch: Sequence[MediaItem], captioner: "Captioner", look: "Callable[[Tensor], Sequence[Result]]", parallel: bool
) -> list[tuple[MediaItem, Result | None]]:
    """What is made of a batch's items that were read; their pixels are let go."""
    import torch

    read = [item for item in batch if item.pixels is not None]
    results: dict[int, Result] = {}
    if read:
        pixels = np.concatenate([item.pixels for item in read if item.pixels is not None])
        found = halve_on_oom(partial(captioner.encode, parallel=parallel), pixels)
        frames = torch.cat([features.grid for features in found])
        lengths = [0 if item.pixels is None else len(item.pixels) for item in read]
        grids = torch.stack([part.mean(0) for part in frames.split(lengths)])
        results = {id(item): result for item, result in zip(read, look(grids), strict=True)}
    return [(replace(item, pixels=None), results.get(id(item))) for item in batch]


def _record(
    looked: Sequence[tuple[MediaItem, Result | None]], record: Callable[[Sequence[tuple[MediaItem, Result]]], Record]
) -> Record:
    """A file's record; of one that could not be read, why."""
    first = looked[0][0]
    failed = next((item.error for item, _ in looked if item.error is not None), None)
    if failed is not None:
        return Record(first.path, error=failed, stamp=first.stamp)
    made = record([(item, result) for item, result in looked if result is not None])
    return replace(made, warning=looked[-1][0].warning, stamp=first.stamp)
