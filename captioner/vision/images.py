"""Reading images of any common format as upright 8-bit RGB, and the resize that a CNN expects.

Three decoders share the work. libjpeg-turbo takes plain JPEG files, nearly all photos, and decodes big ones straight to
a fraction of their size; OpenCV takes plain WebP. Pillow reads every header, so that nothing is decoded whose size
is absurd, and decodes what needs care: palettes, alpha, CMYK, 16 bits (see `deep`), animations (see `animation`), and
files that end too soon. HEIC, JPEG XL and RAW files are for optional decoders (see `camera_formats`).
"""

import io
import math
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.Jpeg2KImagePlugin import Jpeg2KImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.PpmImagePlugin import PpmImageFile
from PIL.TiffImagePlugin import TiffImageFile
from PIL.WebPImagePlugin import WebPImageFile

from captioner.errors import ImageError
from captioner.vision import camera_formats
from captioner.vision.animation import several_pages
from captioner.vision.decoders import decode_by_pillow, decode_jpeg, decode_plain, reduction, turn
from captioner.vision.rgb import first_line

Pixels = NDArray[np.uint8]

MAX_PIXELS = 200_000_000
"""Images that claim more pixels are refused: as many as the largest phone cameras take, 600 MB decoded."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".avif", ".jp2"}
    | {".ppm", ".pgm", ".pbm", ".pnm"}
    | camera_formats.SUFFIXES
)
"""What counts as an image when a folder is listed."""

_READERS: tuple[type[ImageFile.ImageFile], ...] = (
    JpegImageFile,
    PngImageFile,
    WebPImageFile,
    BmpImageFile,
    GifImageFile,
    TiffImageFile,
    AvifImageFile,
    Jpeg2KImageFile,
    PpmImageFile,
)
_HEADER_SIZE = 64  # bytes that tell the format
_END_OF_JPEG = b"\xff\xd9"
_ORIENTATION = 0x0112  # the EXIF tag


@dataclass(frozen=True)
class Transform:
    """How an image becomes the CNN's input; the values travel in the model folder.

    Attributes:
        size: (height, width) in pixels.
        mean: of each RGB channel, for values in 0..1; subtracted inside the encoder.
        std: of each RGB channel, for values in 0..1; divided by inside the encoder.
        interpolation: see `resize`.
        crop: `squash` resizes the whole image and loses its aspect ratio; `center` keeps it and cuts the middle out.
        crop_pct: share of the resized image that `center` keeps.
    """

    size: tuple[int, int] = (224, 224)
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    interpolation: Literal["nearest", "bilinear", "bicubic", "lanczos", "area"] = "bicubic"
    crop: Literal["squash", "center"] = "squash"
    crop_pct: float = 1.0

    @property
    def at_least(self) -> tuple[int, int]:
        """(height, width) that an image must keep when it is decoded at reduced scale.

        One and a half times what the CNN sees, so that the last step still averages over several pixels; with less to
        spare more captions differ from those of the whole image.
        """
        share = self.crop_pct if self.crop == "center" else 1.0
        return math.ceil(1.5 * self.size[0] / share), math.ceil(1.5 * self.size[1] / share)

    @property
    def of_frames(self) -> "Transform":
        """The same for frames of clips, which FFmpeg shrinks by area averaging wherever nothing else is to be done."""
        return replace(self, interpolation="area")

    def window(self, height: int, width: int) -> tuple[float, float, float, float]:
        """The part of a (height, width) image that the CNN sees: top, left, bottom, right as shares of the image."""
        if self.crop == "squash":
            return 0.0, 0.0, 1.0, 1.0
        scale = max(self.size[0] / height, self.size[1] / width) / self.crop_pct
        high, wide = min(1.0, self.size[0] / (height * scale)), min(1.0, self.size[1] / (width * scale))
        return (1 - high) / 2, (1 - wide) / 2, (1 + high) / 2, (1 + wide) / 2

    def __call__(self, image: Pixels) -> Pixels:
        """Resize and crop one RGB image (H, W, 3) to (height, width, 3)."""
        height, width = self.size
        if self.crop == "center":
            scale = max(height / image.shape[0], width / image.shape[1]) / self.crop_pct
            wide = max(width, round(image.shape[1] * scale))
            high = max(height, round(image.shape[0] * scale))
            image = resize(image, high, wide, self.interpolation)
            top, left = (high - height) // 2, (wide - width) // 2
            return np.ascontiguousarray(image[top : top + height, left : left + width])
        return resize(image, height, width, self.interpolation)


def resize(image: Pixels, height: int, width: int, interpolation: str = "area") -> Pixels:
    """Resize an RGB image (H, W, 3) to (height, width, 3).

    Args:
        image: uint8.
        height: in pixels.
        width: in pixels.
        interpolation: `nearest`, `bilinear`, `bicubic` or `lanczos` as Pillow, and so timm, does it: where a side
            shrinks the filter widens, so that all pixels count. Or `area`, the mean over covered areas where both sides
            shrink, and cubic elsewhere, as OpenCV does it.
    """
    if image.shape[:2] == (height, width):
        return image
    if interpolation == "area":
        shrinks = height < image.shape[0] and width < image.shape[1]
        method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        return np.asarray(cv2.resize(image, (width, height), interpolation=method), dtype=np.uint8)
    if interpolation in ("nearest", "lanczos"):
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling[interpolation.upper()]))
    import torch  # only now: listing a folder needs no pixels, and no second to wait for torch

    # PyTorch's filters are Pillow's, several times as fast
    pixels = torch.from_numpy(np.require(image, requirements=["C", "W"]))[None].permute(0, 3, 1, 2)
    resized = torch.nn.functional.interpolate(pixels, (height, width), mode=interpolation, antialias=True)
    return np.asarray(resized.permute(0, 2, 3, 1)[0].numpy())


@dataclass(frozen=True)
class Decoded:
    """An image file's content.

    Attributes:
        pixels: upright RGB (H, W, 3), perhaps at reduced scale.
        size: (height, width) of the upright image at full scale.
        warning: what is wrong with the file although it could be read, or None.
    """

    pixels: Pixels
    size: tuple[int, int]
    warning: str | None = None


def read_image(path: Path | str, *, at_least: tuple[int, int] | None = None) -> Pixels:
    """Read an image file as RGB (H, W, 3), turned as its EXIF orientation says.

    A file that ends too soon gives its upper part and a Python warning, if at least half of it is there.

    Args:
        path: of the file.
        at_least: (height, width) that is enough; see `decode`.

    Raises:
        ImageError: the file is missing, unreadable, empty, too large, or not an image.
    """
    decoded = read(path, at_least=at_least)
    if decoded.warning:
        warnings.warn(f"{path}: {decoded.warning}.", stacklevel=2)
    return decoded.pixels


def decode_image(data: Pixels | bytes, name: str) -> Pixels:
    """Decode an image file's bytes as RGB (H, W, 3), as `read_image` does; `name` is for the error."""
    decoded = decode(bytes(data), name)
    if decoded.warning:
        warnings.warn(f"{name}: {decoded.warning}.", stacklevel=2)
    return decoded.pixels


