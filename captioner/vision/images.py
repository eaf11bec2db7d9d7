"""Reading images, and the resize that a CNN expects."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from captioner.errors import ImageError

Pixels = NDArray[np.uint8]

_INTERPOLATION = {
    "nearest": cv2.INTER_NEAREST,
    "bilinear": cv2.INTER_LINEAR,
    "bicubic": cv2.INTER_CUBIC,
    "lanczos": cv2.INTER_LANCZOS4,
}


@dataclass(frozen=True)
class Transform:
    """How an image becomes the CNN's input; the values travel in the model folder.

    Attributes:
        size: (height, width) in pixels.
        mean: of each RGB channel, for values in 0..1; subtracted inside the encoder.
        std: of each RGB channel, for values in 0..1; divided by inside the encoder.
        interpolation: timm's name; shrinking always averages over the covered area first, as timm's does.
        crop: `squash` resizes the whole image and loses its aspect ratio; `center` keeps the ratio and cuts the middle out.
        crop_pct: share of the resized image that `center` keeps.
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos"] = "bicubic"
    crop: Literal["squash", "center"] = "squash"
    crop_pct: float = 1.0

    def __call__(self, image: Pixels) -> Pixels:
        """Resize and crop one RGB image (H, W, 3) to (height, width, 3)."""
        height, width = self.size
        if self.crop == "center":
            scale = max(height / image.shape[0], width / image.shape[1]) / self.crop_pct
            wide = max(width, round(image.shape[1] * scale))
            high = max(height, round(image.shape[0] * scale))
            image = self._resize(image, high, wide)
            top, left = (high - height) // 2, (wide - width) // 2
            return np.ascontiguousarray(image[top : top + height, left : left + width])
        return self._resize(image, height, width)

    def _resize(self, image: Pixels, height: int, width: int) -> Pixels:
        if image.shape[:2] == (height, width):
            return image
        shrinks = height < image.shape[0] and width < image.shape[1]
        # OpenCV's other filters sample without averaging, which aliases when an image shrinks
        method = cv2.INTER_AREA if shrinks else _INTERPOLATION[self.interpolation]
        return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)


def read_image(path: Path) -> Pixels:
    """Read an image file as RGB (H, W, 3), turned as its EXIF orientation says.

    Raises:
        ImageError: the file is missing, empty or not an image.
    """
    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}).") from error
    return decode_image(data, str(path))


def decode_image(data: Pixels, name: str) -> Pixels:
    """Decode an image file's bytes as RGB (H, W, 3); `name` is for the error."""
    image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    if image is None:
        raise ImageError(f"{name}: not an image that can be decoded.")
    return np.asarray(image, dtype=np.uint8)
