"""Photos in zip, tar and Parquet files by paths of their own: `trip.zip/beach/1.jpg` is `beach/1.jpg` in `trip.zip`.

Any of them can be read at any time and by several threads. A packed tar file is unpacked once into a temporary file
that nobody sees, since it can only be read from its beginning.
"""

import gzip
import lzma
import os
import re
import shutil
import tarfile
import tempfile
import threading
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections import OrderedDict
from functools import lru_cache
from typing import Any, BinaryIO

from captioner.data.addresses import without_query
from captioner.data.archives import too_large, unzipped
from captioner.data.names import inner_name
from captioner.data.parquet import group_photos, is_parquet, open_parquet, photo_column, row_names
from captioner.data.tar import LARGEST, CutShort, ForwardFile, tar_files, unpacked
from captioner.errors import DataError, ImageError
from captioner.vision.checksums import checksum

SUFFIXES = (".zip", ".tar", ".tgz", ".tar.gz", ".tbz2", ".tar.bz2", ".txz", ".tar.xz", ".parquet")
"""Names of files that may hold photos."""

_INSIDE = re.compile(rf"(?i)(?:{'|'.join(map(re.escape, SUFFIXES))})(?={re.escape(os.sep)}|/)")
_GROUPS = 3  # of a Parquet file's rows that are held: workers read neighbours
_SPARE = 1 << 30  # bytes of the disk that a temporary file leaves free


