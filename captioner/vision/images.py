"""Reading images of any common format as upright 8-bit RGB, and the resize that a CNN expects.

Three decoders share the work. libjpeg-turbo takes plain JPEG files, nearly all photos, and decodes big ones straight to
a fraction of their size; OpenCV takes plain WebP. Pillow reads every header, so that nothing is decoded whose size
is absurd, and decodes what needs care: palettes, alpha, CMYK, 16 bits (see `deep`), animations (see `animation`), and
files that end too soon.
"""

import io
import math
import os
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import simplejpeg
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
from captioner.vision import deep
from captioner.vision.animation import most_telling
from captioner.vision.rgb import deep_colour, first_line, to_rgb

Pixels = NDArray[np.uint8]

MAX_PIXELS = 200_000_000
"""Images that claim more pixels are refused: as many as the largest phone cameras take, 600 MB decoded."""

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".gif", ".tif", ".tiff", ".avif", ".jp2"}
    | {".ppm", ".pgm", ".pbm", ".pnm", ".heic", ".heif"}
)
"""What counts as an image when a folder is listed; .heic is among them so that it is reported, not passed over."""

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
_HEADER_SIZE = 32  # bytes that tell the format
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
            _reader(start, str(path))  # so that a huge file which is no image is not read to its end
            data = start + file.read()
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else str(error)
        raise ImageError(f"{path}: cannot be read ({reason})") from error
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
    reader = _reader(data[:_HEADER_SIZE], name)
    try:
        image = reader(io.BytesIO(data), "")
        width, height = image.size
        orientation = 1 if isinstance(image, TiffImageFile) else _orientation(image)  # TIFF is turned when loaded
    except Image.DecompressionBombError as error:
        raise ImageError(f"{name}: too large ({error})") from None
    except Exception as error:  # on damaged files Pillow's plugins raise nearly anything
        raise ImageError(f"{name}: damaged {reader.format} file ({first_line(error)})") from error
    if width * height > max_pixels:
        raise ImageError(
            f"{name}: too large ({width} x {height} pixels; --max-pixels, now {max_pixels:,}, sets the limit)"
        )
    size = (width, height) if orientation >= 5 else (height, width)
    complete = reader is not JpegImageFile or data.rfind(_END_OF_JPEG, image.fp.tell() if image.fp else 0) >= 0
    plain = image.mode in ("L", "RGB") and "transparency" not in image.info and not getattr(image, "is_animated", False)
    if complete and plain and reader is JpegImageFile:
        needed = at_least if orientation < 5 or at_least is None else (at_least[1], at_least[0])
        pixels = _decode_jpeg(data, name, (height, width), _reduction((height, width), needed))
        return Decoded(_turn(pixels, orientation), size)
    if complete and plain and reader is WebPImageFile:
        return Decoded(_turn(_decode_plain(data, name), orientation), size)
    if not complete:
        image = reader(io.BytesIO(data + _END_OF_JPEG), "")
    pixels, share = _load(image, name, complete, data)
    warning = f"the file ends too soon ({share:.0%} of the image could be read)" if share is not None else None
    return Decoded(_turn(pixels, orientation), size, warning)


def _reader(start: bytes, name: str) -> type[ImageFile.ImageFile]:
    """The Pillow class for a file that starts so; our own choice of formats, without Pillow's limit on pixels."""
    if not start:
        raise ImageError(f"{name}: empty file")
    for reader in _READERS:
        accept = Image.OPEN[reader.format or ""][1]
        if accept is not None and accept(start) is True:
            return reader
    if start[4:8] == b"ftyp" and start[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        raise ImageError(f"{name}: HEIC photos cannot be decoded; convert them to JPEG")
    raise ImageError(f"{name}: not an image")


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # damaged EXIF data, in many ways; the picture itself may be sound
        return 1
    return orientation if orientation in range(1, 9) else 1


def _turn(pixels: Pixels, orientation: int) -> Pixels:
    """Undo an EXIF orientation: 2 to 4 are flips and a half turn, 5 to 8 also exchange height and width."""
    if orientation >= 5:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def _reduction(size: tuple[int, int], at_least: tuple[int, int] | None) -> int:
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


def _decode_jpeg(data: bytes, name: str, size: tuple[int, int], reduction: int) -> Pixels:
    height, width = (-(-side // reduction) for side in size)
    try:
        return np.asarray(
            simplejpeg.decode_jpeg(data, min_height=height, min_width=width, min_factor=reduction, strict=False)
        )
    except ValueError:  # damage, or a subsampling that TurboJPEG has no name for
        return _decode_plain(data, name, reduction)


def _decode_plain(data: bytes, name: str, reduction: int = 1) -> Pixels:
    flags = _FLAGS[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise ImageError(f"{name}: damaged file ({first_line(error)})") from error
    if pixels is None:
        raise ImageError(f"{name}: damaged file")
    return np.asarray(pixels, dtype=np.uint8)


def _load(image: ImageFile.ImageFile, name: str, complete: bool, data: bytes) -> tuple[Pixels, float | None]:
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
