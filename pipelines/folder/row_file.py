"""A file of rows that is whole after every write, and can be continued after any interruption."""

import errno
import io
import os
import shutil
import threading
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

from captioner.errors import CaptionerError, UsageError
from captioner.pipelines.folder.inputs import shown

SYNC_SECONDS = 5.0  # at most this much work is lost when the power fails; nothing when the process is killed


class WriteError(CaptionerError):
    """An output can no longer be written; what it holds is whole."""


class RowFile:
    """A file of rows between a head and a tail, complete after every write.

    Args:
        path: of the file.
        head: what stands before the first row.
        between: what separates rows.
        tail: what follows the last row; its first line is what `is_tail` knows it by.

    Raises:
        UsageError: the file cannot be written, or another process is writing it.
    """

    def __init__(self, path: str, *, head: bytes = b"", between: bytes = b"\n", tail: bytes = b"\n") -> None:
        self.path, self.head, self.between, self.tail = path, head, between, tail
        self.rows = 0
        self._end = 0  # where the next row goes
        self._synced = time.monotonic()
        self._file = _open(path)

    @property
    def size(self) -> int:
        """Bytes of the file as it stands."""
        return self._end + len(self.tail)

    def lines(self) -> Iterator[bytes]:
        """What the file holds, line by line."""
        with open(self.path, "rb") as file:
            yield from file

    def start(self, end: int, rows: int) -> None:
        """Keep the first `rows` rows, which end at byte `end`, and drop the rest."""
        self.rows, self._end = (rows, end) if rows else (0, 0)
        self._put(b"" if rows else self.head, self.rows)

    def remove(self, spans: Iterable[tuple[int, int]]) -> None:
        """Take rows out; the file is written anew, and replaced when that is whole.

        Args:
            spans: where each row begins, and where the next one does.

        Raises:
            WriteError: it cannot be done; the file is as it was.
        """
        runs, at = [], len(self.head)
        for start, following in sorted(spans):
            runs += [(at, start)] if start > at else []
            at = following
            self.rows -= 1
        if at < self._end:
            runs.append((at, self._end))
        whole = self.head + self.between.join(map(self._run, runs))
        self._file.close()  # Windows replaces no open file
        try:
            replace_file(self.path, [whole, self.tail if whole else b""], sync=True)
            self._end = len(whole)
        except OSError as error:
            raise WriteError(f"{shown(self.path)}: cannot be written anew ({reason(error)}).") from error
        finally:
            self._file = _open(self.path)

    def _run(self, run: tuple[int, int]) -> bytes:
        """Rows that follow each other, without what separates the last one from the next."""
        self._file.seek(run[0])
        rows = self._file.read(run[1] - run[0]).rstrip(b"\r\n")
        return rows.removesuffix(b",") if self.between.startswith(b",") else rows

    def append(self, rows: Sequence[bytes]) -> None:
        """Add rows and hand them to the system.

        Raises:
            WriteError: it cannot be done; the file is as it was.
        """
        if not rows:
            return
        self._put((self.between if self.rows else b"") + self.between.join(rows), self.rows + len(rows))
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self._sync()

    def change_tail(self, tail: bytes) -> None:
        """Let something else follow the last row."""
        self.tail = tail
        self._put(b"", self.rows)

    def is_tail(self, rest: bytes) -> bool:
        """Whether what follows the last row is a tail or an unfinished row, so that it may be dropped."""
        first, newline, _ = rest.strip(b"\0").removeprefix(self.between).lstrip(b"\n").partition(b"\n")
        # behind an unfinished row something of the tail that it was to replace may be left
        unfinished = (not newline or len(self.tail) > 1) and (not first or first[:1] == b"{")
        return unfinished or self.tail.strip(b"\n").split(b"\n")[0].startswith(first)

    def abandon(self) -> None:
        """Leave the file as it is, to whoever wants it."""
        self._file.close()

    def close(self) -> None:
        """Write through to the disk."""
        if not self._file.closed:
            self._sync()
            self._file.close()

    def _sync(self) -> None:
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise WriteError(f"{shown(self.path)}: cannot be written to the disk ({reason(error)}).") from error
        self._synced = time.monotonic()

    def _put(self, data: bytes, rows: int) -> None:
        """Put `data` and the tail where the last row ends, or leave the file as it was; then it has so many rows."""
        end = self._end + len(data)
        try:
            self._write(data + (self.tail if end or rows else b""), self._end)  # a single row may be empty
        except OSError as error:
            self._file.truncate(self._end)
            self._write(self.tail if self._end or self.rows else b"", self._end)  # fits: it was there before
            raise WriteError(
                f"{shown(self.path)}: cannot be written ({reason(error)}). Its {self.rows} rows are whole; make room "
                "and run the same command again to continue."
            ) from error
        self._end, self.rows = end, rows

    def _write(self, data: bytes, at: int) -> None:
        self._file.seek(at)
        rest = memoryview(data)
        while rest:  # a full disk takes a part first, and then says why
            rest = rest[self._file.write(rest) or 0 :]
        self._file.truncate()


