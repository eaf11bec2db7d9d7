"""What one worker does: it loads a model once, and makes one shard of results after the other, whole or not at all.

Photos are decoded, captioned and made into rows by the work that the command does on one machine. Here they are only
brought to this machine, a few hundred ahead.
"""

import json
import os
import platform
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from captioner.data.addresses import (
    file_system,
    is_remote,
    joined,
    open_address,
    patiently,
    read_address,
    write_address,
)
from captioner.data.archives import Member, read_members
from captioner.data.parquet import open_parquet, path_column, photo_column
from captioner.errors import CaptionerError, DataError
from captioner.pipelines.cluster.job import Job, versions
from captioner.pipelines.cluster.plan import Shard, location
from captioner.pipelines.cluster.results import Results, read_rows, results_of
from captioner.pipelines.folder.made import check_made_by
from captioner.pipelines.folder.outputs import Outputs, Record, Writer
from captioner.pipelines.folder.packed_inputs import is_hidden, is_left_out
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.stages import in_threads, prefetch

_FIRST = 64  # files of a shard that are brought to this machine first, while the model waits
GROUP = 256  # files after that, while it works
_LARGEST_GROUP = 256 << 20  # bytes
_REQUESTS = 8  # at a time


@dataclass(frozen=True)
class Expected:
    """What the driver has, so that a worker that has something else says so.

    Attributes:
        versions: of Python and the libraries that decide about rows.
        made_by: what makes rows.
    """

    versions: Mapping[str, str]
    made_by: Mapping[str, Any]


@dataclass(frozen=True)
class Staged:
    """A file on this machine, or the reason why it is not here.

    Attributes:
        name: as its row calls it.
        path: where it lies; None if there is an error.
        error: why it cannot be read.
    """

    name: str
    path: str | None = None
    error: str | None = None


class ShardWorker:
    """A callable: a shard that is to be made in, what became of it out.

    Args:
        job: what to do.
        expected: what the driver has.
        threads: that the worker may use.
        device: where the models go.
    """

    def __init__(self, job: Job, expected: Expected, threads: int, device: str = "cpu") -> None:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        self.job = job
        self.refusal: str | None = None
        self.folder = _own_folder()
        options = replace(job.options, outputs=None, workers=threads, device=device)
        try:
            _check_versions(expected.versions)
            check_made_by("the cluster", expected.made_by, job.made_by(job.options))
            self.work = job.prepare(options)
        except CaptionerError as error:
            self.refusal = f"{platform.node()}: {error}"

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make a shard of results.

        Args:
            row: `shard`, a `Shard` as JSON, and `output`, the address of its results.

        Returns:
            `name` of the shard, `summary` of its files as JSON, `error` if it was not made, and `refusal` if this
            worker can make none.
        """
        shard = Shard(**json.loads(row["shard"]))
        summary = Summary()
        error = ""
        if self.refusal is None:
            try:
                summary = patiently(lambda: self._make(shard, row["output"]))
            except CaptionerError as reason:
                error = str(reason)
        return {
            "name": shard.name,
            "summary": json.dumps(vars(summary)),
            "error": error,
            "refusal": self.refusal or "",
        }

    def _make(self, shard: Shard, output: str) -> Summary:
        summary = Summary()
        system, path = file_system(output)
        if system.exists(path):  # made by a worker whose machine was lost before it could tell
            summary.add([_as_record(row) for row in read_rows(output)])
            return summary
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            result = Path(folder) / "result"
            writer = results_of(self.job.shard_format, result, self.job.columns, self.job.text)
            with closing(writer), closing(prefetch(_staged(shard, self.job.suffixes, Path(folder)))) as groups:
                for group in groups:
                    self._do(group, writer, summary)
            write_address(output, result)
        return summary

    def _do(self, group: Sequence[Staged], results: Results, summary: Summary) -> None:
        """Caption a group, and write its records in order."""
        kept = _Kept()
        paths = [each.path for each in group if each.path is not None]
        if paths:
            part = Summary()
            # progress is shown by the driver, a shard at a time
            self.work(paths, Outputs([kept]), Meter(len(paths), self.job.kind, Console(quiet=True), quiet=True), part)
            summary.seconds += part.seconds
        records = []
        for each in group:
            if each.path is None:
                records.append(Record(each.name, error=each.error))
            else:
                records.append(replace(kept.records[each.path], path=each.name))
            results.add(records[-1], None if each.path is None else Path(each.path))
        summary.add(records)
        for each in group:
            if each.path is not None and each.path.startswith(str(self.folder)):
                os.unlink(each.path)


class _Kept(Writer):
    """Keeps the records of a group, by path."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, Record] = {}

    def write(self, records: Sequence[Record]) -> None:
        """Keep records."""
        self.records |= {record.path: record for record in records}


