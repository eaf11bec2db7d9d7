"""Photos as phones and cameras keep them: HEIC and HEIF, JPEG XL, and RAW files.

Their decoders are in the extra `captioner[formats]` and are imported when the first such file comes. A RAW file gives
the preview that the camera stored in it, if that is large enough, and is developed otherwise.
"""

import io
import os
import struct
from collections.abc import Callable
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from captioner.errors import ImageError
from captioner.vision.decoders import turn
from captioner.vision.rgb import first_line, to_pixels, to_rgb

Pixels = NDArray[np.uint8]
Kind = Literal["HEIF", "JPEG XL", "RAW"]

RAW_SUFFIXES = frozenset(
    {".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".sr2", ".srf", ".srw", ".orf", ".rw2", ".rwl", ".raf"}
    | {".pef", ".3fr", ".fff", ".iiq", ".erf", ".mef", ".mos", ".mrw", ".x3f", ".kdc", ".dcr"}
)
"""Camera RAW files; most of them begin as TIFF files do, so their names have to tell."""

SUFFIXES = frozenset({".heic", ".heif", ".hif", ".jxl"}) | RAW_SUFFIXES

_HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_JXL_CODESTREAM, _JXL_CONTAINER = b"\xff\x0a", b"\x00\x00\x00\x0cJXL \r\n\x87\n"
_RAW_STARTS = (b"FUJIFILMCCD-RAW", b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FOVb", b"\0MRM")
_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II\x1a\0")
_JXL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
_DECODERS: dict[Kind, tuple[str, str]] = {
    "HEIF": ("pillow_heif", "pillow-heif"),
    "JPEG XL": ("pillow_jxl.JpegXLImagePlugin", "pillow-jxl-plugin"),
    "RAW": ("rawpy", "rawpy"),
}


def kind_of(start: bytes, name: str) -> Kind | None:
    """Which of these formats a file is in, by its first bytes, and for RAW files by its name; None for another."""
    if start[4:8] == b"ftyp":
        brands = {start[8:12], *(start[at : at + 4] for at in range(16, min(len(start), _box_size(start)) - 3, 4))}
        return "RAW" if start[8:12] == b"crx " else "HEIF" if brands & _HEIF_BRANDS else None
    if start.startswith((_JXL_CODESTREAM, _JXL_CONTAINER)):
        return "JPEG XL"
    named = os.path.splitext(name)[1].lower() in RAW_SUFFIXES
    return "RAW" if start.startswith(_RAW_STARTS) or (named and start.startswith(_TIFF_STARTS)) else None


def decode_camera(
    kind: Kind,
    data: bytes,
    name: str,
    at_least: tuple[int, int] | None,
    check_size: Callable[[int, int], None],
    decode_jpeg: Callable[[bytes], tuple[Pixels, tuple[int, int]]],
) -> tuple[Pixels, tuple[int, int]]:
    """Decode a file.

    Args:
        kind: what `kind_of` says.
        data: the file.
        name: for errors.
        at_least: (height, width) that is enough; the whole photo by default.
        check_size: refuses a (width, height) that is too large.
        decode_jpeg: decodes a preview to upright pixels and its full (height, width).

    Returns:
        upright RGB (H, W, 3), and (height, width) at full scale.

    Raises:
        ImageError: the file is damaged or too large, or its decoder is not installed.
    """
    module, package = _DECODERS[kind]
    try:
        decoder = import_module(module)
    except ImportError:
        raise ImageError(f'{name}: {kind} photos need {package}; pip install "captioner[formats]"') from None
    try:
        if kind == "RAW":
            return _decode_raw(decoder, data, at_least, check_size, decode_jpeg)
        if kind == "JPEG XL":
            return _decode_jxl(decoder, data, check_size)
        image = decoder.HeifImageFile(io.BytesIO(data), "")  # turned already, as the file says
        check_size(*image.size)
        pixels = to_rgb(_loaded(image))
        return pixels, (pixels.shape[0], pixels.shape[1])
    except (ImageError, MemoryError):
        raise
    except Exception as error:  # on damaged files decoders raise nearly anything
        raise ImageError(f"{name}: damaged {kind} file ({first_line(error)})") from error


def _loaded(image: Any) -> Any:
    image.load()
    return image


def _decode_jxl(decoder: Any, data: bytes, check_size: Callable[[int, int], None]) -> tuple[Pixels, tuple[int, int]]:
    check_size(*jxl_size(data))  # the plug-in decodes when it opens
    decoder.DECODE_THREADS = 0  # photos are decoded side by side
    image = decoder.JXLImageFile(io.BytesIO(data), "")
    orientation = image.getexif().get(0x0112, 1) if image.jpeg else 1  # others are turned when they are decoded
    pixels = to_rgb(_loaded(image))
    if orientation in range(2, 9):
        pixels = turn(pixels, orientation)
    return pixels, (pixels.shape[0], pixels.shape[1])


def jxl_size(data: bytes) -> tuple[int, int]:
    """(width, height) in a JPEG XL file's header (ISO/IEC 18181-1, SizeHeader), before it is turned.

    Raises:
        ValueError: there is no header.
    """
    stream = data
    if data.startswith(_JXL_CONTAINER):
        at = 0
        while data[at + 4 : at + 8] not in (b"jxlc", b"jxlp"):
            size = _box_size(data[at : at + 16])
            if size < 8 or at + size >= len(data):
                raise ValueError("no image in it")
            at += size
        start = at + (16 if data[at : at + 4] == b"\0\0\0\1" else 8)
        stream = data[start + 4 * (data[at + 4 : at + 8] == b"jxlp") :]
    if not stream.startswith(_JXL_CODESTREAM) or len(stream) < 12:
        raise ValueError("no image in it")
    bits = int.from_bytes(stream[2:12], "little")

    def take(count: int) -> int:
        nonlocal bits
        value, bits = bits & ((1 << count) - 1), bits >> count
        return value

    small = take(1)

    def side() -> int:
        return 8 * (take(5) + 1) if small else take((9, 13, 18, 30)[take(2)]) + 1

    height = side()
    ratio = take(3)
    width = side() if ratio == 0 else height * _JXL_RATIOS[ratio - 1][0] // _JXL_RATIOS[ratio - 1][1]
    return width, height


def _box_size(start: bytes) -> int:
    """Bytes of an ISO box that begins so; one that reaches to the end has 0."""
    if len(start) < 8:
        return 0
    size = int(struct.unpack(">I", start[:4])[0])
    return int(struct.unpack(">Q", start[8:16])[0]) if size == 1 and len(start) >= 16 else size


def _decode_raw(
    rawpy: Any,
    data: bytes,
    at_least: tuple[int, int] | None,
    check_size: Callable[[int, int], None],
    decode_jpeg: Callable[[bytes], tuple[Pixels, tuple[int, int]]],
) -> tuple[Pixels, tuple[int, int]]:
    with rawpy.RawPy() as raw:
        raw.open_buffer(io.BytesIO(data))
        sizes = raw.sizes
        check_size(sizes.width, sizes.height)
        whole = (sizes.width, sizes.height) if sizes.flip in (5, 6) else (sizes.height, sizes.width)
        enough = at_least or (whole[0] // 2, whole[1] // 2)  # half the sides have all colours that the sensor saw
        preview = _preview(rawpy, raw)
        if preview is not None:
            try:
                pixels, size = decode_jpeg(preview)
                if size[0] >= enough[0] and size[1] >= enough[1]:
                    return pixels, whole
            except ImageError:  # a damaged preview of a sound photo
                pass
        halves = at_least is not None and whole[0] >= 2 * at_least[0] and whole[1] >= 2 * at_least[1]
        raw.unpack()
        return to_pixels(raw.postprocess(use_camera_wb=True, half_size=halves)), whole  # grey, of some sensors


def _preview(rawpy: Any, raw: Any) -> bytes | None:
    """The largest JPEG that the camera stored beside the sensor's samples; LibRaw tells in it how it is turned."""
    try:
        thumb = raw.extract_thumb()
    except rawpy.LibRawError:
        return None
    return bytes(thumb.data) if thumb.format == rawpy.ThumbFormat.JPEG else None