def _open(path: str) -> io.FileIO:
    """A file to be read and written by this run alone.

    Raises:
        UsageError: it cannot be written, or another run is writing it.
    """
    try:
        file = io.FileIO(os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666), "r+b")
    except OSError as error:
        raise UsageError(f"{shown(path)}: cannot be written ({reason(error)}).") from error
    _lock(file, path)
    return file


def _lock(file: io.FileIO, path: str) -> None:
    """Keep a second run from writing the same rows; the lock goes with the process."""
    try:
        import fcntl
    except ImportError:  # Windows lets no second process write anyway
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise UsageError(f"{shown(path)}: another run is writing it; wait until it has ended.") from None
    except OSError:  # a file system without locks
        return


def replace_file(path: str, parts: Iterable[bytes], *, sync: bool = False) -> None:
    """Write a file whole or not at all: what was there stays until all is written, whatever goes wrong.

    A link stays a link, and a file keeps its permissions; one that may not be written is not.

    Args:
        path: of the file.
        parts: its content.
        sync: also see that it is on the disk before what was there goes.

    Raises:
        OSError: it cannot be written; nothing is left behind.
    """
    target = os.path.realpath(path)
    if os.path.isdir(target):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    there = os.path.exists(target)
    if there and not (os.access(target, os.W_OK) and os.stat(target).st_mode & 0o222):  # nor by root
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), path)
    number, part = _open_part(target)
    try:
        with io.FileIO(number, "wb", closefd=False) as file:
            for each in parts:
                rest = memoryview(each)
                while rest:  # a full disk takes a part first, and then says why
                    rest = rest[file.write(rest) or 0 :]
        if sync:
            os.fsync(number)
        if there:
            shutil.copymode(target, part)
        if os.name == "nt":  # where an open file cannot be renamed; elsewhere it is locked until it is
            os.close(number)
            number = -1
        os.replace(part, target)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
    finally:
        if number >= 0:
            os.close(number)


def _open_part(target: str) -> tuple[int, str]:
    """Open an empty file beside another, which it will replace.

    It has the same name for the same target, so that a run that goes on uses up what a killed one left; where another
    process or thread is writing to that name, it is one of this thread's own.
    """
    folder, name = os.path.split(target)
    flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0)
    if os.name != "nt":
        import fcntl

        part = os.path.join(folder, f".captioner-{zlib.crc32(os.fsencode(name)):08x}.part")
        number = os.open(part, flags, 0o666)
        with suppress(OSError):
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(number), os.stat(part)):  # else it has just replaced its target
                os.ftruncate(number, 0)
                return number, part
        os.close(number)
    part = os.path.join(folder, f".captioner-{os.getpid()}-{threading.get_ident()}.part")
    return os.open(part, flags | os.O_TRUNC, 0o666), part


def reason(error: OSError) -> str:
    """What the system says, in lower case."""
    return os.strerror(error.errno).lower() if error.errno else str(error)