def _staged(shard: Shard, suffixes: frozenset[str], folder: Path) -> Iterator[list[Staged]]:
    """The files of a shard, brought to this machine group by group."""
    group: list[Staged] = []
    size, wanted = 0, _FIRST
    for each in _bring(shard, suffixes, folder):
        group.append(each)
        size += 0 if each.path is None else os.path.getsize(each.path) if os.path.exists(each.path) else 0
        if len(group) == wanted or size > _LARGEST_GROUP:
            yield group
            group, size, wanted = [], 0, GROUP
    if group:
        yield group


def _bring(shard: Shard, suffixes: frozenset[str], folder: Path) -> Iterator[Staged]:
    if shard.archive is None:
        yield from _fetched(((name, location(shard.folder, name)) for name in shard.files), folder)
        return
    with open_address(shard.archive) as file:
        if shard.archive.lower().endswith(".parquet"):
            with open_parquet(file, shard.shown) as parquet:
                if photo_column(parquet) is None:
                    yield from _fetched(listed_in(parquet, shard), folder)
                    return
            file.seek(0)
        for number, member in enumerate(read_members(file, shard.shown, suffixes=suffixes)):
            if not (is_hidden(member.name) or is_left_out(member.name, shard.exclude)):
                yield _unpacked(member, f"{shard.shown}/{member.name}", folder / f"{number:08}")


def listed_in(parquet: Any, shard: Shard) -> Iterator[tuple[str, str]]:
    """The files that a Parquet file names relative to its own folder: what rows call them, and where they lie.

    Raises:
        DataError: no column holds names.
    """
    column = path_column(parquet)
    if column is None:
        raise DataError(f"{shard.shown}: no column holds photos, or is called path, image or file_name.")
    base, shown = str(shard.archive).rpartition("/")[0], os.path.dirname(shard.shown)
    for batch in parquet.iter_batches(columns=[column]):
        for name in batch.column(0).to_pylist():
            if name:
                yield joined(shown, name), location(base, name)


def _unpacked(member: Member, name: str, path: Path) -> Staged:
    if member.error is not None:
        return Staged(name, error=member.error)
    return _stored(member.data, name, path)


def _fetched(files: Iterable[tuple[str, str]], folder: Path) -> Iterator[Staged]:
    """Files by name and address; those on this machine stay where they are."""
    numbered = ((name, address, folder / f"{number:08}") for number, (name, address) in enumerate(files))
    yield from in_threads(lambda each: _fetch(*each), numbered, workers=_REQUESTS, waiting=2 * _REQUESTS)


def _fetch(name: str, address: str, path: Path) -> Staged:
    if not is_remote(address):
        return Staged(name, address)
    try:
        return _stored(read_address(address), name, path)
    except FileNotFoundError:
        return Staged(name, error="cannot be read (no such file or directory)")
    except PermissionError:
        return Staged(name, error="cannot be read (permission denied)")


def _stored(data: bytes, name: str, path: Path) -> Staged:
    path = path.with_suffix(os.path.splitext(name)[1].lower())
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); a worker needs room for some files.") from error
    return Staged(name, str(path))


def _as_record(row: Mapping[str, Any]) -> Record:
    return Record(row["path"], error=row.get("error"), warning=row.get("warning"))


def _check_versions(expected: Mapping[str, str]) -> None:
    here = versions()
    other = [name for name in expected if here.get(name) != expected[name]]
    if other:
        said = ", ".join(f"{name} {here.get(name)}, but {expected[name]} on the driver" for name in other)
        raise DataError(f"this machine has {said}; rows would differ, so install the same versions everywhere.")


def _own_folder() -> Path:
    """A folder for files on their way; those of workers that were killed go."""
    root = Path(tempfile.gettempdir())
    for folder in root.glob("captioner-worker-*"):
        number = folder.name.rpartition("-")[2]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)
    own = root / f"captioner-worker-{os.getpid()}"
    own.mkdir(exist_ok=True)
    return own
