"""Features of a whole photo collection on disk, memory-mapped, so that a decoder trains without running the CNN.

A cache's folder is named by a digest of everything its values depend on: the network, its weights, the transform, the
precision and each photo's name and fingerprint. Change any of them and another folder is used, so a stale value is
never read; stop while it is filled and the next run goes on where it stopped.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from captioner.errors import DataError, ImageError
from captioner.vision.encoder import Engine, Features, describe
from captioner.vision.images import Pixels, decode_image

BATCH = 32


class Photos(Protocol):
    """Where encoded photos come from; `captioner.data.captions.ImageStore` is one."""

    def read(self, name: str) -> Pixels:
        """The photo file's bytes."""

    def fingerprint(self, name: str) -> str:
        """A text that changes when the photo file does."""


class FeatureCache:
    """Float16 grids (photos, views, regions, channels) of named photos, from a memory-mapped file.

    View 0 is the photo, view 1 its mirror image.
    """

    def __init__(self, folder: Path, names: Sequence[str], grids: NDArray[np.float16]) -> None:
        self.folder = folder
        self.index = {name: row for row, name in enumerate(names)}
        self.grids = grids

    @property
    def views(self) -> int:
        """How many versions of each photo there are."""
        return self.grids.shape[1]

    def grid(self, name: str, view: int = 0) -> NDArray[np.float16]:
        """The grid (regions, channels) of one photo."""
        return self.grids[self.index[name], view]

    def read(self, names: Sequence[str]) -> Features:
        """Features of photos by name, float32."""
        rows = [self.index[name] for name in names]
        return Features.of(torch.from_numpy(self.grids[rows, 0].astype(np.float32)))

    @classmethod
    def fill(
        cls,
        root: Path,
        engine: Engine,
        photos: Photos,
        names: Sequence[str],
        *,
        weights_digest: str,
        mirror: bool = False,
        progress: Callable[[int, int], None] | None = None,
    ) -> "FeatureCache":
        """Open the cache of these photos under `root`, first computing what it lacks.

        Args:
            root: folder that holds all caches.
            engine: runs the CNN.
            photos: gives the photos' bytes.
            names: the photos; doubles are stored once.
            weights_digest: of the CNN's weights, see `digest_of_weights`.
            mirror: also keep each photo's mirror image.
            progress: called with (photos done, photos in all) after every batch.

        Raises:
            DataError: a photo cannot be read, or the cache's files do not fit their own description.
        """
        names = list(dict.fromkeys(names))
        encoder = engine.encoder
        views = 2 if mirror else 1
        key = {
            "encoder": encoder.name,
            "weights": weights_digest,
            "transform": describe(encoder.transform),
            "resize": 2,  # to be raised when photos are decoded or resized in another way
            "precision": engine.precision if engine.device.type == "cpu" else "bfloat16",
            "views": views,
            # a list, because rows follow this order
            "photos": [[name, photos.fingerprint(name)] for name in names],
        }
        text = json.dumps(key, sort_keys=True)
        folder = root / hashlib.sha256(text.encode()).hexdigest()[:16]
        rows, columns = encoder.grid_shape()
        shape = (len(names), views, rows * columns, encoder.channels)
        grids = _open(folder / "grids.npy", np.float16, shape)
        done = _open(folder / "done.npy", np.bool_, (len(names),))
        _check_key(folder / "key.json", text)
        todo = [row for row in range(len(names)) if not done[row]]
        finished = len(names) - len(todo)
        for batch, pixels in _load(photos, names, todo, encoder.transform):
            for view, version in enumerate((pixels, pixels[:, :, ::-1])[:views]):
                grids[batch, view] = engine(version).grid.cpu().numpy().astype(np.float16)
            # values reach the disk before the mark that says so: a killed run repeats a batch, never trusts a torn one
            grids.flush()
            done[batch] = True
            done.flush()
            finished += len(batch)
            if progress is not None:
                progress(finished, len(names))
        return cls(folder, names, np.load(folder / "grids.npy", mmap_mode="r"))


def digest_of_weights(module: torch.nn.Module) -> str:
    """A digest of a module's parameters and buffers, in their order."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _open(path: Path, dtype: Any, shape: tuple[int, ...]) -> Any:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        try:
            np.load(path, mmap_mode="r")  # refuses a cut file, which "r+" would fill up with zeros
            array = np.load(path, mmap_mode="r+")
        except (ValueError, EOFError, OSError) as error:
            raise DataError(f"{path}: not a complete feature cache ({error}); delete its folder.") from error
        if array.shape != shape or array.dtype != dtype:
            raise DataError(
                f"{path}: holds {array.dtype} {array.shape}, but this encoder and these photos make {np.dtype(dtype)} "
                f"{shape}; the file comes from another cache. Delete its folder."
            )
        return array
    # whole under its name or not there at all, so that a run killed here can go on too
    part = path.with_name(path.name + ".part")
    np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape).flush()
    os.replace(part, path)
    return np.load(path, mmap_mode="r+")


def _check_key(path: Path, text: str) -> None:
    if path.exists() and path.read_text() != text:
        raise DataError(f"{path}: describes another encoder, transform or list of photos; delete its folder.")
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    os.replace(part, path)


def _load(photos: Photos, names: Sequence[str], rows: Iterable[int], transform: Any) -> Iterator[tuple[Any, Pixels]]:
    """Batches of (rows, pixels), decoded by threads one batch ahead of the CNN."""

    def decode(row: int) -> Pixels:
        try:
            return transform(decode_image(photos.read(names[row]), names[row]))
        except ImageError as error:
            raise DataError(f"{error} Remove it from the captions file, or replace it.") from error

    todo = iter(rows)
    with ThreadPoolExecutor() as pool:
        prefetch: list[tuple[list[int], Any]] = []
        while True:
            if batch := list(islice(todo, BATCH)):
                prefetch.append((batch, pool.map(decode, batch)))
            if not prefetch:
                return
            if len(prefetch) > 1 or not batch:
                ready, pixels = prefetch.pop(0)
                yield np.asarray(ready), np.stack(list(pixels))
