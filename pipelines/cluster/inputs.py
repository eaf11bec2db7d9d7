"""What a cluster works through: archives of photos, a shard each, and files, of which so many make a shard.

Inputs on this machine are found as every folder command finds them; those at other addresses likewise.
"""

import fnmatch
import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
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
    without_query,
)
from captioner.data.listing import listed
from captioner.data.names import LEFT_OUT, first_few
from captioner.data.packed import SUFFIXES, is_archive
from captioner.errors import DataError, UsageError
from captioner.pipelines.cluster.results import ABOUT, OURS
from captioner.pipelines.folder.inputs import Inputs, identity, names_in, shown

ARCHIVES = frozenset(SUFFIXES)
LISTS = frozenset({".txt", ".lst", ".list"})
"""Named files that hold a name a line, relative to their own folder: of files, archives and folders."""


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
    search = _Search(suffixes, find, exclude, marked=marked)
    search.take_all(names)
    search.read_lists()
    found = search.found
    if search.missing:
        missing = first_few(list(map(shown, search.missing)), 9)
        raise UsageError(f"{missing}: no such file or folder; nothing has been done.")
    _leave_out_results(found, arguments)
    if not (found.archives or found.files or found.problems):
        where = first_few(list(map(shown, arguments)), 9)
        raise UsageError(
            f"{where}: no {kind} and no shards here; looked for {' '.join(sorted(suffixes))} and "
            f"{' '.join(sorted(ARCHIVES))}."
        )
    return found


class _Search:
    """What names stand for.

    Args:
        suffixes, find, exclude, marked: see `find_shards`.

    Attributes:
        found: so far.
        missing: names of which there is nothing.
    """

    def __init__(
        self,
        suffixes: Collection[str],
        find: Callable[[Sequence[str], Collection[str]], Inputs],
        exclude: Sequence[str],
        *,
        marked: bool,
    ) -> None:
        self.suffixes, self.find, self.exclude, self.marked = suffixes, find, exclude, marked
        self.found = Found()
        self.missing: list[str] = []
        self._files: dict[str, None] = {}
        self._lists: list[str] = []

    def take_all(self, names: Sequence[str]) -> None:
        """Take what names of files, folders and lists stand for, and patterns."""
        local = [local_path(name) for name in names if not is_remote(name)]
        others: Counter[str] = Counter()
        left_out: list[str] = []
        far = [name for name in names if is_remote(name)]
        if local:
            inputs = self.find(local, {*self.suffixes, *ARCHIVES})
            self.found.problems += inputs.problems
            self.found.notes += inputs.notes()
            for path in inputs.paths:
                if is_remote(path) and is_archive(path):  # a table may name it
                    far.append(path)
                else:
                    self._take(path, None)
        for address, about in listed(far, self.missing):
            if about.get("type") != "directory":
                self._take(address, about)
                continue
            for inner, inner_about in _walk(address, self.exclude, left_out):
                suffix = _suffix(inner)
                if suffix in self.suffixes or is_archive(inner):
                    self._take(inner, inner_about)
                else:
                    others[suffix] += 1
        self.found.notes += Inputs(others=others, left_out=left_out).notes()
        self.found.files = list(self._files)

    def read_lists(self) -> None:
        """Take what the lists name that have been found; a file that is not there gets its row."""
        lists, self._lists, several, odd = self._lists, [], [], []
        for address in lists:
            try:
                names = names_in(read_address(address))
            except OSError:
                self.missing.append(address)
                continue
            folder = os.path.dirname(address)
            for name in (joined(folder, name.strip()) for name in names):
                # a million photos are not asked for one by one
                if _suffix(name) not in self.suffixes and (is_archive(name) or _is_folder(name)):
                    several.append(name)
                else:
                    self._files[name] = None
                    if is_remote(name) and _suffix(name) not in self.suffixes:  # it may be a folder
                        odd.append(name)
        told = listed(odd, [], lenient=True)
        folders = {name for name, about in told if about.get("type") == "directory"}.intersection(odd)
        self._files = {name: None for name in self._files if name not in folders}
        several += [name for name in dict.fromkeys(odd) if name in folders]
        if several:
            self.take_all(several)
        if lists:  # which may call a file otherwise than its folder does
            unique: dict[str, str] = {}
            for name in self._files:
                unique.setdefault(identity(name), name)
            self.found.files = list(unique.values())

    def _take(self, address: str, about: dict[str, Any] | None) -> None:
        """Take a file by its suffix; `about` is what its storage tells of it."""
        if _suffix(address) in LISTS:
            self._lists.append(address)
        elif is_archive(address):
            if about is None:
                try:
                    status = os.stat(address)
                except OSError as error:
                    self.found.problems.append((address, f"cannot be read ({(error.strerror or '').lower()})"))
                    return
                about = {"size": status.st_size, "mtime": status.st_mtime_ns}
            self.found.archives.setdefault(identity(address), Archive(address, mark_of(about)))
        else:
            self._files[address] = None
            if self.marked and about is not None:
                self.found.marks[address] = mark_of(about)


def _is_folder(name: str) -> bool:
    return name.endswith("/") or (not is_remote(name) and os.path.isdir(name))


def _leave_out_results(found: Found, named: Sequence[str]) -> None:
    """Take results of this command out of the inputs, which lie in a folder that is one, unless they are named."""
    kept = [f"{identity(local_path(name))}/" for name in named]
    results: dict[str, bool] = {}  # by folder
    for address in list(found.archives):
        folder, _, name = address.rpartition("/")
        if OURS.fullmatch(os.path.splitext(name)[0]) and not any(each.startswith(f"{folder}/") for each in kept):
            if folder not in results:
                about = f"{folder}/{ABOUT}"
                system, path = file_system(about)
                results[folder] = False
                with suppress(DataError), explained(about):
                    results[folder] = system.exists(path)
            if results[folder]:
                del found.archives[address]
    folders = [shown(folder) for folder, ours in results.items() if ours]
    if folders:
        found.notes.append(f"left out: {first_few(folders)}, where results of this command lie")


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


def _suffix(address: str) -> str:
    return os.path.splitext(without_query(address))[1].lower()
