"""What a picture shows that is meant to be one upright line of text: one line, several, or a whole page."""

import cv2
import numpy as np
from numpy.typing import NDArray

from captioner.vision.images import Pixels
from captioner.vision.line_pictures import background, stretch

_HEIGHT = 1600  # to which taller pictures are reduced before their rows are looked at
_PAGE = 5  # lines that make a page


def count_lines(picture: Pixels) -> int:
    """How many lines of text stand above each other in an RGB picture (H, W, 3).

    Rows of pixels with ink are taken for a line if they are nearly as high, and have nearly as much ink, as those of
    the line with most. What is left of the lines above and below is less.

    Raises:
        ImageError: nothing can be seen in the picture.
    """
    grey = stretch(np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8))
    if len(grey) > _HEIGHT:
        width = max(1, round(grey.shape[1] * _HEIGHT / len(grey)))
        grey = np.asarray(cv2.resize(grey, (width, _HEIGHT), interpolation=cv2.INTER_AREA), np.uint8)
    ink = np.abs(grey.astype(np.int16) - background(grey)) > 96
    profile = _smooth(ink.mean(axis=1), max(1, len(grey) // 200))
    if not profile.any():
        return 1
    rows = profile > 0.2 * np.percentile(profile, 95)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], rows.astype(np.int8), [0]))))
    spans = zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)
    bands = [(first, last, float(profile[first:last].sum())) for first, last in spans]
    most = max(mass for _, _, mass in bands)
    highest = max(last - first for first, last, _ in bands)
    return sum(mass > 0.4 * most and last - first > 0.5 * highest for first, last, mass in bands)


def describe_layout(picture: Pixels, tallest: float) -> str | None:
    """Why a picture is no upright line of text, or None.

    Args:
        picture: RGB (H, W, 3).
        tallest: the greatest height of a line's picture as a multiple of its width.

    Raises:
        ImageError: nothing can be seen in the picture.
    """
    height, width = picture.shape[:2]
    if height > tallest * width and height > 4 * width:
        return f"the line lies on its side ({width} x {height} pixels); turn the picture by a quarter"
    lines = count_lines(picture)
    if lines >= _PAGE or (height > 600 and lines > 1):
        return f"a page or paragraph of about {lines} lines, not one; cut its lines out first, with a layout tool"
    if lines > 1:
        return f"shows {lines} lines above each other, not one; cut them apart"
    return None


def _smooth(values: NDArray[np.float64], width: int) -> NDArray[np.float64]:
    return np.convolve(values, np.ones(width) / width, mode="same")
