"""Which frame of an animation is captioned: the most telling one, since many fade in from black or from white."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

_PAGES = 1000  # that are counted at most
_SUBFILE, _SMALLER, _MASK = 254, 1, 4  # a tag of TIFF, and what its bits say of a page
_OLD_SUBFILE, _OLD_SMALLER = 255, 2  # the same of older files, a number

Pixels = NDArray[np.uint8]

_LOOKED_AT = 16  # frames
_DECODED = 50_000_000  # pixels, at most, besides the first frame: later frames build on all before
_MARGIN = 0.9  # the first frame stays unless another tells clearly more


def most_telling(image: ImageFile.ImageFile, first: Pixels, to_rgb: Callable[[ImageFile.ImageFile], Pixels]) -> Pixels:
    """The frame with the most information (entropy of its grey values), or the first if it is nearly as telling.

    Pages of a TIFF file are no animation: the first one stays. Frames behind damage are not looked at.

    Args:
        image: the file, whose first frame has been loaded.
        first: that frame, RGB (H, W, 3).
        to_rgb: makes RGB (H, W, 3) of the frame that is loaded.
    """
    if not getattr(image, "is_animated", False) or isinstance(image, TiffImageFile):
        return first
    best, chosen = _information(first) / _MARGIN, first
    try:
        reached = min(getattr(image, "n_frames", 1), 1 + _DECODED // (image.width * image.height))
        for place in sorted(set(np.linspace(0, reached - 1, _LOOKED_AT).round().astype(int).tolist()) - {0}):
            image.seek(place)
            image.load()
            frame = to_rgb(image)
            if frame.shape == first.shape and (found := _information(frame)) > best:
                best, chosen = found, frame
    except Exception:  # on damaged files Pillow's plugins raise nearly anything; what came before is sound
        return chosen
    return chosen


def several_pages(image: ImageFile.ImageFile) -> str | None:
    """How many pages a TIFF file has, such as `3` or `1000 or more`, without smaller copies and masks; None if one."""
    if not isinstance(image, TiffImageFile):
        return None
    pages = 0
    first = sorted(image.size)
    try:
        for place in range(_PAGES):
            image.seek(place)
            copy = image.tag_v2.get(_SUBFILE, 0) & (_SMALLER | _MASK) or image.tag_v2.get(_OLD_SUBFILE) == _OLD_SMALLER
            # turned pages are as large as others; thumbnails often have no tag
            pages += not copy and all(2 * side >= whole for side, whole in zip(sorted(image.size), first, strict=True))
    except Exception:  # there are no more, or what follows is damaged
        return str(pages) if pages > 1 else None
    return f"{pages} or more"


def _information(pixels: Pixels) -> float:
    """Entropy of the grey values of an RGB image, in bits, at most 6."""
    step = max(1, min(pixels.shape[:2]) // 256)
    grey = pixels[::step, ::step].mean(axis=2).astype(np.uint8) >> 2
    shares = np.bincount(grey.ravel(), minlength=64) / grey.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum())
