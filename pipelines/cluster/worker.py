"""What one worker does: it loads a model once, and makes one shard of results after the other, whole or not at all.

Photos are decoded, captioned and made into rows by the work that the command does on one machine. Here they are only
brought to this machine, a few hundred ahead.
"""

import json
import os
import platform
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from captioner.data.addresses import file_system, patiently, write_address
from captioner.errors import CaptionerError, DataError
from captioner.pipelines.cluster.job import Job, versions
from captioner.pipelines.cluster.own_folder import own_folder
from captioner.pipelines.cluster.plan import Shard
from captioner.pipelines.cluster.results import Results, read_rows, results_of
from captioner.pipelines.cluster.staging import Repeated, Staged, staged
from captioner.pipelines.folder.inputs import shown
from captioner.pipelines.folder.made import check_made_by
from captioner.pipelines.folder.outputs import Outputs, Record, Writer
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.stages import prefetch


@dataclass(frozen=True)
class Expected:
    """What the driver has, so that a worker that has something else says so.

    Attributes:
        versions: of Python and the libraries that decide about rows.
        made_by: what makes rows.
    """

    versions: Mapping[str, str]
    made_by: Mapping[str, Any]


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
        self.folder = own_folder("worker")
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
                error = shown(str(reason))  # Ray takes no text with bytes that are no UTF-8
            except Exception as reason:  # a full disk, or whatever else; other shards may be made all the same
                where, what = shown(shard.shown or shard.name), f"{type(reason).__name__}: {reason}".splitlines()[0]
                error = f"{where}: cannot be made on {platform.node()} ({shown(what)})."
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
        try:
            self._write(shard, output, summary, frozenset())
        except Repeated as repeated:
            summary = Summary()
            self._write(shard, output, summary, repeated.earlier)
        return summary

    def _write(self, shard: Shard, output: str, summary: Summary, replaced: Collection[int]) -> None:
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            result = Path(folder) / "result"
            writer = results_of(self.job.shard_format, result, self.job.columns, self.job.text)
            files = staged(shard, self.job.suffixes, Path(folder), replaced)
            with closing(writer), closing(prefetch(files)) as groups:
                for group in groups:
                    self._do(group, writer, summary)
            write_address(output, result)

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
            if each.path is not None and Path(each.path).is_relative_to(self.folder):
                os.unlink(each.path)


class _Kept(Writer):
    """Keeps the records of a group, by path."""

    def __init__(self) -> None:
        super().__init__()
        self.records: dict[str, Record] = {}

    def write(self, records: Sequence[Record]) -> None:
        """Keep records."""
        self.records |= {record.path: record for record in records}


def _as_record(row: Mapping[str, Any]) -> Record:
    return Record(row["path"], error=row.get("error"), warning=row.get("warning"))


def _check_versions(expected: Mapping[str, str]) -> None:
    here = versions()
    other = [name for name in expected if here.get(name) != expected[name]]
    if other:
        said = ", ".join(f"{name} {here.get(name)}, but {expected[name]} on the driver" for name in other)
        raise DataError(f"this machine has {said}; rows would differ, so install the same versions everywhere.")
