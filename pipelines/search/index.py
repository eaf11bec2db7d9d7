"""The index of a search: one SQLite file that belongs to a captioner and knows each photo and moment of its inputs.

Of a file it keeps the stamp by which a change is known, of a photo or a moment of a clip its vector and what a careful
ranking needs. It is brought up to date and never trusted beyond that: one of another model or a damaged one is built
anew. Captions are written when they are first shown, and kept.
"""

import json
import os
import sqlite3
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from typing import Any

import numpy as np

from captioner.data.addresses import is_remote
from captioner.data.packed import archive_above, is_archive, split
from captioner.errors import UsageError
from captioner.models.packed import PackedShape
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.made import Source, Stamp, stamp_of
from captioner.pipelines.folder.records import Record, Writer
from captioner.pipelines.folder.row_file import WriteError, reason
from captioner.pipelines.search.moments import Moments

_FORMAT = 1
_ABOUT = 0x63617074  # SQLite's application id, by which a foreign database is known
_WAIT = 600.0  # seconds for another process to finish a write
_SCHEMA = """
PRAGMA journal_mode = WAL;
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, location BLOB UNIQUE, size INTEGER, time INTEGER, checksum INTEGER, error TEXT,
    warning TEXT
);
CREATE TABLE moments (
    id INTEGER PRIMARY KEY, file INTEGER REFERENCES files, start REAL, end REAL, vector BLOB, caption TEXT
);
CREATE INDEX moments_of_files ON moments (file);
CREATE TABLE packed (moment INTEGER PRIMARY KEY, photo BLOB);
"""


