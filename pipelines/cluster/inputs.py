"""What a cluster works through: archives of photos, a shard each, and files, of which so many make a shard.

Inputs on this machine are found as every folder command finds them; those at other addresses likewise.
"""

import fnmatch
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from captioner.data.addresses import (
    expand_braces,
    explained,
    file_system,
    is_remote,
    joined,
    local_path,
    mark_of,
    read_address,
)
from captioner.data.listing import listed
from captioner.data.names import LEFT_OUT, first_few
from captioner.data.packed import SUFFIXES, is_archive
from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import Inputs, shown

ARCHIVES = frozenset(SUFFIXES)
LISTS = frozenset({".txt", ".lst", ".list"})
"""Named files that hold a name a line, relative to their own folder."""


@dataclass(frozen=True)
class Archive:
    """An archive of photos.

    Attributes:
        name: as rows call it.
        mark: a text that changes when the archive does.
    """

    name: str
    mark: str


@dataclass
class Found:
    """What a command's arguments stand for.

    Attributes:
        archives: by address, each once.
        files: other files, each once, in order.
        problems: (address, reason) of what cannot be read, such as a folder without permission.
        notes: what was passed over, for people.
        marks: of files at other addresses whose storage was asked, texts that change when the files do.
    """

    archives: dict[str, Archive] = field(default_factory=dict)
    files: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    marks: dict[str, str] = field(default_factory=dict)


def find_shards(
    arguments: Sequence[str],
    suffixes: Collection[str],
    find: Callable[[Sequence[str], Collection[str]], Inputs],
    *,
    kind: str,
    exclude: Sequence[str] = (),
    marked: bool = False,
) -> Found:
    """Find archives and files at any addresses.

    Args:
        arguments: files, archives, lists (`.txt`), folders and patterns, each at any address, with ranges in braces.
        suffixes: of the files that are wanted, in lower case with the dot.
        find: the inputs that arguments on this machine stand for, with files of these suffixes.
        kind: what is looked for, for messages.
        exclude: patterns of names, or of paths below a folder, to be passed over in folders.
        marked: files at other addresses are wanted with their marks.

    Raises:
        UsageError: an argument does not exist, or there is nothing to do.
        DataError: a storage cannot be read.
    """
    names = [
        name
        for argument in arguments
        for name in ([argument] if os.path.lexists(local_path(argument)) else expand_braces(argument))
    ]
    local = [local_path(name) for name in names if not is_remote(name)]
    found = Found()
    others: Counter[str] = Counter()
    missing: list[str] = []
    files: dict[str, None] = {}
    if local:
        inputs = find(local, {*suffixes, *ARCHIVES})
        found.problems += inputs.problems
        found.notes += inputs.notes()
        for path in inputs.paths:
            _take(path, None, found, files, missing)
    left_out: list[str] = []

    def take(address: str, about: dict[str, Any]) -> None:
        _take(address, about, found, files, missing)
        if marked and address in files:
            found.marks[address] = mark_of(about)

    for address, about in listed([name for name in names if is_remote(name)], missing):
        if about.get("type") != "directory":
            take(address, about)
            continue
        for inner, inner_about in _walk(address, exclude, left_out):
            suffix = _suffix(inner)
            if suffix in suffixes or is_archive(inner):
                take(inner, inner_about)
            else:
                others[suffix] += 1
    found.notes += Inputs(others=others, left_out=left_out).notes()
    found.files = list(files)
    if missing:
        raise UsageError(f"{first_few(list(map(shown, missing)), 9)}: no such file or folder; nothing has been done.")
    if not (found.archives or found.files or found.problems):
        where = first_few(list(map(shown, arguments)), 9)
        raise UsageError(
            f"{where}: no {kind} and no shards here; looked for {' '.join(sorted(suffixes))} and "
            f"{' '.join(sorted(ARCHIVES))}."
        )
    return found


def _take(address: str, about: dict[str, Any] | None, found: Found, files: dict[str, None], missing: list[str]) -> None:
    """Take note of a file by its suffix."""
    suffix = _suffix(address)
    if suffix in LISTS:
        try:
            lines = read_address(address).decode("utf-8-sig", "surrogateescape").splitlines()
        except OSError:
            missing.append(address)
            return
        folder = address.rpartition("/")[0] if "/" in address else "."
        files.update(dict.fromkeys(joined(folder, line.strip()) for line in lines if line.strip()))
    elif is_archive(address):
        if about is None:
            try:
                status = os.stat(address)
            except OSError:
                missing.append(address)
                return
            about = {"size": status.st_size, "mtime": status.st_mtime_ns}
        found.archives.setdefault(_absolute(address), Archive(address, mark_of(about)))
    else:
        files[address] = None


def _walk(root: str, exclude: Sequence[str], left_out: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Files under a folder in the order of their names, without hidden ones; one folder's names are held at a time."""
    system, path = file_system(root)
    stack = [path.rstrip("/")]
    while stack:
        folder = stack.pop()
        with explained(root, "listed"):
            entries = sorted(system.ls(folder, detail=True), key=lambda each: str(each["name"]))
        below = []
        for entry in entries:
            inner = str(entry["name"]).rstrip("/")
            name = inner.rpartition("/")[2]
            if name.startswith(".") or not name or inner == folder:
                continue
            from_root = inner.removeprefix(path.rstrip("/")).lstrip("/")
            is_folder = entry.get("type") == "directory"
            if (is_folder and name.lower() in LEFT_OUT) or any(
                fnmatch.fnmatch(each, pattern.rstrip("/")) for pattern in exclude for each in (name, from_root)
            ):
                left_out.append(system.unstrip_protocol(inner))
            elif is_folder:
                below.append(inner)
            else:
                yield system.unstrip_protocol(inner), entry
        stack += reversed(below)


def _absolute(address: str) -> str:
    return address if is_remote(address) else os.path.abspath(address)


def _suffix(address: str) -> str:
    return os.path.splitext(address.partition("?")[0] if address.startswith("http") else address)[1].lower()
