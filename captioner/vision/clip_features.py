"""What a classifier sees of a clip: some frames, perhaps only where it moves, and their features by a frozen CNN."""

import math
import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from captioner.vision.encoder import Features
from captioner.vision.images import Pixels, Transform, resize
from captioner.vision.motion import differences, moving_window
from captioner.vision.video import Frame, Video, instants

STREAMS = ("frames", "differences")
"""What `encode` gives of each frame: the mean of its features, and their mean change since the frame before."""

_KEPT = 384  # pixels of the shorter side that a frame keeps until its window is known


class FramesConfig(BaseModel):
    """Which frames of a clip are seen, and what of them.

    Attributes:
        count: of the frames, evenly spread over the clip; a shorter clip gives what it has.
        area: `whole` frames, or the square that is `moving` most, the same for all frames of a clip.
        share: the moving square's side as a share of the frames' shorter side.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    count: int = Field(16, ge=1)
    area: Literal["whole", "moving"] = "whole"
    share: float = Field(0.6, gt=0, le=1)


@dataclass(frozen=True)
class FrameSample:
    """Frames of a clip, ready for the CNN.

    Attributes:
        pixels: RGB (frames, height, width, 3).
        times: (frames,) when each is shown, in seconds.
        window: top, left, bottom, right of what is seen, as shares of the whole frame.
    """

    pixels: Pixels
    times: NDArray[np.float64]
    window: tuple[float, float, float, float]


def view(video: Video, frames: FramesConfig, transform: Transform, number: int = 0) -> FrameSample:
    """One of the ways to see a whole clip.

    View 0 is how a trained model sees it; the others are for training: a part of the clip, chosen at random but always
    the same for the same number, seen through a window that is a little off.
    """
    span = (0.0, video.duration)
    chance = random.Random(number)
    if number:
        length = chance.uniform(0.7, 1.0) * video.duration
        first = chance.uniform(0, video.duration - length)
        span = (first, first + length)
    offset = (chance.uniform(-0.1, 0.1), chance.uniform(-0.1, 0.1)) if number else (0.0, 0.0)
    return see(video.frames(instants(*span, count=frames.count)), frames, transform, offset)


def see(
    taken: Iterable[Frame], frames: FramesConfig, transform: Transform, offset: tuple[float, float] = (0.0, 0.0)
) -> FrameSample:
    """Cut and resize frames.

    Args:
        taken: at least one frame.
        frames: what is seen of them.
        transform: makes them the CNN's input; frames are averaged over areas, whatever its interpolation.
        offset: moves the moving window down and right, as shares of its side.
    """
    transform = transform.of_frames
    times, kept = [], []
    for frame in taken:
        times.append(frame.time)
        # at once, so that memory holds no long list of frames at full size
        kept.append(_shrink(frame.pixels) if frames.area == "moving" else transform(frame.pixels))
    pixels = np.stack(kept)
    window = (0.0, 0.0, 1.0, 1.0)
    if frames.area == "moving":
        high, wide = pixels.shape[1:3]
        top, left, side = moving_window(pixels, frames.share)
        top, left = _shift(top, side, high, offset[0]), _shift(left, side, wide, offset[1])
        pixels = np.stack([transform(frame[top : top + side, left : left + side]) for frame in pixels])
        window = (top / high, left / wide, (top + side) / high, (left + side) / wide)
    return FrameSample(pixels, np.array(times, dtype=np.float64), window)


def encode(clips: Sequence[Pixels], encoder: Callable[[Pixels], Features]) -> list[Tensor]:
    """Features (frames, streams, channels) of each clip's frames, float32, by one run of the CNN; see `STREAMS`."""
    return streams_of(encoder(np.concatenate(clips)).grid, [len(clip) for clip in clips])


def streams_of(grids: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    """Features (frames, streams, channels) of clips of so many frames from grids (all frames, regions, channels)."""
    return [torch.stack([grid.mean(dim=1), differences(grid)], dim=1) for grid in grids.split(list(lengths))]


def _shrink(image: Pixels) -> Pixels:
    height, width = image.shape[:2]
    scale = _KEPT / min(height, width)
    return image if scale >= 1 else resize(image, math.ceil(height * scale), math.ceil(width * scale))


def _shift(start: int, length: int, most: int, share: float) -> int:
    return min(max(0, start + round(share * length)), most - length)