class Index(Writer):
    """An index as an output of the folder pipeline: what it lacks is looked at and written to it.

    Args:
        path: of the file.
        made_by: what decides about its content: the captioner's digest, and how clips are divided.
        retry: files that failed are tried again.
        anew: what is there is dropped.

    Raises:
        UsageError: the file cannot be written, or is something else.

    Attributes:
        rebuilt: why what was there was dropped; None if it was not.
        told: stamps of files and archives at other addresses, as their storages tell now.
    """

    def __init__(self, path: str, made_by: Mapping[str, Any], *, retry: bool = False, anew: bool = False) -> None:
        super().__init__()
        self.path, self.retry = path, retry
        self.rebuilt: str | None = None
        self.told: Mapping[str, Stamp] = {}
        self._changed = set[str]()
        self._made_by = {"format": _FORMAT, **made_by}
        self._database = self._open(anew)
        self._sources: dict[str, tuple[int, Source, bool]] = {}
        self._by_size: defaultdict[int, list[str]] = defaultdict(list)
        rows = self._database.execute("SELECT id, location, size, time, checksum, error FROM files")
        for number, location, size, time, checksum, error in rows:
            name = os.fsdecode(location)
            stamp = None if size is None else Stamp(size, time, checksum)
            self._sources[name] = number, Source(name, stamp), error is not None
            if stamp is not None:
                self._by_size[stamp.size].append(name)

    @property
    def changed(self) -> int:
        """Files that are looked at again because they have changed."""
        return len(self._changed)

    def notes(self) -> list[str]:
        """What people should know of the index that was there."""
        return [f"{shown(self.path)}: {self.rebuilt}, so it is built anew"] if self.rebuilt else []

    def holds(self, path: str) -> bool | None:
        """Whether a file failed; None if it is new, or is to be looked at again."""
        location = identity(path)
        if location not in self._sources:
            self._follow(location)
        if location not in self._sources:
            return None
        _, source, failed = self._sources[location]
        changed = self.told[location] != source.stamp if location in self.told else source.has_changed()
        if changed:
            self._changed.add(location)
        return None if changed or (failed and self.retry) else failed

    def forget_gone(self, folders: Sequence[str]) -> None:
        """Forget the files that lay in these folders and are no longer there."""
        roots = tuple(
            os.path.join(identity(folder), "") for folder in folders if is_remote(folder) or os.path.isdir(folder)
        )
        gone = [name for name in self._sources if name.startswith(roots) and not self._lies(name)]
        if roots and gone:
            self._remove(gone)

    def forget_inside(self, archive: str) -> None:
        """Forget an archive at another address, and the files in it."""
        self._remove([archive, *self._inside({archive})] if archive in self._sources else list(self._inside({archive})))

    def write(self, records: Sequence[Record]) -> None:
        """Add files, each in the place of what was known of it.

        Raises:
            WriteError: the disk is full, or the like.
        """
        try:
            self._remove([name for record in records if (name := identity(record.path)) in self._sources])
            with self._database:
                for record in records:
                    self._add(record)
        except sqlite3.Error as error:
            raise WriteError(f"{shown(self.path)}: cannot be written ({error}); what it holds is whole.") from error
        self.done.update({identity(record.path): record.error is not None for record in records})

    def close(self) -> None:
        """Leave the file whole."""
        self._database.close()

    @property
    def shape(self) -> PackedShape | None:
        """Of the packed photos; None before there is any."""
        value = self._about("shape")
        return None if value is None else PackedShape(**json.loads(value))

    def set_shape(self, shape: PackedShape) -> None:
        """Say how photos are packed."""
        with self._database:
            self._database.execute("INSERT OR REPLACE INTO about VALUES ('shape', ?)", [json.dumps(shape.__dict__)])

    def moments(self, paths: Sequence[str]) -> Moments:
        """What is known of some files, of those that could be read; an archive elsewhere stands for those in it."""
        wanted = {self._sources[name][0]: path for path in paths if (name := identity(path)) in self._sources}
        archives = {path for path in paths if is_remote(path) and is_archive(path)}
        wanted |= {self._sources[name][0]: name for name in (self._inside(archives) if archives else ())}
        rows = [
            row
            for row in self._database.execute("SELECT id, file, start, end, vector FROM moments ORDER BY file, id")
            if row[1] in wanted
        ]
        vectors = np.frombuffer(b"".join(row[4] for row in rows), np.float16).astype(np.float32)
        return Moments(
            np.array([row[0] for row in rows], np.int64),
            [wanted[row[1]] for row in rows],
            [None if row[2] is None else (row[2], row[3]) for row in rows],
            vectors.reshape(len(rows), -1) if rows else np.zeros((0, 0), np.float32),
        )

    def packed(self, moments: Sequence[int]) -> list[bytes]:
        """Packed photos of some moments."""
        select = "SELECT photo FROM packed WHERE moment = ?"
        return [self._database.execute(select, [int(each)]).fetchone()[0] for each in moments]

    def captions(self, moments: Sequence[int]) -> list[str | None]:
        """Captions of some moments, as far as they are written."""
        select = "SELECT caption FROM moments WHERE id = ?"
        return [self._database.execute(select, [int(each)]).fetchone()[0] for each in moments]

    def keep_captions(self, captions: Mapping[int, str]) -> None:
        """Keep captions; an index that cannot be written just now goes without."""
        with suppress(sqlite3.Error), self._database:
            self._database.executemany(
                "UPDATE moments SET caption = ? WHERE id = ?", [(text, int(each)) for each, text in captions.items()]
            )

    def _add(self, record: Record) -> None:
        name = identity(record.path)
        stamp = record.stamp or stamp_of(record.path)
        cells = (None, None, None) if stamp is None else astuple(stamp)
        number = self._database.execute(
            "INSERT INTO files (location, size, time, checksum, error, warning) VALUES (?, ?, ?, ?, ?, ?)",
            [os.fsencode(name), *cells, record.error, record.warning],
        ).lastrowid
        for seen in record.picture or ():
            moment = self._database.execute(
                "INSERT INTO moments (file, start, end, vector) VALUES (?, ?, ?, ?)",
                [number, seen.start, seen.end, seen.vector],
            ).lastrowid
            self._database.execute("INSERT INTO packed VALUES (?, ?)", [moment, seen.packed])
        self._sources[name] = int(number or 0), Source(name, stamp), record.error is not None

    def _remove(self, names: Sequence[str]) -> None:
        with self._database:
            for name in names:
                number = [self._sources.pop(name)[0]]
                self._database.execute(
                    "DELETE FROM packed WHERE moment IN (SELECT id FROM moments WHERE file = ?)", number
                )
                self._database.execute("DELETE FROM moments WHERE file = ?", number)
                self._database.execute("DELETE FROM files WHERE id = ?", number)

    def _inside(self, archives: Collection[str]) -> Iterator[str]:
        """Files in archives at other addresses."""
        return (name for name in self._sources if is_remote(name) and archive_above(name) in archives)

    def _lies(self, location: str) -> bool:
        """Whether a file, or the archive that it is in, is there."""
        if is_remote(location):
            return location in self.told or archive_above(location) in self.told
        parts = split(location)
        return os.path.lexists(location if parts is None else parts[0])

    def _follow(self, location: str) -> None:
        """A file that has moved, perhaps with all its folder, keeps what is known of it."""
        try:
            size = os.stat(location).st_size
        except (OSError, ValueError):
            return
        for old in self._by_size.get(size, ()):
            if old in self._sources and self._sources[old][1].has_moved_to(location):
                number, source, failed = self._sources.pop(old)
                self._sources[location] = number, Source(location, source.stamp), failed
                self._by_size[size].append(location)
                with self._database:
                    self._database.execute(
                        "UPDATE files SET location = ? WHERE id = ?", [os.fsencode(location), number]
                    )
                return

    def _about(self, name: str) -> str | None:
        row = self._database.execute("SELECT value FROM about WHERE name = ?", [name]).fetchone()
        return None if row is None else str(row[0])

    def _open(self, anew: bool) -> sqlite3.Connection:
        """The database, made where there is none or another one.

        Raises:
            UsageError: it cannot be written, or is no index.
        """
        check_index(self.path)
        self._database = self._connect()
        try:
            number = self._database.execute("PRAGMA application_id").fetchone()[0]
            made_by = None if number != _ABOUT else json.loads(self._about("made_by") or "{}")
        except (sqlite3.DatabaseError, ValueError):
            made_by = None
            self.rebuilt = "is damaged"
        if made_by is not None and made_by != self._made_by:
            self.rebuilt = "was built with another model or other options"
        if anew or made_by != self._made_by:
            self._database.close()
            for suffix in ("", "-wal", "-shm"):
                with suppress(FileNotFoundError):
                    os.unlink(self.path + suffix)
            self._database = self._connect()
            self._database.executescript(f"PRAGMA application_id = {_ABOUT};{_SCHEMA}")
            with self._database:
                self._database.execute("INSERT INTO about VALUES ('made_by', ?)", [json.dumps(self._made_by)])
        return self._database

    def _connect(self) -> sqlite3.Connection:
        try:
            return sqlite3.connect(self.path, timeout=_WAIT, check_same_thread=False)
        except sqlite3.OperationalError as error:
            raise UsageError(f"{shown(self.path)}: cannot be written ({error}); choose another --index.") from error


def check_index(path: str) -> None:
    """See that a file, if it is there, is an index or what is left of one, before anything is written beside it.

    Raises:
        UsageError: it is something else, cannot be read, or is to lie in a folder that is not there.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(72)
    except FileNotFoundError:
        folder = os.path.dirname(os.path.abspath(path))
        if not os.path.isdir(folder):
            raise UsageError(
                f"{shown(path)}: there is no folder {shown(folder)}; make it, or choose another --index."
            ) from None
        return
    except OSError as error:
        raise UsageError(f"{shown(path)}: cannot be read ({reason(error)}); choose another --index.") from error
    if head and not head.startswith(b"SQLite"):
        raise UsageError(f"{shown(path)}: is no index of a search; choose another --index.")
    if len(head) == 72 and int.from_bytes(head[68:], "big") != _ABOUT:  # SQLite's application id
        raise UsageError(f"{shown(path)}: is a database of another program; choose another --index.")
