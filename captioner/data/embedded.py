"""The description in a photo's own file: XMP's `dc:description`, and in JPEG files IPTC's caption besides.

exiv2 writes (through pyexiv2, in the extra `captioner[formats]`; both are under the GPL), and nothing is believed: what
was written is read back, and every other tag and the picture must be as they were.
"""

import re
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

from captioner.data.xmp import DEFAULT, all_descriptions, described, read_description, with_description
from captioner.errors import DataError
from captioner.vision.images import decode

SUFFIXES = (".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".jp2")
"""Files that exiv2 can write a description into."""

_CAPTION, _CHARACTERS = "Iptc.Application2.Caption", "Iptc.Envelope.CharacterSet"
_UTF8 = "\x1b%G"
_BYTES = "latin-1"  # gives every byte a character, whatever encoding tags are in
_LONGEST = 2000  # bytes of IPTC's caption
_PLACES = ("StripOffsets", "TileOffsets", "XMLPacket", "ExifTag", "GPSTag", "SubIFDs")
_LAYOUT = {f"Exif.Image.{name}" for name in _PLACES}
"""Tags of TIFF files that say where something lies; what lies there is compared."""
_DESCRIPTION = "Xmp.dc.description"
_XMP, _PHOTOSHOP = b"http://ns.adobe.com/xap/1.0/\0", b"Photoshop 3.0\0"
_LOCK = threading.Lock()  # exiv2 reads and writes XMP in one thread at a time


def has_description(data: bytes, language: str) -> bool:
    """Whether a photo has a description in a language, or one that names none, in XMP or IPTC.

    Args:
        data: the file.
        language: such as `en`.

    Raises:
        DataError: it cannot be read, or pyexiv2 is not installed.
    """
    with _LOCK, _opened(data) as photo:
        packet = photo.read_raw_xmp()
        texts = read_description(packet.encode(), "its XMP") if packet.strip() else {}
        return described(texts or {DEFAULT: _text(photo.read_iptc(_BYTES).get(_CAPTION))}, language)


def embed_description(data: bytes, caption: str, language: str, *, overwrite: bool = False) -> bytes:
    """A photo's file with a description; the picture and every other tag are as before.

    Args:
        data: the file.
        caption: the description.
        language: of it.
        overwrite: replace the description in all languages, instead of adding one.

    Raises:
        DataError: it cannot be done; the message is a reason without the file's name.
    """
    with _LOCK:
        try:
            with _opened(data) as photo:
                packet = photo.read_raw_xmp().encode() or None
                there = {} if packet is None or overwrite else read_description(packet, "its XMP")
                texts = all_descriptions(there, caption, language)
                photo.modify_raw_xmp(with_description(packet, texts, "its XMP").decode())
                iptc = _iptc_changes(photo, texts[DEFAULT]) if data.startswith(b"\xff\xd8") else {}
                if iptc:
                    photo.modify_iptc(iptc)
                changed = bytes(photo.get_bytes())
            _check(data, changed, texts, iptc)
        except (RuntimeError, UnicodeDecodeError) as error:  # exiv2's
            raise DataError(f"no description can be embedded ({str(error).partition(chr(10))[0]})") from error
    return changed


def _opened(data: bytes) -> Any:
    try:
        import pyexiv2
    except ImportError as error:
        raise DataError('embedding needs pyexiv2; pip install "captioner[formats]"') from error
    pyexiv2.set_log_level(4)  # say nothing on the terminal
    try:
        # a damaged photo that was read before may have given the prefix another meaning for all that follow
        pyexiv2.registerNs("http://purl.org/dc/elements/1.1/", "dc")
        return pyexiv2.ImageData(data)
    except RuntimeError as error:
        raise DataError(f"its tags cannot be read ({str(error).partition(chr(10))[0]})") from error


def _iptc_changes(photo: Any, caption: str) -> dict[str, str]:
    """IPTC's caption; nothing where the tags that are there are in an encoding that has no such letters."""
    there = photo.read_iptc(_BYTES)
    plain = all(_text(value).isascii() for key, value in there.items() if key not in (_CAPTION, _CHARACTERS))
    if len(caption.encode()) > _LONGEST or not (plain or there.get(_CHARACTERS) == _UTF8):
        return {}
    return {_CHARACTERS: _UTF8, _CAPTION: caption}


def _text(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value or "")


def _same_meanings(old: str, new: str) -> bool:
    """Whether prefixes stand for the same in both XMP packets; a damaged photo may have changed what exiv2 writes."""
    before, after = (dict(re.findall(r"xmlns:([\w.-]+)\s*=\s*[\"']([^\"']*)", packet)) for packet in (old, new))
    return all(after.get(prefix, meaning) == meaning for prefix, meaning in before.items())


def _check(before: bytes, after: bytes, texts: dict[str, str], iptc: dict[str, str]) -> None:
    """See that the description is there, and that nothing else has changed.

    Raises:
        DataError: something has.
    """
    with _opened(before) as old, _opened(after) as new:
        found = read_description(new.read_raw_xmp().encode(), "its XMP")
        same = [
            found == texts,
            _others(old.read_exif(_BYTES), _LAYOUT) == _others(new.read_exif(_BYTES), _LAYOUT),
            _others(old.read_xmp(), {_DESCRIPTION}) == _others(new.read_xmp(), {_DESCRIPTION}),
            _others(old.read_iptc(_BYTES), set(iptc)) == _others(new.read_iptc(_BYTES), set(iptc)),
            all(new.read_iptc(_BYTES).get(key) == value.encode().decode(_BYTES) for key, value in iptc.items()),
            _same_meanings(old.read_raw_xmp(), new.read_raw_xmp()),
            old.read_comment(_BYTES) == new.read_comment(_BYTES),
            old.read_icc() == new.read_icc(),
        ]
    if before.startswith(b"\xff\xd8"):
        same.append(list(_other_segments(before)) == list(_other_segments(after)))
    else:
        same.append(np.array_equal(decode(before, "before").pixels, decode(after, "after").pixels))
    if not all(same):
        raise DataError("no description can be embedded without a change to something else")


def _others(tags: dict[str, Any], ours: set[str]) -> dict[str, Any]:
    return {key: value for key, value in tags.items() if key not in ours}


def _other_segments(data: bytes) -> Iterator[bytes]:
    """A JPEG file's segments, but for XMP and IPTC; the last one is all from the picture's data on."""
    at = 2
    while data[at : at + 1] == b"\xff" and data[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        segment = data[at:end]
        if segment[4:].startswith(_PHOTOSHOP):
            yield from _other_resources(segment[4 + len(_PHOTOSHOP) :])
        elif not segment[4:].startswith(_XMP):
            yield segment
        at = end
    yield data[at:]


def _other_resources(block: bytes) -> Iterator[bytes]:
    """What Photoshop keeps in a JPEG file, but for IPTC: each resource with its number, name and bytes."""
    at = 0
    while block[at : at + 4] == b"8BIM":
        name = 1 + block[at + 6]
        size = at + 6 + name + name % 2
        end = size + 4 + int.from_bytes(block[size : size + 4], "big")
        if block[at + 4 : at + 6] != b"\x04\x04":
            yield block[at:end]
        at = end + (end - size) % 2
