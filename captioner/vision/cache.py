"""Features of a whole photo collection on disk, memory-mapped, so that a decoder trains without running the CNN.

A cache's folder is named by a digest of everything its values depend on: the network, its weights, the transform, the
precision and each photo's name and fingerprint, which follows its content. Change any of them and another folder is
used, so a stale value is never read; stop while it is filled and the next run goes on where it stopped.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray

from captioner.errors import DataError, ImageError
from captioner.vision.encoder import Engine, Features, describe
from captioner.vision.images import Pixels, decode_image
from captioner.weights import write_atomically

BATCH = 32


class Photos(Protocol):
    """Where encoded photos come from; `captioner.data.captions.ImageStore` is one."""

    def read(self, name: str) -> Pixels:
        """The photo file's bytes."""

    def fingerprint(self, name: str) -> str:
        """A text that changes when the photo file's content does."""


class FeatureCache:
    """Float16 grids (photos, views, regions, channels) of named photos, from a memory-mapped file.

    View 0 is the photo, view 1 its mirror image.

    Attributes:
        unreadable: photos that have no features, with the reason.
    """

    def __init__(
        self, folder: Path, names: Sequence[str], grids: NDArray[np.float16], unreadable: dict[str, str]
    ) -> None:
        self.folder = folder
        self.index = {name: row for row, name in enumerate(names)}
        self.grids = grids
        self.unreadable = unreadable

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
        mine: Iterable[str] | None = None,
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
            mine: the photos whose features this process computes, in this order, while others compute theirs; all are
                there once all have come back. By default all photos.
            progress: called with (photos done, photos in all) after every batch, as far as this process knows.

        Raises:
            DataError: a photo is not there, the cache's files do not fit their description, or the disk has no room.
        """
        names = list(dict.fromkeys(names))
        encoder = engine.encoder
        views = 2 if mirror else 1
        key = {
            "encoder": encoder.name,
            "weights": weights_digest,
            "transform": describe(encoder.transform),
            "resize": 2,  # to be raised when photos are decoded or resized in another way
            "precision": engine.precision,
            "views": views,
            "photos": fingerprints(photos, names),  # a list, because rows follow this order
        }
        text = json.dumps(key, sort_keys=True)
        folder = root / hashlib.sha256(text.encode()).hexdigest()[:16]
        rows, columns = encoder.grid_shape()
        shape = (len(names), views, rows * columns, encoder.channels)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "lock"):  # or one process would put an empty file in the place of another's
            grids = _open(folder / "grids.npy", np.float16, shape)
            done = _open(folder / "done.npy", np.bool_, (len(names),))
            _check_key(folder / "key.json", text)
            _check_room(folder, int((~done).sum()) * grids[0].nbytes if names else 0)
        place = {name: row for row, name in enumerate(names)}
        todo = (row for row in map(place.__getitem__, names if mine is None else mine) if not done[row])
        finished = int(done.sum())
        unreadable: dict[str, str] = {}
        for batch, pixels in _load(photos, names, todo, encoder.transform, unreadable):
            for view, version in enumerate((pixels, pixels[:, :, ::-1])[:views]):
                grids[batch, view] = engine(version).grid.cpu().numpy().astype(np.float16)
            # values reach the disk before the mark that says so: a killed run repeats a batch, never trusts a torn one
            grids.flush()
            done[batch] = True
            done.flush()
            finished += len(batch)
            if progress is not None:
                progress(finished, len(names))
        return cls(folder, names, np.load(folder / "grids.npy", mmap_mode="r"), unreadable)


def fingerprints(photos: Photos, names: Sequence[str]) -> list[tuple[str, str]]:
    """Each photo's name and fingerprint."""
    with ThreadPoolExecutor() as pool:  # each may be a read from a slow disk
        return list(zip(names, pool.map(photos.fingerprint, names), strict=True))


def digest_of_weights(module: torch.nn.Module) -> str:
    """A digest of a module's parameters and buffers, in their order."""
    digest = hashlib.sha256()
    for name, value in module.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _open(path: Path, dtype: Any, shape: tuple[int, ...]) -> Any:
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
    part.replace(path)
    return np.load(path, mmap_mode="r+")


def _check_room(folder: Path, lacking: int) -> None:
    """See that a disk takes the bytes that are not written yet: where it does not, writing mapped memory is fatal."""
    free = shutil.disk_usage(folder).free
    if lacking > free:
        raise DataError(
            f"{folder}: features need {lacking / 1e9:.3g} GB more, and {free / 1e9:.3g} GB are free; make room, or "
            "name another folder as data.cache."
        )


def _check_key(path: Path, text: str) -> None:
    if not path.exists():
        write_atomically(path, text)
    elif path.read_text(encoding="utf-8") != text:
        raise DataError(f"{path}: describes another encoder, transform or list of photos; delete its folder.")


def find_unreadable(photos: Photos, names: Iterable[str]) -> dict[str, str]:
    """Photos that cannot be decoded, with the reason."""

    def problem(name: str) -> str | None:
        try:
            decode_image(photos.read(name), name)
        except ImageError as error:
            return str(error)
        return None

    names, found = iter(names), dict[str, str]()
    with ThreadPoolExecutor() as pool:
        while batch := list(islice(names, BATCH)):
            found |= {name: reason for name, reason in zip(batch, pool.map(problem, batch), strict=True) if reason}
    return found


def _load(
    photos: Photos, names: Sequence[str], rows: Iterable[int], transform: Any, unreadable: dict[str, str]
) -> Iterator[tuple[Any, Pixels]]:
    """Batches of (rows, pixels), decoded by threads one batch ahead of the CNN; notes what cannot be read."""

    def decode(row: int) -> Pixels | None:
        try:
            return transform(decode_image(photos.read(names[row]), names[row]))
        except ImageError as error:
            unreadable[names[row]] = str(error)
            return None

    todo = iter(rows)
    with ThreadPoolExecutor() as pool:
        prefetch: list[tuple[list[int], Any]] = []
        while True:
            if batch := list(islice(todo, BATCH)):
                prefetch.append((batch, pool.map(decode, batch)))
            if not prefetch:
                return
            if len(prefetch) > 1 or not batch:
                ready, decoded = prefetch.pop(0)
                pairs = [(row, pixels) for row, pixels in zip(ready, decoded, strict=True) if pixels is not None]
                if pairs:
                    yield np.asarray([row for row, _ in pairs]), np.stack([pixels for _, pixels in pairs])
