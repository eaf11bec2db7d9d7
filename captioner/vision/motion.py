"""Where a clip moves, and how much: the two cues that tell what happens from what is there."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from captioner.vision.images import Pixels, resize

_SIDE = 112  # pixels of the shorter side at which motion is looked for; compression noise is averaged away
_NOISE = 8.0  # grey levels (of 255) that compression and sensors change without any motion
_MOST = 60.0  # a passing white van is not to outweigh two people


def moving_window(frames: Pixels, share: float) -> tuple[int, int, int]:
    """The square window of a clip in which most changes from frame to frame.

    Args:
        frames: RGB (frames, height, width, 3), in order.
        share: the window's side as a share of the frames' shorter side.

    Returns:
        top, left and side in pixels; in the middle if nothing moves.
    """
    height, width = frames.shape[1:3]
    side = max(1, round(share * min(height, width)))
    top, left = (height - side) // 2, (width - side) // 2
    energy = _energy(frames)
    if energy.any():
        scale = energy.shape[0] / height, energy.shape[1] / width
        high, wide = max(1, round(side * scale[0])), max(1, round(side * scale[1]))
        sums = cv2.integral(energy)
        inside = sums[high:, wide:] - sums[:-high, wide:] - sums[high:, :-wide] + sums[:-high, :-wide]
        best = np.argwhere(inside >= inside.max() * (1 - 1e-6))
        row, column = best.mean(axis=0)  # several windows may hold all that moves
        top, left = min(round(row / scale[0]), height - side), min(round(column / scale[1]), width - side)
    return top, left, side


def differences(grids: Tensor) -> Tensor:
    """How much a CNN's features change at each frame, averaged over the image after the change is taken.

    A difference of averages would miss most of it: what leaves one region enters another.

    Args:
        grids: (frames, regions, channels) of consecutive frames.

    Returns:
        (frames, channels): mean absolute difference from the frame before. The first frame, which has none before it,
        takes that of the second; all is zero for a single frame.
    """
    changes = (grids[1:] - grids[:-1]).abs().mean(dim=1)
    if not len(changes):
        return grids.new_zeros(len(grids), grids.shape[-1])
    return changes[[0, *range(len(changes))]]


def _energy(frames: Pixels) -> NDArray[np.float32]:
    """How much each place (rows, columns) of a small copy of the clip changes, on average."""
    height, width = frames.shape[1:3]
    scale = min(1.0, _SIDE / min(height, width))
    high, wide = math.ceil(height * scale), math.ceil(width * scale)
    grey = np.stack([cv2.cvtColor(resize(frame, high, wide), cv2.COLOR_RGB2GRAY) for frame in frames])
    changes = np.abs(np.diff(grey.astype(np.float32), axis=0))
    if not len(changes):
        return np.zeros((high, wide), np.float32)
    return np.asarray((changes - _NOISE).clip(0, _MOST).mean(axis=0), dtype=np.float32)
