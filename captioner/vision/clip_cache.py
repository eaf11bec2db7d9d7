"""Features of labelled clips on disk, so that folds, comparisons and later trainings never decode a clip twice.

The folder is named by a digest of what all values depend on: the CNN and which frames are seen. Each view of a clip is
a file under it, named by the clip's size and a checksum; a changed clip is read again, one that was copied to another
place is not, more views only add files, and a run that was stopped goes on where it was.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from captioner.errors import DataError, VideoError
from captioner.vision.checksums import fingerprint
from captioner.vision.clip_features import FrameSample, FramesConfig, encode, view
from captioner.vision.encoder import Features
from captioner.vision.images import Pixels, Transform
from captioner.vision.video import Video


class ClipCache:
    """Features of clips, as several views of each and their mirror images.

    Args:
        root: folder that holds all caches.
        key: what the features depend on besides the clip.
        frames: which frames are seen.
        views: how many versions of each clip there are besides their mirror images; the first is how a trained model
            sees a clip.
    """

    def __init__(self, root: Path, key: str, frames: FramesConfig, views: int) -> None:
        self.frames, self.views = frames, views
        about = json.dumps([2, key, frames.model_dump(mode="json")])
        self.folder = root / hashlib.sha256(about.encode()).hexdigest()[:16]
        self._names: dict[Path, str] = {}

    def fill(
        self,
        clips: Sequence[Path],
        encoder: Callable[[Pixels], Features],
        transform: Transform,
        *,
        workers: int = 2,
        share: tuple[int, int] = (0, 1),
        progress: Callable[[int, int], None] | None = None,
    ) -> dict[Path, str]:
        """Compute what is missing.

        Args:
            clips: the files; several are decoded side by side while the CNN works.
            encoder: the CNN.
            transform: makes frames its input.
            workers: threads that decode.
            share: (place, count) of a process that computes its part of what is missing, while others compute theirs;
                all are there once all have come back.
            progress: called with (clips done, clips in all) after every clip, as far as this process knows.

        Returns:
            the clips of its share that cannot be read, with the reason.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        unreadable: dict[Path, str] = {}
        place, count = share
        todo = [clip for clip in clips[place::count] if self._missing(clip)]
        for done, (clip, seen) in enumerate(self._seen(todo, transform, workers), len(clips) - len(todo) + 1):
            if isinstance(seen, VideoError):
                unreadable[clip] = str(seen)
            else:
                for number, each in seen.items():
                    self._write(self._file(clip, number), encode(_and_mirrored(each), encoder))
            if progress is not None:
                progress(done, len(clips))
        return unreadable

    def read(self, clip: Path) -> list[Tensor]:
        """Features (frames, streams, channels) of all views of a clip, float32: each view, then its mirror image."""
        versions = []
        for number in range(self.views):
            path = self._file(clip, number)
            try:
                with np.load(path) as file:
                    versions += [torch.from_numpy(file[name].astype(np.float32)) for name in ("plain", "mirrored")]
            except (OSError, ValueError, EOFError, KeyError, BadZipFile) as error:
                raise DataError(f"{path}: not a complete feature file ({error}); delete it.") from error
        return versions

    def _seen(
        self, clips: Sequence[Path], transform: Transform, workers: int
    ) -> Iterator[tuple[Path, dict[int, FrameSample] | VideoError]]:
        """Clips with the views that are missing, in order; a few are decoded ahead."""

        def look(clip: Path) -> dict[int, FrameSample] | VideoError:
            try:
                with Video(clip) as video:
                    return {number: view(video, self.frames, transform, number) for number in self._missing(clip)}
            except VideoError as error:
                return error

        with ThreadPoolExecutor(workers) as pool:
            pending: list[tuple[Path, Future[dict[int, FrameSample] | VideoError]]] = []
            for clip in clips:
                pending.append((clip, pool.submit(look, clip)))
                if len(pending) > workers:
                    first, future = pending.pop(0)
                    yield first, future.result()
            for first, future in pending:
                yield first, future.result()

    def _write(self, path: Path, versions: Sequence[Tensor]) -> None:
        # whole under its name or not there at all, also where another training reads the same clip
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        plain, mirrored = (each.cpu().numpy().astype(np.float16) for each in versions)
        with part.open("wb") as file:
            np.savez(file, plain=plain, mirrored=mirrored)
        os.replace(part, path)

    def _missing(self, clip: Path) -> list[int]:
        return [number for number in range(self.views) if not self._file(clip, number).exists()]

    def _file(self, clip: Path, number: int) -> Path:
        if clip not in self._names:  # looked at once, so that a training reads what it has computed
            self._names[clip] = fingerprint(clip)
        return self.folder / f"{self._names[clip]}-{number}.npz"


def _and_mirrored(seen: FrameSample) -> tuple[Pixels, Pixels]:
    return seen.pixels, np.ascontiguousarray(seen.pixels[:, :, ::-1])
