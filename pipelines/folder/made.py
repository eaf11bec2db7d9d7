"""What made an output's rows: beside `captions.jsonl` lies `captions.jsonl.made`; the rows stay as people parse them.

Its first line tells version, model and options, and the folder in which the command ran; each further line, of one row,
by what path the row calls its file, the file's size, time and checksum when it was read, and where it lies, unless that
is the path in the folder. So photos with equal names in different folders are told apart, a file that has
changed is done again, and rows of another model or other options are never mixed in.
"""

import hashlib
import json
import os
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, Any

from captioner import __version__
from captioner.data.packed import open_packed, split
from captioner.errors import DataError, UsageError
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.row_file import WriteError, reason, replace_file
from captioner.vision import checksums


@dataclass(frozen=True)
class Stamp:
    """By which a file that has changed is known.

    Attributes:
        size: in bytes.
        time: of its last change, in nanoseconds.
        checksum: of its first and last bytes, or of all where these do not tell; compressed pictures differ there.
    """

    size: int
    time: int
    checksum: int


def stamp_of(path: str) -> Stamp | None:
    """A file's stamp, also of one in an archive; None if it cannot be read."""
    parts = split(path)
    try:
        if parts is not None:
            packed = open_packed(parts[0])
            size, checksum = packed.stamp(parts[1])
            return Stamp(size, os.stat(parts[0]).st_mtime_ns, checksum)
        return Stamp(*checksums.stamp(path))
    except (OSError, ValueError, KeyError, DataError):
        return None


@dataclass(frozen=True)
class Source:
    """The file that a row is of.

    Attributes:
        location: its absolute path.
        stamp: when it was read; None if it could not be.
    """

    location: str
    stamp: Stamp | None

    def has_changed(self) -> bool:
        """Whether the file has another content now; one that is gone or that cannot be read has not changed."""
        parts = split(self.location)
        try:
            status = os.stat(self.location if parts is None else parts[0])
        except (OSError, ValueError):  # gone, or a pattern of numbered frames
            now = stamp_of(self.location)
            return now is not None and not _same(self.stamp, now)
        same_size = self.stamp is not None and (parts is not None or self.stamp.size == status.st_size)
        if self.stamp is not None and self.stamp.time == status.st_mtime_ns and same_size:
            return False
        return not _same(self.stamp, stamp_of(self.location))

    def has_moved_to(self, path: str) -> bool:
        """Whether this very file, by its content, lies at another path now, and no longer where it was."""
        return self.stamp is not None and not _lies(self.location) and _same(self.stamp, stamp_of(path))


def _lies(path: str) -> bool:
    """Whether there is anything at a path, which may be one in an archive, or a pattern of numbered frames."""
    return os.path.lexists(path) or stamp_of(path) is not None


def _same(one: Stamp | None, other: Stamp | None) -> bool:
    """Whether content is the same; the time says nothing, as copying and synchronising change it."""
    if one is None or other is None:
        return one is other
    return (one.size, one.checksum) == (other.size, other.checksum)


