"""What a search looks through: photos, and moments of clips."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from captioner.pipelines.folder.inputs import identity


@dataclass(frozen=True)
class Seen:
    """What the CNN saw: a photo, or a moment of a clip.

    Attributes:
        start: in seconds; None for a photo.
        end: in seconds; None for a photo.
        vector: float16 bytes, empty without a quick part.
        packed: see `captioner.models.packed`.
    """

    start: float | None
    end: float | None
    vector: bytes
    packed: bytes


@dataclass(frozen=True)
class Moments:
    """Photos and moments to be searched, in the order of their files and times.

    Attributes:
        ids: (moments,).
        paths: of each.
        spans: start and end of each in seconds; None for a photo.
        vectors: (moments, size).
    """

    ids: NDArray[np.int64]
    paths: Sequence[str]
    spans: Sequence[tuple[float, float] | None]
    vectors: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def without(self, file: str) -> "Moments":
        """Those of other files than the one with this `identity`."""
        kept = [place for place, path in enumerate(self.paths) if identity(path) != file]
        paths, spans = [self.paths[place] for place in kept], [self.spans[place] for place in kept]
        return Moments(self.ids[kept], paths, spans, self.vectors[kept])
