"""Tar files read forwards, from a file or a stream, whatever is wrong with them."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from captioner.errors import DataError

Taken = TypeVar("Taken")

LARGEST = 1 << 29
"""Bytes that a member may unpack to, 512 MiB; an archive of kilobytes can claim any number of gigabytes."""

DAMAGE = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, RuntimeError, ValueError)
"""What Python's modules for archives raise on damaged ones, besides errors of their own."""

_CHUNK = 1 << 20


class ForwardFile:
    """A file read forwards, with the seeking that `tarfile` does over what it passes by.

    Args:
        file: at its beginning, or just after `head`.
        head: what has been read of it.
        jumps: whether to seek in the file instead of reading what is passed over.
    """

    def __init__(self, file: Any, head: bytes = b"", *, jumps: bool = False) -> None:
        self._file, self._head, self._position, self._jumps = file, head, 0, jumps

    def read(self, count: int = -1) -> bytes:
        """The next bytes, fewer only at the end."""
        if count < 0 or count > LARGEST:  # no member is read so; a header that claims a longer name is damage
            raise tarfile.ReadError("a header claims gigabytes")
        data, self._head = self._head[:count], self._head[count:]
        data += read_exactly(self._file, count - len(data))
        self._position += len(data)
        return data

    def tell(self) -> int:
        """Bytes read so far."""
        return self._position

    def seek(self, position: int) -> int:
        """Pass over what comes before a position."""
        if position < self._position:
            raise tarfile.ReadError("a tar file is read forwards")
        if self._jumps:
            self._position = self._file.seek(position)
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
    except (tarfile.TarError, *DAMAGE, OSError) as error:
        if isinstance(error, OSError) and error.errno:
            raise
        if not count and isinstance(error, tarfile.TarError):
            raise DataError(f"{name}: not a zip, tar or Parquet file that can be read ({error}).") from error
        count -= isinstance(error, CutShort)
        ended = isinstance(error, EOFError) or "end of data" in str(error)
        reason = "ends too soon" if ended else f"is damaged ({error})"
    raise DataError(f"{name}: the archive {reason}; only the {count:,} files before that could be read.")


class CutShort(tarfile.ReadError):
    """A file whose archive ends within it."""

    def __init__(self) -> None:
        super().__init__("unexpected end of data")


class RawForward(io.RawIOBase):
    """A forward file for the modules that unpack, which want a stream of Python's own kind."""

    def __init__(self, file: ForwardFile) -> None:
        self._file = file

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes; returns how many there were."""
        data = self._file.read(min(len(buffer), _CHUNK))
        buffer[: len(data)] = data
        return len(data)


def read_exactly(file: Any, count: int) -> bytes:
    """So many bytes, also of a stream that gives fewer at a time; fewer only at its end."""
    parts = []
    while count > 0 and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
