"""Caption every image of a folder: decoding, the CNN and the search overlap, and memory stays bounded."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import numpy as np
import torch

from captioner.decoding.search import Search
from captioner.errors import ImageError
from captioner.models.caption import Caption, Captioner
from captioner.vision.encoder import Features
from captioner.vision.images import MAX_PIXELS, Pixels, Transform, read

from .gallery import Picture, Thumbnail, thumbnail
from .outputs import Outputs, Record
from .progress import Meter, Summary
from .stages import ahead, in_threads

Result = TypeVar("Result")

CPU_BATCH = 32  # larger ones gain nothing on a CPU and delay the first caption
GPU_BATCH = 256  # halved for as long as the GPU's memory does not hold it


def caption_folder(
    paths: Sequence[str],
    model: Captioner,
    outputs: Outputs,
    search: Search,
    meter: Meter,
    summary: Summary,
    *,
    batch_size: int | None = None,
    workers: int = 2,
    searches: int = 2,
    max_pixels: int = MAX_PIXELS,
    pictures: bool = False,
) -> None:
    """Caption images and write a record of each, in order.

    Args:
        paths: of the images.
        model: the captioner.
        outputs: where records go.
        search: how to choose words.
        meter: is told of every batch.
        summary: counts what has been written, also when this is interrupted.
        batch_size: images at a time; by default the model's device decides.
        workers: threads that decode.
        searches: batches that are searched at the same time.
        max_pixels: larger images are refused.
        pictures: add to the records what a gallery shows besides: thumbnails, and where the model looked.

    Raises:
        WriteError: an output can no longer be written.
    """
    started = time.monotonic()
    size = batch_size or (CPU_BATCH if model.device.type == "cpu" else GPU_BATCH)
    load = partial(load_image, transform=model.transform, max_pixels=max_pixels, pictures=pictures)
    loaded = in_threads(load, paths, workers=workers, waiting=2 * size)
    caption = partial(_caption, model=model, search=search, pictures=pictures)
    encoded = ahead(_encode(_batches(loaded, size), model))
    try:
        for records in in_threads(caption, encoded, workers=searches, waiting=searches):
            outputs.write(records)
            meter.advance(len(records), summary.add(records))
    finally:
        summary.seconds = time.monotonic() - started


@dataclass(frozen=True)
class Loaded:
    """An image ready for the CNN, or the reason why it is not."""

    path: str
    pixels: Pixels | None = None
    error: str | None = None
    warning: str | None = None
    thumbnail: Thumbnail | None = None


Encoded = tuple[list[Loaded], list[Features]]


def load_image(path: str, transform: Transform, max_pixels: int, pictures: bool) -> Loaded:
    """Read, decode and resize one image; what is wrong with it becomes part of the result."""
    try:
        decoded = read(path, at_least=transform.at_least, max_pixels=max_pixels)
    except ImageError as error:
        return Loaded(path, error=str(error).removeprefix(f"{path}: "))
    except MemoryError:
        return Loaded(path, error="too large for this machine's memory")
    small = thumbnail(decoded.pixels, transform.window(*decoded.pixels.shape[:2])) if pictures else None
    return Loaded(path, transform(decoded.pixels), warning=decoded.warning, thumbnail=small)


def _caption(encoded: Encoded, model: Captioner, search: Search, pictures: bool) -> list[Record]:
    batch, features = encoded
    generate = partial(model.generate, options=search, attention=pictures)
    captions = chain.from_iterable(chain.from_iterable(fitting(generate, part) for part in features))
    return [
        _record(one, next(captions), search.num_captions) if one.error is None else Record(one.path, error=one.error)
        for one in batch
    ]


def _record(loaded: Loaded, captions: Sequence[Caption], wanted: int) -> Record:
    """One caption, or a list if several are wanted."""
    rows = [{"caption": caption.text, "score": round(caption.score, 4)} for caption in captions]
    fields: dict[str, Any] = rows[0] if wanted == 1 else {"captions": rows}
    picture = None if loaded.thumbnail is None else Picture(loaded.thumbnail, captions)
    return Record(loaded.path, fields, warning=loaded.warning, picture=picture)


def _batches(loaded: Iterable[Loaded], size: int) -> Iterator[list[Loaded]]:
    """Groups of `size` images, and what could not be read between them."""
    batch: list[Loaded] = []
    images = 0
    for one in loaded:
        batch.append(one)
        images += one.pixels is not None
        if images == size or len(batch) == 4 * size:
            yield batch
            batch, images = [], 0
    if batch:
        yield batch


def _encode(batches: Iterable[list[Loaded]], model: Captioner) -> Iterator[Encoded]:
    for batch in batches:
        pixels = [one.pixels for one in batch if one.pixels is not None]
        yield batch, fitting(model.encode, np.stack(pixels)) if pixels else []


def fitting(work: Callable[[Any], Result], batch: Any) -> list[Result]:
    """Results of `work` on a batch, or on its halves, quarters and so on where the GPU's memory does not hold it."""
    try:
        return [work(batch)]
    except torch.cuda.OutOfMemoryError:
        if len(batch) == 1:
            raise
    torch.cuda.empty_cache()
    half = len(batch) // 2
    return fitting(work, batch[:half]) + fitting(work, batch[half:])