class Journal:
    """The file that tells what made an output's rows.

    Args:
        output: the output's path.
        made_by: what makes its rows from now on: names and values; models as `name@digest`.

    Raises:
        UsageError: the file is there, but is no such file.
    """

    def __init__(self, output: str, made_by: Mapping[str, Any]) -> None:
        self.output, self.path, self.made_by = output, f"{output}.made", dict(made_by)
        self.before: dict[str, Any] | None = None
        self._sources: defaultdict[Any, deque[Source]] = defaultdict(deque)
        self._file: IO[bytes] | None = None
        self._folder = os.getcwd()
        self._read()

    def check(self) -> None:
        """See that the rows that are there were made as rows will be made now.

        Raises:
            UsageError: they were not; it says in what they differ.
        """
        if self.before is not None:
            check_made_by(self.output, self.before, self.made_by)

    def take(self, name: Any) -> Source | None:
        """The source of the next row that has this name (its path as typed, or its image id); None if unknown."""
        waiting = self._sources.get(name)
        return waiting.popleft() if waiting else None

    def begin(self, kept: Iterable[tuple[Any, Source]]) -> None:
        """Begin the file anew with the rows that are kept; more can be added.

        Raises:
            WriteError: it cannot be written.
        """
        self._folder = os.getcwd()
        head = f"{json.dumps({'made_by': self.made_by, 'in': self._folder})}\n".encode()
        try:
            replace_file(self.path, [head, *(self._line(name, source) for name, source in kept)])
            self._file = open(self.path, "ab", buffering=0)  # noqa: SIM115 - stays open until close
        except OSError as error:
            raise self._cannot(error) from error

    def add(self, rows: Sequence[tuple[Any, Source]]) -> None:
        """Tell of rows that are about to be written.

        Raises:
            WriteError: it cannot be written.
        """
        assert self._file is not None, "begin first"
        try:
            self._file.write(b"".join(self._line(name, source) for name, source in rows))
        except OSError as error:
            raise self._cannot(error) from error

    def close(self) -> None:
        """Finish the file."""
        if self._file is not None:
            self._file.close()

    def _line(self, name: Any, source: Source) -> bytes:
        stamp = [] if source.stamp is None else astuple(source.stamp)
        usual = isinstance(name, str) and os.path.normpath(os.path.join(self._folder, name)) == source.location
        return f"{json.dumps([name, *stamp, None if usual else source.location])}\n".encode()

    def _cannot(self, error: OSError) -> WriteError:
        return WriteError(
            f"{shown(self.path)}: cannot be written ({reason(error)}). The rows of {shown(self.output)} are whole; "
            "run the same command again to continue."
        )

    def _read(self) -> None:
        try:
            with open(self.path, "rb") as file:
                first = _parsed(file.readline())
                if first is None or not isinstance(first.get("made_by"), dict):
                    raise UsageError(
                        f"{shown(self.path)}: does not tell what made {shown(self.output)}, as its name says; move it "
                        "away, or choose another output."
                    )
                self.before = first["made_by"]
                for name, source in _sources(file, str(first.get("in", "/"))):
                    self._sources[name].append(source)
        except FileNotFoundError:
            return
        except OSError as error:
            raise UsageError(f"{shown(self.path)}: cannot be read ({reason(error)}).") from error


def check_made_by(output: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """See that an output's rows were made as rows will be made now.

    Raises:
        UsageError: they were not; it says in what they differ.
    """
    names = [*before, *(name for name in now if name not in before)]
    other = [name for name in names if _value(before.get(name)) != _value(now.get(name))]
    if other:
        then, made_now = (", ".join(f"{name} {_said(made.get(name))}" for name in other) for made in (before, now))
        raise UsageError(
            f"{shown(output)}: its rows were made with {then}, and now it is {made_now}; they are not mixed: "
            "choose another output, or --overwrite."
        )


def locations(output: str, names: Sequence[str]) -> list[str]:
    """Where the files of an output's rows lie, by the paths that all its rows name, in order."""
    journal = Journal(output, {})
    sources = [(name, journal.take(name)) for name in names]
    return [identity(name) if source is None else source.location for name, source in sources]


def made_by(models: Mapping[str, str | None], **options: Any) -> dict[str, Any]:
    """What makes rows: this version, models and options.

    Args:
        models: names or folders by option; None where there is none.
        options: those that change what rows say.

    Raises:
        ModelError: there is no such model.
    """
    named = {option: None if model is None else "@".join(name_and_digest(model)) for option, model in models.items()}
    return {"captioner": __version__, **named, **options}


def name_and_digest(model: str) -> tuple[str, str]:
    """The last part of a model's name, and a digest of all that makes its answers.

    Raises:
        ModelError: there is no such model.
    """
    from captioner.models.base import find

    digest = hashlib.sha256()
    for file in sorted(find(model).iterdir()):
        if file.suffix in (".json", ".safetensors"):
            digest.update(file.read_bytes())
    return Path(model).name, digest.hexdigest()[:8]


def asked_of(model: str, key: str) -> dict[str, Any]:
    """A part of a model's configuration, unchecked; nothing where it has none.

    Raises:
        ModelError: there is no such model.
    """
    from captioner.models.base import find

    values = _parsed((find(model) / "config.json").read_bytes()) or {}
    found = values.get(key)
    return found if isinstance(found, dict) else {}


def _sources(lines: Iterable[bytes], folder: str) -> Iterator[tuple[Any, Source]]:
    for line in lines:
        try:
            name, *stamp, location = json.loads(line)
            if not isinstance(name, str | int):
                continue
            source = Source(
                location or os.path.normpath(os.path.join(folder, str(name))), Stamp(*stamp) if stamp else None
            )
        except (ValueError, TypeError, RecursionError):  # the last line may be unfinished
            continue
        yield name, source


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _value(value: Any) -> Any:
    """What of a value counts: of a model its digest, wherever the model lies."""
    return value.rpartition("@")[2] if isinstance(value, str) else value


def _said(value: Any) -> str:
    return "none" if value is None else str(value)
