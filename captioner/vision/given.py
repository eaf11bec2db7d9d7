"""Images as callers from Python give them: paths, arrays or Pillow images, one or several."""

from collections.abc import Sequence
from os import PathLike
from pathlib import Path
from typing import Any, TypeAlias

from PIL import Image

from captioner.vision.decoders import turn
from captioner.vision.images import Pixels, orientation_of, read_image
from captioner.vision.rgb import to_pixels

Images: TypeAlias = Path | str | Pixels | Any | Sequence[Path | str | Pixels | Any]
"""An image or several; the `Any` are Pillow's and arrays of other types."""


def one_or_several(images: Any) -> Sequence[Any]:
    """Images as a sequence, also where one is given: a path, a Pillow image, or an array of up to three dimensions."""
    single = isinstance(images, str | bytes | PathLike | Image.Image) or len(getattr(images, "shape", range(4))) < 4
    return [images] if single else images if isinstance(images, Sequence) else list(images)


def pixels_of(image: Any, at_least: tuple[int, int] | None = None) -> Pixels:
    """RGB pixels (height, width, 3) of one image.

    Args:
        image: a path, an array or a Pillow image, which is turned as its EXIF orientation says.
        at_least: height and width below which a file need not be decoded; see `read_image`.

    Raises:
        ImageError: it cannot be read, or is no image.
    """
    if isinstance(image, str | PathLike):
        return read_image(Path(image), at_least=at_least)
    pixels = to_pixels(image)  # which turns TIFF, and takes its orientation away
    return turn(pixels, orientation_of(image)) if isinstance(image, Image.Image) else pixels
