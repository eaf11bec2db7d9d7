"""Photos in zip, tar and Parquet files, read one after the other and never unpacked to disk.

A tar file may be packed (gzip, bzip2, xz) and come from a stream that cannot be sought in. WebDataset's shards are tar
files in which what belongs together stands together under one key: `0017.jpg`, `0017.json`, `0017.txt`.
"""

import bz2
import gzip
import io
import lzma
import os
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from captioner.data.parquet import is_parquet, stored_photos
from captioner.errors import DataError

Taken = TypeVar("Taken")

LARGEST = 1 << 29
"""Bytes that a member may unpack to, 512 MiB; a zip file of kilobytes can claim any number of gigabytes."""

_CHUNK = 1 << 20
_KEY = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]+)")
_DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)


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
    group. A Parquet file gives the photos of its image column (bytes, or Hugging Face's structure of bytes and path).

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
            head = _read_exactly(file, 512)
            if head.startswith(b"PK") or is_parquet(head):
                if not file.seekable():
                    raise DataError(f"{name}: zip and Parquet files are read from their end; give a file, no stream.")
                file.seek(0)
                reader = zip_members if head.startswith(b"PK") else stored_members
                yield from reader(file, name, suffixes, largest)
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


def inner_name(name: str) -> str | None:
    """A member's name with plain slashes; None if it leads out of the archive (`..`, `/etc`, `C:`) or is empty."""
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if not parts or plain.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in plain:
        return None
    return "/".join(parts)


def zip_members(file: BinaryIO, name: str, suffixes: Collection[str], largest: int) -> Iterator[Member]:
    """The files in a zip file; see `read_members`."""
    try:
        archive = zipfile.ZipFile(file)
    except _DAMAGE as error:
        raise DataError(f"{name}: not a zip file that can be read ({error}).") from error
    with archive:
        for info in archive.infolist():
            if not info.is_dir() and _wanted(info.filename, suffixes):
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
    except _DAMAGE as error:
        locked = bool(info.flag_bits & 1)
        return Member(name, error="locked by a password" if locked else f"damaged in the zip file ({error})")


def stored_members(file: BinaryIO, name: str, suffixes: Collection[str], largest: int) -> Iterator[Member]:
    """The photos in a Parquet file; see `read_members`."""
    for row_name, data in stored_photos(file, name):
        row = inner_name(row_name)
        if row is None:
            yield Member(row_name, error="its name leads out of the archive")
        elif _wanted(row, suffixes):
            small = len(data) <= largest
            yield Member(row, data) if small else Member(row, error=too_large(len(data), largest))


class ForwardFile:
    """A file read forwards, with the seeking that `tarfile` does over what it passes by.

    Args:
        file: at its beginning, or just after `head`.
        head: what has been read of it.
    """

    def __init__(self, file: Any, head: bytes = b"") -> None:
        self._file, self._head, self._position = file, head, 0

    def read(self, count: int = -1) -> bytes:
        """The next bytes, fewer only at the end."""
        if count < 0 or count > LARGEST:  # no member is read so; a header that claims a longer name is damage
            raise tarfile.ReadError("a header claims gigabytes")
        data, self._head = self._head[:count], self._head[count:]
        data += _read_exactly(self._file, count - len(data))
        self._position += len(data)
        return data

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    def seek(self, position: int) -> int:
        """Pass over what comes before a position."""
        if position < self._position:
            raise tarfile.ReadError("a tar file is read forwards")
        while self._position < position and self.read(min(_CHUNK, position - self._position)):
            pass
        return self._position


class TarHeader(tarfile.TarInfo):
    """A member's header; tells the archive whether it ended as it should, which `tarfile` keeps to itself."""

    @classmethod
    def fromtarfile(cls, archive: tarfile.TarFile) -> "TarHeader":
        """The next header."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined] # the block of zeros after the last member
            archive.ended = True  # type: ignore[attr-defined]
            raise


def unpacked(file: Any, head: bytes) -> Any:
    """A tar file as it was before it was packed by gzip, bzip2 or xz, which its first bytes tell."""
    if head.startswith(b"\x1f\x8b"):
        return gzip.GzipFile(fileobj=file)
    if head.startswith(b"BZh"):
        return bz2.BZ2File(file)
    return lzma.LZMAFile(file) if head.startswith(b"\xfd7zXZ\0") else None


def tar_files(
    file: Any, name: str, take: Callable[[tarfile.TarFile, tarfile.TarInfo], Taken | None]
) -> Iterator[Taken]:
    """What `take` makes of a tar file's regular files, in order.

    Args:
        file: unpacked, with `read`, `seek` and `tell`.
        name: for messages.
        take: is given the archive and a header, and may read; None passes the file over.

    Raises:
        DataError: it is no tar file, or ends too soon or is damaged from here on.
    """
    count = 0
    reason = "is damaged"
    try:
        archive = tarfile.TarFile(fileobj=file, tarinfo=TarHeader, errorlevel=2)
        while (info := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined] # else they stay in memory
            if info.isreg():
                count += 1
                if (taken := take(archive, info)) is not None:
                    yield taken
        if getattr(archive, "ended", False):
            return
        if not file.read(1):
            reason = "ends too soon"
    except (tarfile.TarError, *_DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        if not count and isinstance(error, tarfile.TarError):
            raise DataError(f"{name}: not a zip, tar or Parquet file that can be read ({error}).") from error
        count -= isinstance(error, _CutShort)
        ended = isinstance(error, EOFError) or "end of data" in str(error)
        reason = "ends too soon" if ended else f"is damaged ({error})"
    raise DataError(f"{name}: the archive {reason}; only the {count:,} files before that could be read.")


class _CutShort(tarfile.ReadError):
    """A file whose archive ends within it."""

    def __init__(self) -> None:
        super().__init__("unexpected end of data")


def _tar_members(
    file: ForwardFile, head: bytes, name: str, suffixes: Collection[str], largest: int
) -> Iterator[Member]:
    def take(archive: tarfile.TarFile, info: tarfile.TarInfo) -> Member | None:
        return _extracted(archive, info, largest) if _wanted(info.name, suffixes) else None

    inside = unpacked(_Raw(file), head)
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
        raise _CutShort from None
    if len(data) < info.size:
        raise _CutShort
    return Member(name, data)


class _Raw(io.RawIOBase):
    """A forward file for the modules that unpack, which want a stream of Python's own kind."""

    def __init__(self, file: ForwardFile) -> None:
        self._file = file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        data = self._file.read(min(len(buffer), _CHUNK))
        buffer[: len(data)] = data
        return len(data)


def too_large(size: int, largest: int) -> str:
    """The error of a member that claims too many bytes."""
    return f"unpacks to {size:,} bytes, more than {largest:,}; unpack it yourself if that is meant"


def _wanted(name: str, suffixes: Collection[str]) -> bool:
    return not suffixes or os.path.splitext(name)[1].lower() in suffixes


def _read_exactly(file: Any, count: int) -> bytes:
    """So many bytes, also of a stream that gives fewer at a time; fewer only at its end."""
    parts = []
    while count > 0 and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
