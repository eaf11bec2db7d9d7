"""Decoders of common formats: libjpeg-turbo for plain JPEG files, OpenCV for plain WebP, Pillow for what needs care."""

from typing import Any

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile

from captioner.errors import ImageError
from captioner.vision import deep
from captioner.vision.animation import most_telling
from captioner.vision.rgb import deep_colour, first_line, to_rgb

Pixels = NDArray[np.uint8]


def reduction(size: tuple[int, int], at_least: tuple[int, int] | None) -> int:
    """By what a JPEG of this (height, width) may be shrunk while it is decoded: 1, 2, 4 or 8."""
    if at_least is None:
        return 1
    for factor in (8, 4, 2):
        if size[0] // factor >= at_least[0] and size[1] // factor >= at_least[1]:
            return factor
    return 1


_FLAGS = {
    1: cv2.IMREAD_COLOR_RGB,
    # RGB order is a flag of its own: OpenCV's named reductions say BGR
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}


def decode_jpeg(data: bytes, name: str, size: tuple[int, int], reduction: int) -> Pixels:
    """Decode a whole JPEG file of this (height, width), as it lies, shrunk by `reduction`."""
    height, width = (-(-side // reduction) for side in size)
    try:
        return np.asarray(
            simplejpeg.decode_jpeg(data, min_height=height, min_width=width, min_factor=reduction, strict=False)
        )
    except ValueError:  # damage, or a subsampling that TurboJPEG has no name for
        return decode_plain(data, name, reduction)


def decode_plain(data: bytes, name: str, reduction: int = 1) -> Pixels:
    """Decode a file by OpenCV, as it lies."""
    flags = _FLAGS[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"{name}: damaged file ({first_line(error)})") from error
    if pixels is None:
        raise ImageError(f"{name}: damaged file")
    return np.asarray(pixels, dtype=np.uint8)


def turn(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation: 2 to 4 are flips and a half turn, 5 to 8 also exchange height and width."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def decode_by_pillow(image: ImageFile.ImageFile, name: str, complete: bool, data: bytes) -> tuple[Pixels, float | None]:
    """Decode by Pillow. The second value is None, or for a file that ends too soon the share of rows that it gave."""
    try:
        white = deep.claimed_white(image, data)
        cut_depth = deep.cut_to_eight_bits(image, data)
        interlaced = _interlaced(image)
        try:
            image.load()
        except OSError as error:
            if "truncated" not in str(error) or interlaced:
                raise
            complete = False
            image.tile = []  # what has been decoded stays; do not try again
        if complete and cut_depth:
            return deep_colour(image, data, white), None
        if complete:
            return most_telling(image, to_rgb(image, white), to_rgb), None
        rows = _decoded_rows(np.asarray(image), 128 if isinstance(image, JpegImageFile) else 0)
        share = (rows.stop - rows.start) / image.height
        if share >= 0.5:
            return to_rgb(image, white)[rows], share
    except Exception as error:  # on damaged files Pillow's plugins raise nearly anything
        raise ImageError(f"{name}: damaged {image.format} file ({first_line(error)})") from error
    raise ImageError(f"{name}: the file ends too soon (only {share:.0%} of the image could be read)")


def _interlaced(image: ImageFile.ImageFile) -> bool:
    """Whether rows come in passes, so that a file which ends too soon has holes all over."""
    if isinstance(image, GifImageFile):
        arguments = image.tile[0].args if image.tile else None
        return isinstance(arguments, tuple) and bool(arguments[1])
    return bool(image.info.get("interlace"))


def _decoded_rows(array: NDArray[Any], blank: int) -> slice:
    """The rows from the first to the last that are not wholly `blank`, as decoders leave what they did not reach."""
    rows = np.flatnonzero((array != blank).reshape(len(array), -1).any(axis=1))
    return slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0, 0)
