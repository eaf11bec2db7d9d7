"""Images in memory, Pillow's or arrays of any usual kind, as 8-bit RGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from captioner.errors import ImageError
from captioner.vision import deep

Pixels = NDArray[np.uint8]

_ROUNDING = 1e-3  # that floats may lie outside of 0 to 1


def to_pixels(image: Image.Image | NDArray[Any]) -> Pixels:
    """An image in memory as uint8 RGB (H, W, 3).

    Args:
        image: a Pillow image of any mode, or an array: grey (H, W) or (H, W, 1), RGB (H, W, 3) or RGBA (H, W, 4), of
            8- or 16-bit unsigned integers (with fewer bits in use too, see `deep`), booleans, or floats from 0 to 1.

    Raises:
        ImageError: the array has another shape, type or range, values that are no numbers, or no pixels.
    """
    if isinstance(image, Image.Image):
        try:
            image.load()
            return to_rgb(image)
        except (OSError, ValueError) as error:
            raise ImageError(f"{image!r}: cannot become RGB ({first_line(error)})") from error
    try:
        array = np.asarray(image)
    except ValueError:  # nested sequences of different lengths
        array = np.empty((), object)
    if array.dtype.kind not in "buif":
        raise ImageError(f"a {type(image).__name__} is no image; give a path, an array of pixels or a Pillow image.")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or array.size == 0:
        first = " Its channels come first; move them behind width." if _channels_first(array) else ""
        raise ImageError(
            f"an array of shape {np.shape(image)} is no image; give (height, width), or 1, 3 or 4 channels last.{first}"
        )
    if array.dtype.kind == "f":
        array = _from_floats(array)
    elif array.dtype == np.bool_:
        array = array.astype(np.uint8) * 255
    elif array.dtype == np.uint16:
        white = deep.white_point(array[:, :, :3])
        array = deep.to_eight_bits(array, white=white if array.max() <= white else 65535)
    elif array.dtype != np.uint8:
        raise ImageError(f"an array of {array.dtype} is no image; give uint8, uint16, bool, or floats from 0 to 1.")
    if array.shape[2] == 4:
        return _on_white(array)
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))


def to_rgb(image: Image.Image, white: int | None = None) -> Pixels:
    """RGB (H, W, 3) of a loaded image of any mode; `white` is which sample of a deep one is white, if the file says."""
    if image.mode.startswith("I") or image.mode == "F":
        samples = np.asarray(image)
        grey = deep.to_eight_bits(samples, white)
        if isinstance(image.info.get("transparency"), int):
            grey = np.where(samples == image.info["transparency"], np.uint8(255), grey)
        return np.ascontiguousarray(np.broadcast_to(grey[:, :, None], (*grey.shape, 3)))
    if image.has_transparency_data:
        return _on_white(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def deep_colour(image: Image.Image, data: bytes, white: int | None) -> Pixels:
    """RGB (H, W, 3) of a loaded colour file of more than eight bits, of which Pillow keeps the upper ones."""
    upper = np.asarray(image.convert("RGBA" if image.has_transparency_data else "RGB"))
    bright = deep.brightened(data, upper, white)
    pixels = upper if bright is None else bright
    return _on_white(pixels) if pixels.shape[2] == 4 else pixels


def _on_white(rgba: Pixels) -> Pixels:
    alpha = rgba[:, :, 3:].astype(np.uint16)
    blended = (rgba[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)


def first_line(error: BaseException) -> str:
    """What a library says of a fault, without its details; the kind of the fault where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _channels_first(array: NDArray[Any]) -> bool:
    return array.ndim == 3 and array.shape[0] in (1, 3, 4)


def _from_floats(array: NDArray[Any]) -> Pixels:
    if not np.isfinite(array).all():
        raise ImageError("an array of floats with NaN or infinite values is no image; give floats from 0 to 1.")
    low, high = float(array.min()), float(array.max())
    if low < -_ROUNDING or high > 1 + _ROUNDING:
        scale = "divide by 255, or give uint8" if low >= 0 and 1 < high <= 255 else "scale them"
        raise ImageError(f"an array of floats from {low:g} to {high:g} is no image; floats go from 0 to 1: {scale}.")
    return np.asarray((array.clip(0, 1) * 255).round().astype(np.uint8))
