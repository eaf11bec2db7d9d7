"""Pictures of text lines as a reader sees them: grey, of one height, stretched in contrast, on a background.

A picture keeps its aspect ratio. To its right it goes on with its own background up to a multiple of a step, so that
lines of about the same length have the same width and are read in one batch with nothing left over: what a line reads
as does not depend on the lines beside it.
"""

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from captioner.errors import ImageError
from captioner.vision.images import Pixels

Ink = Literal["dark", "any"]
MAX_COLUMNS = 32_768
_FAINTEST = 12  # levels of grey between paper and ink; less is noise of an empty picture


class LineTransform(BaseModel):
    """How a picture becomes the network's input; the values travel in the model folder.

    Attributes:
        height: of the input in pixels.
        step: widths are multiples of it, in pixels.
        stretch: widths are multiplied by it: short words in narrow letters need more columns.
        ink: `dark` makes light writing on a dark ground dark on light; `any` leaves it to the network.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    height: int = Field(40, ge=8)
    step: int = Field(32, ge=1)
    stretch: float = Field(1.0, gt=0)
    ink: Ink = "dark"

    def width(self, height: int, width: int) -> int:
        """The width of the input for a picture of this size."""
        return math.ceil(self.scaled(height, width) / self.step) * self.step

    def scaled(self, height: int, width: int) -> int:
        """The width of the picture itself in the input."""
        return max(1, round(width * self.stretch * self.height / height))

    def __call__(self, picture: Pixels) -> Pixels:
        """The input (height, width) of an RGB picture (H, W, 3), grey.

        Raises:
            ImageError: nothing can be seen in the picture, or it is far too long.
        """
        height, width = picture.shape[:2]
        if min(height, width) < 3:
            raise ImageError(f"a picture of {width} x {height} pixels holds no text")
        if self.width(height, width) > MAX_COLUMNS:
            raise ImageError(
                f"too long for a line ({width} x {height} pixels); cut it into pieces of at most "
                f"{int(MAX_COLUMNS * height / self.height / self.stretch)} pixels"
            )
        grey = stretch(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8))
        if self.ink == "dark" and _is_light_on_dark(grey):
            grey = 255 - grey
        scaled = self.scaled(height, width)
        method = cv2.INTER_AREA if height > self.height else cv2.INTER_CUBIC
        resized = np.asarray(cv2.resize(grey, (scaled, self.height), interpolation=method), np.uint8)
        return extend(resized, self.width(height, width))


def stretch(grey: Pixels) -> Pixels:
    """Stretch contrast so that the darkest and the lightest hundredth of the pixels are 0 and 255.

    Raises:
        ImageError: all pixels are nearly equally bright.
    """
    counts = np.bincount(grey.ravel(), minlength=256).cumsum()
    for share in (0.01, 0.0005):  # a full stop on a long strip of paper is less than a hundredth
        low = int(np.searchsorted(counts, counts[-1] * share))
        high = int(np.searchsorted(counts, counts[-1] * (1 - share)))
        if high - low >= _FAINTEST:
            table = ((np.arange(256) - low) * (255 / (high - low))).clip(0, 255).astype(np.uint8)
            return table[grey]
    raise ImageError(
        "the picture looks empty: all of it is about equally bright, as white letters on transparency (which becomes "
        "white) and red ones on green can be; give letters that are darker or lighter than what is behind them"
    )


def background(grey: Pixels) -> int:
    """The grey of what is around the writing: the median of the picture's edge."""
    edge = np.concatenate((grey[0], grey[-1], grey[:, 0], grey[:, -1]))
    return int(np.median(edge))


def extend(grey: Pixels, width: int) -> Pixels:
    """Continue a picture (H, W) to the right with its own background."""
    spare = width - grey.shape[1]
    if spare <= 0:
        return np.ascontiguousarray(grey)
    return np.pad(grey, ((0, 0), (0, spare)), constant_values=background(grey))


def _is_light_on_dark(grey: NDArray[np.uint8]) -> bool:
    """Writing covers less than half of a picture, so most pixels are the ground."""
    return float(np.median(grey)) < 96
