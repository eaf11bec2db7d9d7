"""The files of a shard on their way to a worker's machine: a few hundred ahead of the work."""

import os
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.data.addresses import is_remote, joined, open_address, patiently, read_address, without_query
from captioner.data.archives import Member, read_members
from captioner.data.parquet import open_parquet, path_column, photo_column
from captioner.data.photo_lists import located
from captioner.errors import DataError
from captioner.pipelines.cluster.plan import Shard, location
from captioner.pipelines.folder.packed_inputs import is_hidden, is_left_out
from captioner.pipelines.folder.stages import in_threads

_FIRST = 64  # files of a shard that are brought to this machine first, while the model waits
GROUP = 256  # files after that, while it works
_LARGEST_GROUP = 256 << 20  # bytes
_REQUESTS = 8  # at a time
_WEB = ("http://", "https://", "ftp://")  # where each file may be on a server of its own, one of them gone for ever
_SUFFIX = re.compile(r"\.[0-9a-z]{1,10}")  # of files that are brought here; by it clips are known


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


class Repeated(Exception):
    """Several files of an archive have one name, of which the last counts.

    Args:
        earlier: numbers of the others.
    """

    def __init__(self, earlier: Collection[int]) -> None:
        super().__init__()
        self.earlier = earlier


def staged(shard: Shard, suffixes: Collection[str], folder: Path, replaced: Collection[int]) -> Iterator[list[Staged]]:
    """The files of a shard, brought to this machine group by group.

    Args:
        shard: of which the files are.
        suffixes: of those that are wanted in archives.
        folder: for files that are brought.
        replaced: numbers of files in its archive that later ones of the same names replace.

    Raises:
        Repeated: there are such files, beyond those.
        DataError: the archive or a storage cannot be read.
    """
    group: list[Staged] = []
    size, wanted = 0, _FIRST
    for each in _bring(shard, suffixes, folder, replaced):
        group.append(each)
        size += 0 if each.path is None else os.path.getsize(each.path) if os.path.exists(each.path) else 0
        if len(group) == wanted or size > _LARGEST_GROUP:
            yield group
            group, size, wanted = [], 0, GROUP
    if group:
        yield group


def _bring(shard: Shard, suffixes: Collection[str], folder: Path, replaced: Collection[int]) -> Iterator[Staged]:
    if shard.archive is None:
        yield from _fetched(((name, location(shard.folder, name)) for name in shard.files), folder)
        return
    latest: dict[str, int] = {}
    earlier: set[int] = set()
    with open_address(shard.archive) as file:
        if without_query(shard.archive).lower().endswith(".parquet"):
            with open_parquet(file, shard.shown) as parquet:
                if photo_column(parquet) is None:
                    yield from _fetched(listed_in(parquet, shard), folder)
                    return
            file.seek(0)
        for number, member in enumerate(read_members(file, shard.shown, suffixes=suffixes)):
            if number in replaced:
                continue
            if member.name in latest:
                earlier.add(latest[member.name])
            latest[member.name] = number
            # nobody needs the rest of a shard that is to be made again
            if not earlier and (member.error or not _passed_over(member.name, shard.exclude)):
                yield _unpacked(member, f"{shard.shown}/{member.name}", folder / f"{number:08}")
    if earlier:
        raise Repeated(earlier)


def _passed_over(name: str, exclude: Sequence[str]) -> bool:
    return is_hidden(name) or is_left_out(name, exclude)


def listed_in(parquet: Any, shard: Shard) -> Iterator[tuple[str, str]]:
    """The files that a Parquet file names relative to its own folder: what rows call them, and where they lie.

    Raises:
        DataError: no column holds names.
    """
    column = path_column(parquet)
    if column is None:
        raise DataError(f"{shard.shown}: no column holds photos, or is called path, image or file_name.")
    archive, folder = str(shard.archive), os.path.dirname(shard.shown)
    names: dict[str, str] = {}  # each file once
    for batch in parquet.iter_batches(columns=[column]):
        for value in filter(None, ((value or "").strip() for value in batch.column(0).to_pylist())):
            if is_remote(archive):
                names.setdefault(location(os.path.dirname(archive), value), joined(folder, value))
            else:
                name = located(value, folder, shard.folder)
                names.setdefault(location(shard.folder, name), name)
    for address, name in names.items():
        yield name, address


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
    on_web = address.startswith(_WEB)
    try:
        data = patiently(lambda: read_address(address)) if on_web else read_address(address)
    except FileNotFoundError:
        return Staged(name, error="cannot be read (no such file or directory)")
    except PermissionError:
        return Staged(name, error="cannot be read (permission denied)")
    except DataError as error:
        if not (on_web or isinstance(error.__cause__, ValueError)):  # the latter is no address at all
            raise
        return Staged(name, error=str(error).removeprefix(f"{address}: ").rstrip("."))
    return _stored(data, name, path)


def _stored(data: bytes, name: str, path: Path) -> Staged:
    suffix = os.path.splitext(without_query(name))[1].lower()
    path = path.with_suffix(suffix if _SUFFIX.fullmatch(suffix) else "")
    try:
        path.write_bytes(data)
    except OSError as error:
        raise DataError(f"{path}: cannot be written ({error.strerror}); a worker needs room for some files.") from error
    return Staged(name, str(path))
