"""Photos in zip, tar and Parquet files, read one after the other and never unpacked to disk.

A tar file may be packed (gzip, bzip2, xz) and come from a stream that cannot be sought in. WebDataset's shards are tar
files in which what belongs together stands together under one key: `0017.jpg`, `0017.json`, `0017.txt`.
"""

import os
import re
import tarfile
import zipfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from captioner.data.names import inner_name
from captioner.data.parquet import is_parquet, stored_photos
from captioner.data.tar import DAMAGE, LARGEST, CutShort, ForwardFile, RawForward, read_exactly, tar_files, unpacked
from captioner.errors import DataError

_CHUNK = 1 << 20
_KEY = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")


@dataclass(frozen=True)
class Member:
    """A file in an archive.

    Attributes:
        name: with its folders in the archive, separated by slashes.
        data: its bytes; empty if there is an error.
        error: why it is not read: too large, damaged, locked by a password, or named so that it leads out of the
            archive.
    """

    name: str
    data: bytes = b""
    error: str | None = None


@dataclass(frozen=True)
class Sample:
    """Members with one key, as WebDataset groups them.

    Attributes:
        key: the name up to the first dot of its last part.
        files: members by what follows that dot, in lower case: `jpg`, `json`, `seg.png`.
    """

    key: str
    files: dict[str, Member] = field(default_factory=dict)


def read_members(
    source: Path | str | BinaryIO, name: str | None = None, *, suffixes: Collection[str] = (), largest: int = LARGEST
) -> Iterator[Member]:
    """The files in an archive, in its order; what kind of archive it is, its first bytes tell.

    Links, folders and devices in it are passed over. Memory holds one member at a time, of a Parquet file one row
    group. A Parquet file gives the photos of its image column (bytes, or Hugging Face's structure of bytes and path),
    whatever they are called.

    Args:
        source: a path, or an open binary file, which for a tar file need not be seekable and is left open.
        name: of the archive in messages; by default its path.
        suffixes: read only members that end in one of these, in lower case with the dot; all by default.
        largest: bytes that a member may unpack to; one that claims more has an error.

    Raises:
        DataError: the archive cannot be read, or ends too soon or is damaged from here on. The members before that
            have been given.
    """
    with ExitStack() as stack:
        if isinstance(source, str | Path):
            name = name or str(source)
            try:
                file: BinaryIO = stack.enter_context(open(source, "rb"))
            except OSError as error:
                raise DataError(f"{name}: cannot be read ({error.strerror}).") from error
        else:
            file = source
            name = name or str(getattr(file, "name", "archive"))
        try:
            head = read_exactly(file, 512)
            if head.startswith(b"PK") or is_parquet(head):
                if not file.seekable():
                    raise DataError(f"{name}: zip and Parquet files are read from their end; give a file, no stream.")
                file.seek(0)
                if head.startswith(b"PK"):
                    yield from zip_members(file, name, suffixes, largest)
                else:
                    yield from stored_members(file, name, largest)
            else:
                yield from _tar_members(ForwardFile(file, head), head, name, suffixes, largest)
        except OSError as error:
            raise DataError(f"{name}: cannot be read ({error.strerror or error}).") from error


def group_samples(members: Iterable[Member]) -> Iterator[Sample]:
    """Neighbouring members with one key as one sample; hidden members and those without a suffix are passed over."""
    sample: Sample | None = None
    for member in members:
        parts = _KEY.fullmatch(member.name)
        if parts is None:
            continue
        key, suffix = parts[1], parts[2].lower()
        if sample is None or sample.key != key:
            if sample is not None:
                yield sample
            sample = Sample(key)
        sample.files[suffix] = member
    if sample is not None:
        yield sample


def zip_members(file: BinaryIO, name: str, suffixes: Collection[str], largest: int) -> Iterator[Member]:
    """The files in a zip file; see `read_members`."""
    try:
        archive = zipfile.ZipFile(file)
    except DAMAGE as error:
        raise DataError(f"{name}: not a zip file that can be read ({error}).") from error
    with archive:
        for info in archive.infolist():
            if not info.filename.endswith("/") and _wanted(info.filename, suffixes):  # `is_dir` fails on an empty name
                yield unzipped(archive, info, largest)


def unzipped(archive: zipfile.ZipFile, info: zipfile.ZipInfo, largest: int = LARGEST) -> Member:
    """A member of a zip file, unpacked piece by piece, since one that claims ten bytes may hold gigabytes."""
    name = inner_name(info.filename)
    if name is None:
        return Member(info.filename, error="its name leads out of the archive")
    if info.file_size > largest:
        return Member(name, error=too_large(info.file_size, largest))
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others unpack whole, whatever they claim
        return Member(name, error="packed by another method than deflate; pack it again")
    try:
        with archive.open(info) as file:
            return Member(name, b"".join(iter(lambda: file.read(_CHUNK), b"")))
    except DAMAGE as error:
        locked = bool(info.flag_bits & 1)
        return Member(name, error="locked by a password" if locked else f"damaged in the zip file ({error})")


def stored_members(file: BinaryIO, name: str, largest: int) -> Iterator[Member]:
    """The photos in a Parquet file; see `read_members`."""
    for row, data in stored_photos(file, name):
        small = len(data) <= largest
        yield Member(row, data) if small else Member(row, error=too_large(len(data), largest))


def _tar_members(
    file: ForwardFile, head: bytes, name: str, suffixes: Collection[str], largest: int
) -> Iterator[Member]:
    def take(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member | None:
        return _extracted(archive, info, largest) if _wanted(info.name, suffixes) else None

    inside = unpacked(RawForward(file), head)
    yield from tar_files(file if inside is None else ForwardFile(inside), name, take)


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo, largest: int) -> Member:
    name = inner_name(info.name)
    if name is None:
        return Member(info.name, error="its name leads out of the archive")
    if info.size > largest:
        return Member(name, error=too_large(info.size, largest))
    file = archive.extractfile(info)
    assert file is not None, "a regular file"
    try:
        data = file.read()
    except (EOFError, tarfile.ReadError):
        raise CutShort from None
    if len(data) < info.size:
        raise CutShort
    return Member(name, data)


def too_large(size: int, largest: int) -> str:
    """The error of a member that claims too many bytes."""
    return f"unpacks to {size:,} bytes, more than {largest:,}; unpack it yourself if that is meant"


def _wanted(name: str, suffixes: Collection[str]) -> bool:
    return not suffixes or os.path.splitext(name)[1].lower() in suffixes
