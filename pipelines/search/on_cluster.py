"""`captioner search --cluster`: the cluster's workers look, and the driver puts what they saw into the one index.

Workers leave shards of rows in a folder that all machines reach. The driver takes each into the index, whole, and
removes it: the index alone says what is done. What a killed driver has left is taken by the next run if it still fits.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple, replace
from typing import Any

from rich.console import Console

from captioner.data.addresses import (
    explained,
    file_system,
    is_remote,
    joined,
    local_path,
    patiently,
)
from captioner.data.packed import is_archive
from captioner.errors import CaptionerError, DataError, UsageError
from captioner.models.packed import PackedShape
from captioner.pipelines.cluster.command import made_shards
from captioner.pipelines.cluster.job import Job, Work, everywhere
from captioner.pipelines.cluster.plan import Shard
from captioner.pipelines.cluster.results import read_rows
from captioner.pipelines.folder.command import run_folder_command
from captioner.pipelines.folder.inputs import Inputs, identity, shown
from captioner.pipelines.folder.made import Stamp, made_by, name_and_digest, stamp_of
from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.stderr import own_stderr
from captioner.pipelines.search.everywhere import find_here
from captioner.pipelines.search.held import Text, Texts
from captioner.pipelines.search.index import Index
from captioner.pipelines.search.options import SearchOptions
from captioner.pipelines.search.work import FRAMES, KIND, VERB, index_files, load_finder
from captioner.vision.images import SUFFIXES
from captioner.vision.video import VIDEO_SUFFIXES

_OURS = re.compile(r"seen-([0-9a-f]{16})\.jsonl(\.[0-9a-f]{8}\.part)?")


def look_on_cluster(options: SearchOptions, found: Inputs, index: Index, made_by: Mapping[str, Any]) -> int:
    """Have a cluster look at what an index lacks; returns the exit status.

    Args:
        options: of the command.
        found: the inputs.
        index: what takes what workers saw.
        made_by: what decides about the index.

    Raises:
        UsageError: it is not said where workers can leave what they saw.
        ClusterError: the cluster cannot be used.
    """
    folder = Folder(options, index, made_by)
    with own_stderr(silence_python=True) as stderr:  # Ray says much of its inner affairs
        console = Console(file=stderr)
        status = run_folder_command(
            found, Outputs([index]), folder.work, console, kind=KIND, verb=VERB, quiet=options.quiet
        )
        for reason in folder.lost:
            console.print(f"not looked at: {reason}", highlight=False, markup=False, soft_wrap=True)
    return status or int(bool(folder.lost))


def prepare(options: SearchOptions) -> Work:
    """Load the model; returns what looks at files and writes what it saw as rows."""
    finder = load_finder(options)
    text = Text(name_and_digest(options.model)[1], finder.shape, 0 if finder.config is None else finder.config.size)

    def work(todo: Sequence[str], outputs: Outputs, meter: Meter, summary: Summary) -> None:
        index_files(
            todo,
            finder,
            Outputs([_Rows(outputs, text)]),
            meter,
            summary,
            every=options.every,
            batch_size=options.batch_size,
            workers=options.workers or 1,
        )

    return work


class _Rows(Texts):
    """Rows from which an index is made: what was seen, in what shape, and the stamp of the file when it was."""

    def _with_text(self, record: Record) -> Record:
        record = super()._with_text(record)
        stamp = stamp_of(record.path)
        about = {"shape": astuple(self._text.shape), "size": self._text.size, "stamp": stamp and astuple(stamp)}
        return replace(record, fields={**record.fields, **about})


def rows_made_by(options: SearchOptions) -> dict[str, Any]:
    """What decides about what is seen."""
    return made_by({"model": options.model}, every=options.every, frames=FRAMES)


class Folder:
    """The folder of what workers saw until the index has it.

    Args:
        options: of the command.
        index: what takes it.
        made_by: what decides about the index.

    Attributes:
        lost: what could not be looked at, a sentence each.
    """

    def __init__(self, options: SearchOptions, index: Index, made_by: Mapping[str, Any]) -> None:
        if options.shards is None and options.cluster != "local":
            raise UsageError(
                f"--cluster {options.cluster}: name with --shards a folder that all its machines reach, at any "
                "address; what they see goes there until the index has it."
            )
        self.options = replace(options, model=everywhere(options.model))
        self.index = index
        address = options.shards or f"{index.path}.shards"
        self.address = address if is_remote(address) else os.path.abspath(local_path(address))
        self.lost: list[str] = []
        self._made_by = made_by

    def work(self, todo: Sequence[str], meter: Meter, summary: Summary) -> None:
        """Look at files and archives, and put what was seen into the index."""
        started = time.monotonic()
        archives = [path for path in todo if is_remote(path) and is_archive(path)]
        exclude = self.options.exclude or ()
        shards = {(name := self._name([path])): Shard(name, path, path, exclude) for path in archives}
        self._take_left(shards, set(todo), meter, summary)
        files = [path for path in todo if path not in set(archives) and self.index.holds(path) is None]
        for start in range(0, len(files), self.options.shard_size):
            names = files[start : start + self.options.shard_size]
            name = self._name(names)
            shards[name] = Shard(name, files=names, folder=os.getcwd())
        job = Job(
            self.options,
            prepare,
            rows_made_by,
            find_here,
            frozenset(SUFFIXES | VIDEO_SUFFIXES),
            {},
            text="looked",
            kind=KIND,
            verb=VERB,
        )
        if not is_remote(self.address):
            os.makedirs(self.address, exist_ok=True)
        left = [(shard, self._address(shard.name)) for shard in shards.values()]
        for shard, made in made_shards(job, rows_made_by(self.options), left) if left else ():
            if made.error:
                self._lose(made.error, meter)
            else:
                self.take(shard, meter, summary)
        summary.seconds = time.monotonic() - started
        if not is_remote(self.address):
            with suppress(OSError):  # it holds something else
                os.rmdir(self.address)

    def _take_left(self, shards: dict[str, Shard], todo: set[str], meter: Meter, summary: Summary) -> None:
        """Take what an earlier run has left, as far as it is of files as they are now; the rest goes."""
        for name in self._list():
            shard = shards.pop(name.removesuffix(".jsonl"), None)
            if shard is None and name.endswith(".jsonl"):
                with suppress(CaptionerError, ValueError):
                    names = [row["path"] for row in read_rows(joined(self.address, name))]
                    if set(names) <= todo and self._name(names) + ".jsonl" == name:
                        shard = Shard(self._name(names), files=names, folder=os.getcwd())
            if shard is None:
                self._remove(name)
            else:
                self.take(shard, meter, summary)

    def take(self, shard: Shard, meter: Meter, summary: Summary) -> None:
        """Put what was seen of a shard's files into the index, all or nothing, and remove it."""
        try:
            rows = patiently(lambda: list(read_rows(self._address(shard.name))))
            records = [self._record(row, shard) for row in rows]
        except CaptionerError as error:
            self._lose(f"{error} Each machine must reach {shown(self.address)}.", meter)
            return
        if shard.archive is not None:
            self.index.forget_inside(shard.archive)
            records.append(Record(shard.archive, stamp=self.index.told[shard.archive]))
        self.index.write(records)
        failed = summary.add(records[: len(rows)])
        meter.advance(1 if shard.archive is not None else len(records), failed)
        self._remove(f"{shard.name}.jsonl")

    def _record(self, row: Mapping[str, Any], shard: Shard) -> Record:
        stamp = self.index.told.get(shard.archive or row["path"])
        record = Record(row["path"], error=row.get("error"), warning=row.get("warning"), stamp=stamp)
        if record.error is not None:
            return record
        shape = PackedShape(*row["shape"])
        if self.index.shape != shape:
            self.index.set_shape(shape)
        record.picture = Text(self._made_by["model"], shape, row["size"]).read(row["looked"])
        if stamp is None and row["stamp"] is not None:
            record.stamp = Stamp(*row["stamp"])
        return record

    def _lose(self, reason: str, meter: Meter) -> None:
        self.lost.append(reason)
        meter.advance(1, 1)

    def _name(self, paths: Sequence[str]) -> str:
        """What a shard is called: a digest of what decides about it, so that one of files as they were is known."""
        about = [*self._made_by.items(), *((path, self.index.told.get(identity(path))) for path in paths)]
        text = json.dumps([(name, astuple(value) if isinstance(value, Stamp) else value) for name, value in about])
        return f"seen-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}"

    def _address(self, name: str) -> str:
        return joined(self.address, f"{name}.jsonl")

    def _list(self) -> list[str]:
        """Names of what workers have left.

        Raises:
            DataError: the folder cannot be listed.
        """
        system, path = file_system(self.address)
        try:
            with explained(self.address, "listed"):
                names = [str(each).rstrip("/").rpartition("/")[2] for each in system.ls(path, detail=False)]
        except DataError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return []
            raise
        return [name for name in names if _OURS.fullmatch(name)]

    def _remove(self, name: str) -> None:
        system, path = file_system(joined(self.address, name))
        with explained(joined(self.address, name), "removed"):
            system.rm_file(path)
