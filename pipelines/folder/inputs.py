"""What to read: files, folders, patterns and lists on standard input become one list of paths, each once.

Shared by all folder commands. Paths are kept as strings, since names may be bytes that are no UTF-8 (Python then keeps
them as surrogates).
"""

import glob
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from captioner.errors import UsageError


@dataclass
class Inputs:
    """What was found.

    Attributes:
        paths: files in order, each once.
        problems: (path, reason) of what cannot be read, such as a folder without permission.
    """

    paths: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)


def find_inputs(arguments: Sequence[str], suffixes: Collection[str], *, kind: str = "images") -> Inputs:
    """List the files that a command's arguments stand for.

    A folder gives every file under it with one of `suffixes`, in either case, in sorted order; links to folders are
    followed, each folder once, and hidden names are passed over. A file that is named is taken whatever its suffix.
    A name that does not exist may be a pattern (`*`, `?`, `[...]`, `**`). `-` reads paths from standard input, one a
    line or separated by NUL.

    Args:
        arguments: the command's INPUT arguments.
        suffixes: in lower case, with the dot.
        kind: what is looked for, for messages.

    Raises:
        UsageError: an argument does not exist, or there is nothing to do.
    """
    found, seen_files, seen_folders = Inputs(), set[str](), set[tuple[int, int]]()
    missing = []
    for argument in arguments:
        if argument == "-":
            paths: list[str] = _standard_input()
        elif os.path.lexists(argument):
            paths = [argument]
        else:
            paths = sorted(glob.glob(argument, recursive=True)) if glob.has_magic(argument) else []
            if not paths:
                missing.append(argument)
        for path in paths:
            files = _walk(path, suffixes, seen_folders, found.problems) if os.path.isdir(path) else [path]
            for file in files:
                key = identity(file)
                if key not in seen_files:
                    seen_files.add(key)
                    found.paths.append(file)
    if missing:
        names = " and ".join(filter(None, [", ".join(map(shown, missing[:-1])), shown(missing[-1])]))
        raise UsageError(f"{names}: no such file or folder; nothing has been done.")
    if not found.paths and not found.problems:
        where = ", ".join(map(shown, arguments))
        raise UsageError(f"{where}: no {kind} here; looked for {' '.join(sorted(suffixes))}.")
    return found


def identity(path: str) -> str:
    """What makes two spellings of a path the same input."""
    return os.path.abspath(path)


def shown(path: str) -> str:
    """A path fit for any terminal, whatever bytes its name is made of."""
    return os.fsencode(path).decode("utf-8", "replace")


def _standard_input() -> list[str]:
    data = sys.stdin.buffer.read()
    separator = b"\0" if b"\0" in data else b"\n"
    return [os.fsdecode(line.removesuffix(b"\r")) for line in data.split(separator) if line.strip()]


def _walk(
    folder: str, suffixes: Collection[str], seen: set[tuple[int, int]], problems: list[tuple[str, str]]
) -> Iterator[str]:
    """Files under a folder; one that has been walked already, as in a loop of links, gives nothing."""
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        problems.append((folder, f"cannot be listed ({os.strerror(error.errno or 0).lower()})"))
        return
    for entry in listed:
        if entry.name.startswith("."):
            continue
        if entry.is_dir():
            yield from _walk(entry.path, suffixes, seen, problems)
        elif os.path.splitext(entry.name)[1].lower() in suffixes and (entry.is_file() or entry.is_symlink()):
            yield entry.path
