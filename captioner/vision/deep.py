"""Pixels of more than eight bits brought to eight without losing their brightness, as files and as arrays.

A 16-bit file often holds less: cameras, scanners and microscopes store 8, 10, 12 or 14 bits in it, and read as 16 bits
such a picture is nearly black. What counts as white is what the file says (significant bits, largest sample), or else
the largest value of the smallest such depth that holds every pixel. A picture whose samples are all multiples of 257,
which is how 8 bits are widened to 16, is left as bright as it is.
"""

import re
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile

_DEPTHS = (8, 10, 12, 14, 16)  # bits that devices deliver
_FULL = 65535
_DARK = 63  # of 255: brighter pixels prove that more than 14 bits are in use
_SIGNIFICANT_BITS = re.compile(rb"\x00\x00\x00[\x01-\x04]sBIT([\x01-\x10]{1,4})")
_GAP = rb"(?:\s|#[^\n]*\n)+"
_PPM_HEADER = re.compile(rb"P[2356]" + 3 * (_GAP + rb"(\d{1,9})"))
_BITS_PER_SAMPLE, _LARGEST_SAMPLE = 258, 281  # tags of TIFF


def to_eight_bits(samples: NDArray[Any], claimed: int | None = None, white: float | None = None) -> NDArray[np.uint8]:
    """Samples of any depth as uint8 of the same shape and brightness.

    Args:
        samples: integers or floats, of any shape; what is negative or no number becomes 0.
        claimed: which sample is white, as the file says; disregarded if there are larger ones.
        white: which sample is white, whatever there is.
    """
    if samples.dtype.kind == "f":
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    if white is None:
        white = white_point(samples, claimed)
    if samples.dtype == np.uint16:  # a table is several times as fast as arithmetic
        table = (np.arange(_FULL + 1) * (255 / white)).clip(0, 255).round().astype(np.uint8)
        return np.asarray(table[samples])
    return np.asarray((samples * (255 / white)).clip(0, 255).round().astype(np.uint8))


def white_point(samples: NDArray[Any], claimed: int | None = None) -> float:
    """Which sample is white: see this module's beginning. Floats from 0 to 1 have their white at 1."""
    top = samples.max(initial=0)
    if claimed is not None and top <= claimed:
        return float(claimed)
    if samples.dtype.kind == "f" and top <= 1:
        return 1.0
    if samples.dtype.kind == "u" and top > 255 and not (samples % 257).any():
        return float(_FULL)
    return float(next((2**bits - 1 for bits in _DEPTHS if top <= 2**bits - 1), top))


def claimed_white(image: ImageFile.ImageFile, data: bytes) -> int | None:
    """Which sample a file says is white, or None.

    Args:
        image: as opened, not loaded yet.
        data: the file.
    """
    if isinstance(image, PngImageFile):
        found = _SIGNIFICANT_BITS.search(data[:4096])
        return 2 ** max(found[1]) - 1 if found else None
    if isinstance(image, TiffImageFile):
        largest = image.tag_v2.get(_LARGEST_SAMPLE)
        largest = max(largest) if isinstance(largest, tuple) and largest else largest
        return largest if isinstance(largest, int) and largest > 1 else None
    if isinstance(image, PpmImageFile) and _largest_of_ppm(data) != _FULL:
        return _FULL  # Pillow has scaled by the largest sample that the header names
    return None


def _largest_of_ppm(data: bytes) -> int | None:
    found = _PPM_HEADER.match(data[:4096])
    return int(found[3]) if found else None


def cut_to_eight_bits(image: ImageFile.ImageFile, data: bytes) -> bool:
    """Whether Pillow opens a colour file of more than eight bits as one of eight, and so keeps only the upper ones.

    Args:
        image: as opened.
        data: the file.
    """
    if image.mode not in ("RGB", "RGBA", "LA") or isinstance(image, JpegImageFile):
        return False
    if isinstance(image, PngImageFile):
        return data[24] == 16
    if isinstance(image, TiffImageFile):
        bits = image.tag_v2.get(_BITS_PER_SAMPLE, (8,))
        return max(bits if isinstance(bits, tuple) else (bits,)) > 8
    return image.format == "JPEG2000" or _largest_of_ppm(data) == _FULL


def brightened(data: bytes, pixels: NDArray[np.uint8], claimed: int | None) -> NDArray[np.uint8] | None:
    """A deep colour picture in its right brightness, where the upper eight bits of its samples are too dark; or None.

    Args:
        data: the file.
        pixels: the upper eight bits, RGB or RGBA (H, W, channels), upright.
        claimed: see `claimed_white`.

    Returns:
        RGB or RGBA (H, W, channels); None where `pixels` are right already.
    """
    if pixels[:, :, :3].max(initial=0) > _DARK:
        return None
    try:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if stored is None or stored.dtype != np.uint16 or stored.ndim != 3 or stored.shape[2] not in (3, 4):
        return None
    deep = np.concatenate([stored[:, :, 2::-1], stored[:, :, 3:]], axis=2)
    upright = next((turned for turned in _turns(deep) if _same(turned, pixels)), None)
    if upright is None:  # the two decoders disagree
        return None
    white = white_point(upright[:, :, :3], claimed)
    colours = to_eight_bits(upright[:, :, :3], white=white)
    if pixels.shape[2] == 3:
        return colours
    alpha = pixels[:, :, 3:]
    if upright.shape[2] == 4:
        alpha = to_eight_bits(upright[:, :, 3:], white=white if upright[:, :, 3].max() <= white else _FULL)
    return np.concatenate([colours, alpha], axis=2)


def _turns(image: NDArray[Any]) -> list[NDArray[Any]]:
    """An image in all eight orientations; decoders differ in whether they apply the one that a TIFF file names."""
    return [
        turned[:, ::flip]
        for base in (image, image.transpose(1, 0, 2))
        for turned in (base, base[::-1])
        for flip in (1, -1)
    ]


def _same(deep: NDArray[Any], pixels: NDArray[np.uint8]) -> bool:
    if deep.shape[:2] != pixels.shape[:2]:
        return False
    colours = deep[:, :, :3]
    return bool((np.abs((colours >> 8).astype(np.int16) - pixels[:, :, :3]) <= 1).all())
