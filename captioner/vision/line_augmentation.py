"""Changes to pictures of lines in training: the same line, printed, photographed and scanned a little otherwise."""

from typing import Literal

import cv2
import numpy as np

from captioner.vision.images import Pixels
from captioner.vision.line_pictures import background, extend

Strength = Literal["none", "scan", "photo"]


def augment(line: Pixels, strength: Strength, draw: np.random.Generator) -> Pixels:
    """A changed copy of a line (height, width), of the same size.

    Args:
        line: grey, as a `LineTransform` gives it.
        strength: `scan` for print on paper; `photo` also turns, distorts and inverts, as photographs of signs need.
        draw: of everything random.
    """
    if strength == "none":
        return line
    photo = strength == "photo"
    line = _move(line, draw, 2.0 if photo else 1.0)
    if draw.random() < 0.2:
        kernel = np.ones((2, 1 + int(draw.integers(2))), np.uint8)
        line = np.asarray((cv2.erode if draw.random() < 0.5 else cv2.dilate)(line, kernel), np.uint8)
    if draw.random() < 0.3:
        line = _soften(line, draw)
    values = line.astype(np.float32)
    values = _relight(values, draw, 0.35 if photo else 0.2)
    if draw.random() < 0.5:
        values += draw.normal(0, draw.uniform(2, 20 if photo else 14), line.shape).astype(np.float32)
    changed = values.clip(0, 255).astype(np.uint8)
    if draw.random() < 0.15:
        changed = _hide(changed, draw)
    return 255 - changed if photo and draw.random() < 0.5 else changed


def _move(line: Pixels, draw: np.random.Generator, strength: float) -> Pixels:
    """Slant, scale, turn and shift; what leaves the picture on the right would be lost, so lines only get narrower."""
    height, width = line.shape
    across = draw.uniform(0.9 if strength == 1 else 0.75, 1.0)
    along = draw.uniform(1 - 0.1 * strength, 1 + 0.05 * strength)
    slant = draw.normal(0, 0.06 * strength)
    rise = draw.normal(0, 0.02 * strength) * min(1.0, 4 * height / width)
    shift = draw.normal(0, 0.03 * strength) * height
    middle = height / 2
    # what moves a point (x, y): the slant keeps the middle row, the turn the middle column
    matrix = np.array(
        [
            [across, -slant, slant * middle + draw.uniform(0, 1 - across) * width * 0.5],
            [rise, along, middle * (1 - along) + shift - rise * width / 2],
        ]
    )
    ground = background(line)
    return np.asarray(
        cv2.warpAffine(
            line, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=ground
        ),
        np.uint8,
    )


def _soften(line: Pixels, draw: np.random.Generator) -> Pixels:
    """Blur, fewer pixels, or the blocks of a JPEG file."""
    height, width = line.shape
    way = draw.integers(3)
    if way == 0:
        return np.asarray(cv2.GaussianBlur(line, (0, 0), draw.uniform(0.4, 1.2)), np.uint8)
    if way == 1:
        share = draw.uniform(0.4, 0.9)
        small = cv2.resize(
            line, (max(4, int(width * share)), max(4, int(height * share))), interpolation=cv2.INTER_AREA
        )
        return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    _, data = cv2.imencode(".jpg", line, [cv2.IMWRITE_JPEG_QUALITY, int(draw.integers(15, 60))])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)


def _relight(values: np.ndarray, draw: np.random.Generator, strength: float) -> np.ndarray:
    """Another contrast, another brightness, and light that falls from one side."""
    contrast, brightness = draw.uniform(1 - 2 * strength, 1.1), draw.normal(0, 60 * strength)
    slope = np.linspace(-1, 1, values.shape[1], dtype=np.float32) * draw.normal(0, 40 * strength)
    return (values - 128) * np.float32(contrast) + np.float32(128 + brightness) + slope


def _hide(line: Pixels, draw: np.random.Generator) -> Pixels:
    """Cover a narrow strip, so that the letters around it have to tell what stood there."""
    width = int(draw.integers(2, 7))
    left = int(draw.integers(0, max(1, line.shape[1] - width)))
    hidden = line.copy()
    hidden[:, left : left + width] = background(line)
    return extend(hidden, line.shape[1])
