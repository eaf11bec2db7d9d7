"""Which shards of results there are to be, which of them a folder holds already, and which are left to do."""

import hashlib
import json
import os
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.data.addresses import explained, file_system, is_remote, joined, local_path, read_address, write_address
from captioner.errors import DataError, UsageError
from captioner.pipelines.cluster.inputs import Found
from captioner.pipelines.cluster.results import ABOUT, COUNTS, OURS, read_rows
from captioner.pipelines.folder.inputs import as_text, shown
from captioner.pipelines.folder.made import check_made_by
from captioner.pipelines.folder.outputs import to_json

_PART = re.compile(r".+\.[0-9a-f]{8}\.part")


@dataclass(frozen=True)
class Shard:
    """A shard of results that is to be made.

    Attributes:
        name: of its file, without the suffix.
        archive: the address whose files it is about; None for `files`.
        shown: the archive as rows call it.
        exclude: patterns of names in the archive to be passed over.
        files: names as rows call them.
        folder: in which the command was given, for names that are relative paths.
        replaces: the files of older shards of the same archive, which has changed since.
    """

    name: str
    archive: str | None = None
    shown: str = ""
    exclude: Sequence[str] = ()
    files: Sequence[str] = ()
    folder: str = ""
    replaces: Sequence[str] = ()


@dataclass
class Plan:
    """What is left to do.

    Attributes:
        todo: shards that are to be made.
        before: the files of those that are there already.
        failed: how many of those are made again because something in them had failed.
    """

    todo: list[Shard] = field(default_factory=list)
    before: list[str] = field(default_factory=list)
    failed: int = 0