def read(path: Path | str, *, at_least: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Read an image file; see `decode`."""
    try:
        with open(path, "rb") as file:
            start = file.read(_HEADER_SIZE)
            if camera_formats.kind_of(start, str(path)) is None:
                _reader(start, str(path))  # so that a huge file which is no image is not read to its end
            data = start + file.read()
    except (OSError, ValueError) as error:  # a path with NUL in it is a ValueError
        number = getattr(error, "errno", None)
        raise ImageError(f"{path}: cannot be read ({os.strerror(number).lower() if number else error})") from error
    return decode(data, str(path), at_least=at_least, max_pixels=max_pixels)


def decode(data: bytes, name: str, *, at_least: tuple[int, int] | None = None, max_pixels: int = MAX_PIXELS) -> Decoded:
    """Decode an image file's bytes: upright, 8-bit RGB, transparent parts on white, an animation's most telling frame.

    Args:
        data: the file.
        name: of the file, for errors.
        at_least: (height, width) that is enough; a big JPEG is then decoded at 1/2, 1/4 or 1/8, never below this size.
        max_pixels: refuse an image whose header claims more.

    Raises:
        ImageError: `name: reason`, where what stands in brackets after the reason is about this one file.
    """

    def check_size(width: int, height: int) -> None:
        if width * height > max_pixels:
            raise ImageError(
                f"{name}: too large ({width} x {height} pixels; --max-pixels, now {max_pixels:,}, sets the limit)"
            )

    kind = camera_formats.kind_of(data[:_HEADER_SIZE], name)
    if kind is not None:

        def preview(jpeg: bytes) -> tuple[Pixels, tuple[int, int]]:
            decoded = decode(jpeg, name, at_least=at_least, max_pixels=max_pixels)
            return decoded.pixels, decoded.size

        return Decoded(*camera_formats.decode_camera(kind, data, name, at_least, check_size, preview))
    reader = _reader(data[:_HEADER_SIZE], name)
    try:
        image = reader(io.BytesIO(data), "")
        width, height = image.size
        orientation = 1 if isinstance(image, TiffImageFile) else orientation_of(image)  # TIFF is turned when loaded
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too large ({error})") from None
    except Exception as error:  # on damaged files Pillow's plugins raise nearly anything
        raise ImageError(f"{name}: damaged {reader.format} file ({first_line(error)})") from error
    check_size(width, height)
    size = (width, height) if orientation >= 5 else (height, width)
    complete = reader is not JpegImageFile or data.rfind(_END_OF_JPEG, image.fp.tell() if image.fp else 0) >= 0
    plain = image.mode in ("L", "RGB") and "transparency" not in image.info and not getattr(image, "is_animated", False)
    if complete and plain and reader is JpegImageFile:
        needed = at_least if orientation < 5 or at_least is None else (at_least[1], at_least[0])
        pixels = decode_jpeg(data, name, (height, width), reduction((height, width), needed))
        return Decoded(turn(pixels, orientation), size)
    if complete and plain and reader is WebPImageFile:
        return Decoded(turn(decode_plain(data, name), orientation), size)
    if not complete:
        image = reader(io.BytesIO(data + _END_OF_JPEG), "")
    pixels, share = decode_by_pillow(image, name, complete, data)
    warning = f"the file ends too soon ({share:.0%} of the image could be read)" if share is not None else None
    pages = None if warning else several_pages(image)
    if pages is not None:
        warning = f"a file of several pages ({pages}), of which only the first is seen; save each as a file of its own"
    return Decoded(turn(pixels, orientation), size, warning)


def _reader(start: bytes, name: str) -> type[ImageFile.ImageFile]:
    """The Pillow class for a file that starts so; our own choice of formats, without Pillow's limit on pixels."""
    if not start:
        raise ImageError(f"{name}: empty file")
    for reader in _READERS:
        accept = Image.OPEN[reader.format or ""][1]
        if accept is not None and accept(start) is True:
            return reader
    if name.lower().endswith((".svg", ".svgz")):
        raise ImageError(f"{name}: a drawing, not a photo; export it as PNG")
    raise ImageError(f"{name}: not an image")


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, by which an image from a file is still to be turned."""
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data, in many ways; the picture itself may be sound
        return 1
    return orientation if orientation in range(1, 9) else 1
