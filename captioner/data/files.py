"""Reading files that others made: a packed file may unpack to anything, so it is measured before it fills memory."""

import csv
import gzip
import zipfile
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from captioner.data.tar import LARGEST as _LARGEST_PHOTO
from captioner.errors import DataError, ImageError

LARGEST = 1 << 30
"""Bytes that a packed text or JSON file may unpack to: twice as many as COCO's largest."""
csv.field_size_limit(LARGEST)  # Python's is 131,072 characters, of which a photo in base64 in another column has more


def read_unpacked(path: Path, *, largest: int = LARGEST) -> bytes:
    """A file's bytes, unpacked if it ends in `.gz`.

    Raises:
        DataError: it unpacks to more than `largest` bytes, or is damaged.
        OSError: it cannot be read.
    """
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    try:
        with gzip.open(path) as file:
            data = file.read(largest + 1)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read as text ({error}); fetch it again.") from error
    if len(data) > largest:
        raise DataError(f"{path}: unpacks to more than {largest:,} bytes; unpack it yourself if that is meant.")
    return data


def plain_suffix(path: Path) -> str:
    """What a file's name ends in, in lower case and without `.gz`: `.jsonl` of `rows.jsonl.gz`."""
    suffix = path.suffix.lower()
    return Path(path.stem).suffix.lower() if suffix == ".gz" else suffix


def read_member(archive: zipfile.ZipFile, name: str, *, largest: int = LARGEST) -> bytes:
    """A file in a zip file.

    Raises:
        DataError: it says that it unpacks to more than `largest` bytes, or is damaged, or has a password.
    """
    size = archive.getinfo(name).file_size  # read piecewise, zipfile unpacks hardly a byte more than that
    if size > largest:
        raise DataError(
            f"{archive.filename}: {name} unpacks to {size:,} bytes, more than {largest:,}; unpack it yourself if that "
            "is meant."
        )
    try:
        if archive.getinfo(name).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise zipfile.BadZipFile("packed by another method than deflate")  # others unpack whole at once
        with archive.open(name) as file:
            return b"".join(iter(lambda: file.read(1 << 20), b""))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise DataError(f"{archive.filename}: {name} cannot be read ({error}).") from error


def read_part(archive: Path, name: str, start: int, length: int) -> NDArray[np.uint8]:
    """Some bytes of a tar file, which are a photo's.

    Raises:
        ImageError: they cannot be read, or are too many.
    """
    check_length(length, f"{archive}: {name}")
    try:
        data = np.fromfile(archive, dtype=np.uint8, count=length, offset=start)
    except OSError as error:
        raise ImageError(f"{archive}: {name} cannot be read ({error.strerror}).") from error
    if len(data) < length:
        raise ImageError(f"{archive}: {name} is cut short.")
    return data


def check_length(length: int, name: str) -> None:
    """Refuse a photo that is no photo.

    Raises:
        ImageError: it has too many bytes.
    """
    if length > _LARGEST_PHOTO:
        raise ImageError(f"{name} has {length:,} bytes, more than {_LARGEST_PHOTO:,}.")
