"""What a careful ranking needs of a photo, in some thirteen kilobytes: regions in four bits a value, and a summary.

The regions are what the decoder attends to, whose layer normalisation makes them nearly normal, so that one step a
region serves all its values; the step is Max's (1960) for a normal distribution and sixteen levels, which leaves a
hundredth of the variance as noise.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
_STEP = 0.3352  # standard deviations
MOST_BYTES = 16_000


@dataclass(frozen=True)
class PackedShape:
    """What packed photos of one captioner hold.

    Attributes:
        rows: of regions.
        columns: of regions.
        hidden_size: values of a region; even, or 0 without attention.
        width: values of the summary.
    """

    rows: int
    columns: int
    hidden_size: int
    width: int

    @classmethod
    def fitting(cls, rows: int, columns: int, hidden_size: int, width: int) -> "PackedShape":
        """The shape for a grid of regions; a grid too large for `MOST_BYTES` is to be averaged to a smaller one."""
        if hidden_size == 0:
            return cls(0, 0, 0, width)
        while rows * columns > 1 and cls(rows, columns, hidden_size, width).size > MOST_BYTES:
            rows, columns = max(1, rows - 1), max(1, columns - 1)
        return cls(rows, columns, hidden_size + hidden_size % 2, width)

    @property
    def regions(self) -> int:
        """How many there are."""
        return self.rows * self.columns

    @property
    def size(self) -> int:
        """Bytes of a photo."""
        return 2 * self.width + self.regions * (2 + self.hidden_size // 2)


def pack(shape: PackedShape, summaries: Floats, regions: Floats) -> list[bytes]:
    """Pack photos.

    Args:
        shape: of each.
        summaries: (photos, width).
        regions: (photos, regions, values of a region).
    """
    photos = len(summaries)
    if not shape.regions:
        return [row.tobytes() for row in summaries.astype(np.float16)]
    padded = np.zeros((photos, shape.regions, shape.hidden_size), np.float32)
    padded[..., : regions.shape[-1]] = regions
    step = _STEP * np.sqrt((padded**2).mean(-1, keepdims=True) + 1e-12)
    step = step.astype(np.float16).astype(np.float32).clip(6e-8)
    levels = np.floor(padded / step + 8).clip(0, 15).astype(np.uint8)  # level 8 is what lies between 0 and a step
    halves = levels[..., ::2] | levels[..., 1::2] << 4
    rows = np.concatenate(
        [
            summaries.astype(np.float16).view(np.uint8).reshape(photos, -1),
            step.astype(np.float16).view(np.uint8).reshape(photos, -1),
            halves.reshape(photos, -1),
        ],
        axis=1,
    )
    return [row.tobytes() for row in rows]


def unpack(shape: PackedShape, packed: Sequence[bytes]) -> tuple[Floats, Floats]:
    """Summaries (photos, width) and regions (photos, regions, hidden_size)."""
    rows = np.frombuffer(b"".join(packed), np.uint8).reshape(len(packed), shape.size)
    first, second = 2 * shape.width, 2 * (shape.width + shape.regions)
    summaries = rows[:, :first].copy().view(np.float16).astype(np.float32)
    step = rows[:, first:second].copy().view(np.float16).astype(np.float32)
    halves = rows[:, second:].reshape(len(packed), shape.regions, shape.hidden_size // 2)
    regions = np.empty((len(packed), shape.regions, shape.hidden_size), np.float32)
    regions[..., ::2] = halves & 15
    regions[..., 1::2] = halves >> 4
    regions -= 7.5  # the middle of each level
    regions *= step[..., None]
    return summaries, regions