class PackedFiles(ABC):
    """The files of an archive that is open.

    Args:
        path: of the archive.

    Attributes:
        names: of its files, in order, each once; of two with one name the later counts.
        only_photos: whether its files are photos, whatever they are called.
        problem: what is wrong with the archive, a sentence, or None.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.only_photos = False
        self.problem: str | None = None
        self._places: dict[str, Any] = {}
        self._unsafe: list[str] = []

    @property
    def names(self) -> list[str]:
        """Names of the files."""
        return list(self._places)

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def read(self, name: str) -> bytes:
        """A file's bytes.

        Raises:
            ImageError: why it cannot be read; the file is not named.
        """
        if name not in self._places:
            raise ImageError("cannot be read (no such file in the archive)")
        try:
            return self._read(self._places[name])
        except (OSError, ValueError) as error:  # pyarrow's errors are both
            raise ImageError(f"cannot be read ({_first_line(error)})") from error

    @abstractmethod
    def stamp(self, name: str) -> tuple[int, int]:
        """(size, checksum) by which a file that has changed is known."""

    @abstractmethod
    def _read(self, place: Any) -> bytes:
        """The bytes that lie at a place."""

    def _add(self, name: str, place: Any) -> None:
        inner = inner_name(name)
        if inner is None:
            self._unsafe.append(name)
        else:
            self._places.pop(inner, None)  # so that it stands where the later one does
            self._places[inner] = place

    def _listed(self, problem: str | None = None) -> None:
        """Say what is wrong, when all has been listed."""
        if self._unsafe:
            example = self._unsafe[0] or "one that is empty"
            out = f"{len(self._unsafe):,} of its names lead out of it, such as {example}"
            problem = f"{problem}; {out}" if problem else out
        self.problem = problem


class _Zip(PackedFiles):
    def __init__(self, path: str, file: BinaryIO) -> None:
        super().__init__(path)
        try:
            self._archive = zipfile.ZipFile(file)
        except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
            raise DataError(f"not a zip file that can be read ({error}).") from error
        for info in self._archive.infolist():
            if not info.filename.endswith("/"):  # `is_dir` fails on an empty name
                self._add(info.filename, info)
        self._listed()

    def stamp(self, name: str) -> tuple[int, int]:
        return self._places[name].file_size, self._places[name].CRC

    def _read(self, place: zipfile.ZipInfo) -> bytes:
        member = unzipped(self._archive, place)
        if member.error is not None:
            raise ImageError(member.error)
        return member.data


class _Tar(PackedFiles):
    def __init__(self, path: str, file: BinaryIO) -> None:
        super().__init__(path)
        self._lock = threading.Lock()
        packed = unpacked(file, file.read(6))
        file.seek(0)
        self._file = file if packed is None else _spooled(packed)
        self._end = self._file.seek(0, os.SEEK_END)
        self._file.seek(0)
        problem = None
        try:
            for name, *place in tar_files(ForwardFile(self._file, jumps=True), path, self._place):
                self._add(name, place)
        except DataError as error:
            if not self._places:
                raise
            problem = str(error).removeprefix(f"{path}: ").rstrip(".")
        self._listed(problem)

    def stamp(self, name: str) -> tuple[int, int]:
        offset, size = self._places[name]
        return size, checksum(lambda start, count: self._bytes(offset + start, count), size, name)

    def _read(self, place: tuple[int, int]) -> bytes:
        offset, size = place
        if size > LARGEST:
            raise ImageError(too_large(size, LARGEST))
        return self._bytes(offset, size)

    def _place(self, _: tarfile.TarFile, info: tarfile.TarInfo) -> tuple[str, int, int] | None:
        if info.offset_data + info.size > self._end:
            raise CutShort
        return None if info.issparse() else (info.name, info.offset_data, info.size)

    def _bytes(self, offset: int, size: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(size)


class _Parquet(PackedFiles):
    def __init__(self, path: str, file: BinaryIO) -> None:
        super().__init__(path)
        self.only_photos = True
        self._file = open_parquet(file, path)
        column = photo_column(self._file)
        if column is None:
            raise DataError("no column holds photos.")
        self._column = column
        self._lock = threading.Lock()
        self._groups: OrderedDict[int, list[bytes]] = OrderedDict()
        sizes = [self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)]
        places = [(group, row) for group, size in enumerate(sizes) for row in range(size)]
        for name, place in zip(row_names(self._file, column), places, strict=True):
            self._add(name, place)
        self._listed()

    def stamp(self, name: str) -> tuple[int, int]:
        data = self._read(self._places[name])
        return len(data), zlib.crc32(data)

    def _read(self, place: tuple[int, int]) -> bytes:
        group, row = place
        with self._lock:
            if group not in self._groups:
                self._groups[group] = group_photos(self._file, self._column, group)
                while len(self._groups) > _GROUPS:
                    self._groups.popitem(last=False)
            return self._groups[group][row]


def split(path: str) -> tuple[str, str] | None:
    """The archive and the name in it that a path means; None for any other path."""
    for match in _INSIDE.finditer(path):
        if os.path.isfile(path[: match.end()]):
            return path[: match.end()], path[match.end() + 1 :].replace(os.sep, "/")
    return None


def archive_above(address: str) -> str | None:
    """The archive that a file lies in by its address alone; None if no part of it is called so."""
    match = _INSIDE.search(address)
    return None if match is None else address[: match.end()]


def is_archive(path: str) -> bool:
    """Whether a path or an address is called as files with photos in them are."""
    return without_query(path).lower().endswith(SUFFIXES)


def open_packed(path: str) -> PackedFiles:
    """An archive's files; a few archives stay open.

    Raises:
        DataError: `path: reason`.
    """
    whole = os.path.abspath(path)
    try:
        status = os.stat(whole)
        return _open(whole, status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except DataError as error:
        raise DataError(f"{path}: {str(error).removeprefix(f'{whole}: ')}") from error


@lru_cache(maxsize=8)
def _open(path: str, time: int, size: int) -> PackedFiles:
    """The archive as it was then; one that has changed is opened anew."""
    file = open(path, "rb")  # noqa: SIM115 - stays open as long as the archive is wanted
    try:
        head = file.read(4)
        file.seek(0)
        kind = _Zip if head.startswith(b"PK") else _Parquet if is_parquet(head) else _Tar
        return kind(path, file)
    except BaseException:
        file.close()
        raise


def read_packed(path: str) -> bytes | None:
    """The bytes of a file in an archive; None if the path is of no archive.

    Raises:
        ImageError: `path: reason`.
    """
    parts = split(path)
    if parts is None:
        return None
    try:
        return open_packed(parts[0]).read(parts[1])
    except DataError as error:
        reason = str(error).removeprefix(f"{parts[0]}: ").rstrip(".")
        raise ImageError(f"{path}: {reason}") from error
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error


def _spooled(packed: Any) -> BinaryIO:
    """An unpacked copy in a file without a name, which goes with the process."""
    file = tempfile.TemporaryFile()  # noqa: SIM115 - stays open as long as the archive is wanted
    try:
        while data := packed.read(1 << 20):
            if shutil.disk_usage(tempfile.gettempdir()).free < _SPARE + len(data):
                file.close()
                raise DataError("unpacks to more than the disk has room for; unpack it elsewhere.")
            file.write(data)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile):
        pass  # what has been unpacked tells that the archive ends too soon
    file.seek(0)
    return file


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