class ResultFolder:
    """A folder of shards of results at any address.

    Args:
        address: of the folder.
        suffix: of its shards, with the dot.
        made_by: what makes the rows.

    Raises:
        UsageError: the folder holds something else, or results that were made otherwise.
        DataError: it cannot be listed or written.
    """

    def __init__(self, address: str, suffix: str, made_by: Mapping[str, Any], *, overwrite: bool) -> None:
        self.address, self.suffix = address if is_remote(address) else os.path.abspath(local_path(address)), suffix
        self.about: dict[str, Any] = {"made_by": {**made_by, "shards": suffix[1:]}, "in": os.getcwd()}
        names = set(self._list())
        self.parts = [name for name in names if _PART.fullmatch(name)]
        if ABOUT in names:
            self.before: dict[str, Any] = self._read_about()
        elif any(OURS.fullmatch(os.path.splitext(name)[0]) for name in names - set(self.parts)) or (
            names - set(self.parts) and not overwrite
        ):
            raise UsageError(f"{address}: holds other files, and no {ABOUT}; choose another output, a new folder.")
        else:
            self.before = {}
        self._old: list[str] = []
        if overwrite:
            if self.before:
                self._old = sorted(name for name in names if OURS.fullmatch(os.path.splitext(name)[0]))
            self.before = {}
        elif self.before:
            check_made_by(address, self.before["made_by"], self.about["made_by"])
        self.names = {name for name in names if name.endswith(suffix)} if self.before else set()

    def begin(self) -> None:
        """Make the folder ready for results: what is to be made again goes, and what makes the results is written.

        Raises:
            DataError: it cannot be written.
        """
        for name in self._old:
            self.remove(name)
        if not self.before:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / ABOUT
                path.write_bytes(to_json(self.about) + b"\n")
                if not is_remote(self.address):
                    with explained(self.address, "written"):
                        os.makedirs(self.address, exist_ok=True)
                write_address(joined(self.address, ABOUT), path)

    def plan(self, found: Found, size: int, exclude: Sequence[str], *, retry: bool) -> Plan:
        """What is left to do.

        Raises:
            UsageError: names of files are relative to another folder than those of the rows that are there.

        Args:
            found: the inputs.
            size: files of a shard where the inputs are no archives.
            exclude: patterns of names in archives to be passed over.
            retry: shards in which something had failed are made again.
        """
        plan = Plan()
        folder = self.before.get("in", os.getcwd())
        relative = next((name for name in found.files if not (is_remote(name) or os.path.isabs(name))), None)
        if relative is not None and folder != os.getcwd():
            raise UsageError(
                f"{self.address}: its rows have paths that are relative to {folder}, as {shown(relative)} is to "
                f"{os.getcwd()}; run the command there, or choose another output."
            )
        if retry:
            for name in sorted(self.names):
                if any("error" in row for row in read_rows(joined(self.address, name))):
                    self._old.append(name)
                    self.names.discard(name)
                    plan.failed += 1
        held: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        for each, match in self._ours():
            held[match["stem"], match["source"]].append(each)
        for address, archive in found.archives.items():
            stem, source = _stem(address), _digest(address, 6)
            name = f"{stem}.{source}-{_digest(chr(0).join([archive.mark, *exclude]), 6)}"
            older = [each for each in held.get((stem, source), ()) if each != name + self.suffix]
            if name + self.suffix in self.names:
                plan.before.append(name + self.suffix)
                self._old += older  # of a driver that was killed before it could remove them
            else:
                plan.todo.append(
                    Shard(
                        name,
                        address,
                        archive.name,
                        exclude,
                        folder=os.getcwd(),
                        replaces=older,
                    )
                )
        plan.todo += self._plan_files(found.files, size, plan)
        return plan

    def address_of(self, shard: Shard) -> str:
        """Where a shard of results goes."""
        return joined(self.address, shard.name + self.suffix)

    def count_failures(self, plan: Plan, new: Mapping[str, int]) -> tuple[int, list[str]]:
        """How many files had failed in the shards that were there already; and a sentence on each that is damaged.

        Counts are kept beside the shards, so that each shard is read once at most, and none that is counted when made.

        Args:
            plan: says which shards these are.
            new: counts of shards that have been made now, by their names.
        """
        kept = self._kept_counts()
        counts = {name: count for name, count in kept.items() if name in self.names}
        damaged = []
        for name in plan.before:
            if name not in counts:
                try:
                    counts[name] = sum("error" in row for row in read_rows(joined(self.address, name)))
                except DataError as error:  # the work is done by now, and told
                    reason = str(error).rstrip(".")
                    damaged.append(f"{reason}; if it is damaged, remove it, and the same command makes it again.")
        failed = sum(counts.get(name, 0) for name in plan.before)
        counts |= {name + self.suffix: count for name, count in new.items()}
        if counts != kept:
            with tempfile.TemporaryDirectory() as folder, suppress(DataError):  # they can be counted again
                path = Path(folder) / COUNTS
                path.write_bytes(to_json(counts) + b"\n")
                write_address(joined(self.address, COUNTS), path)
        return failed, damaged

    def _kept_counts(self) -> dict[str, int]:
        try:
            with explained(joined(self.address, COUNTS)):
                kept = json.loads(read_address(joined(self.address, COUNTS)))
            return {str(name): int(count) for name, count in kept.items()}
        except (DataError, ValueError, TypeError, AttributeError):
            return {}

    def remove(self, name: str) -> None:
        """Remove a file of the folder."""
        system, path = file_system(joined(self.address, name))
        with explained(joined(self.address, name), "removed"):
            system.rm_file(path)

    def _plan_files(self, files: Sequence[str], size: int, plan: Plan) -> list[Shard]:
        there = {name for name, match in self._ours() if match["number"]}
        shards = list(_file_shards(files, size, 0))
        if there <= {shard.name + self.suffix for shard in shards}:  # the usual case: nothing has come or gone
            plan.before += sorted(there)
            return [shard for shard in shards if shard.name + self.suffix not in there]
        folder = self.before.get("in", "")
        # names in bytes that are no UTF-8 stand in Parquet as people see them
        rows = (row for name in there for row in read_rows(joined(self.address, name)))
        done = {as_text(location(folder, row["path"])) for row in rows}
        left = [name for name in files if as_text(location(os.getcwd(), name)) not in done]
        following = 1 + max(int(match["number"]) for name, match in self._ours() if match["number"])
        plan.before += sorted(there)
        return list(_file_shards(left, size, following))

    def _ours(self) -> Iterator[tuple[str, re.Match[str]]]:
        for name in sorted(self.names):
            if match := OURS.fullmatch(name.removesuffix(self.suffix)):
                yield name, match

    def _list(self) -> list[str]:
        system, path = file_system(self.address)
        try:
            with explained(self.address, "listed"):
                entries = system.ls(path, detail=False)
        except DataError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return []
            if not isinstance(error.__cause__, NotADirectoryError):
                raise
            entries = [path]
        if [entry.rstrip("/") for entry in entries] == [path.rstrip("/")] and not system.isdir(path):
            raise UsageError(f"{self.address}: a file; with --cluster the output is a folder, for a file a shard.")
        names = [entry.rstrip("/").rpartition("/")[2] for entry in entries if entry.rstrip("/") != path.rstrip("/")]
        return [name for name in names if name]

    def _read_about(self) -> dict[str, Any]:
        address = joined(self.address, ABOUT)
        try:
            with explained(address):
                about = json.loads(read_address(address))
            return {"made_by": dict(about["made_by"]), "in": str(about["in"])}
        except (ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{address}: does not tell what made the results here; choose another output.") from error


def location(folder: str, name: str) -> str:
    """Where a file lies that a row calls by a path relative to a folder, or by its address."""
    address = joined(folder, name)
    return address if is_remote(address) else os.path.normpath(address)


def _file_shards(files: Sequence[str], size: int, first: int) -> Iterator[Shard]:
    for number, start in enumerate(range(0, len(files), size), first):
        names = files[start : start + size]
        yield Shard(f"files-{number:06}.{_digest(chr(0).join(names), 12)}", files=names, folder=os.getcwd())


def _stem(address: str) -> str:
    """A file's name without suffixes such as `.tar.gz`, and without what storages do not like in names."""
    name = address.rpartition("/")[2].partition("?")[0]
    return re.sub(r"[^\w.-]", "_", os.path.splitext(name.removesuffix(".gz"))[0])


def _digest(text: str, length: int) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=8).hexdigest()[:length]
