"""Photos that lie in archives or stand in lists, as inputs of folder commands."""

import fnmatch
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence

from captioner.data import photo_lists
from captioner.data.names import LEFT_OUT
from captioner.data.packed import is_archive, open_packed, split
from captioner.errors import DataError, UsageError


def is_list(path: str, suffixes: Collection[str]) -> bool:
    """Whether a named file is a list of inputs: a table, where tables are no inputs themselves.

    Raises:
        UsageError: it is a Parquet file that cannot be read.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix in suffixes or suffix not in photo_lists.SUFFIXES or not os.path.isfile(path):
        return False
    try:
        return suffix != ".parquet" or not photo_lists.holds_photos(path)
    except DataError as error:
        raise UsageError(str(error)) from error


def listed(path: str) -> list[str]:
    """The paths in a list.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return photo_lists.read_photo_list(path)
    except DataError as error:
        raise UsageError(str(error)) from error


def is_packed(path: str) -> bool:
    """Whether a path is an archive, or something in one."""
    return (is_archive(path) and os.path.isfile(path)) or split(path) is not None


def is_hidden(name: str) -> bool:
    """Whether a file in an archive, or a folder that it is in, is hidden."""
    return any(part.startswith(".") for part in name.split("/"))


def is_left_out(name: str, exclude: Sequence[str]) -> bool:
    """Whether a file in an archive is passed over for its name, or for that of a folder that it is in.

    Args:
        name: of the file, below the folder that is asked for.
        exclude: patterns of names and paths.
    """
    parts = name.split("/")
    return any(part.lower() in LEFT_OUT for part in parts[:-1]) or any(
        fnmatch.fnmatch(each, pattern) for pattern in exclude for each in (*parts, name)
    )


def packed_paths(
    path: str,
    suffixes: Collection[str],
    exclude: Sequence[str],
    *,
    problems: list[tuple[str, str]],
    others: Counter[str],
    left_out: list[str],
) -> Iterator[str]:
    """Paths of the files in an archive, in its order, as a folder of that name would give them.

    Args:
        path: of the archive, or of a file or folder in it.
        suffixes: in lower case, with the dot.
        exclude: patterns of names and paths to be passed over.
        problems: gets (path, reason) of an archive that cannot be read, or not to its end.
        others: counts files of each other suffix.
        left_out: gets what was passed over for its name.
    """
    archive, inside = split(path) or (path, "")
    try:
        packed = open_packed(archive)
    except DataError as error:
        problems.append((path, str(error).removeprefix(f"{archive}: ").rstrip(".")))
        return
    if packed.problem is not None:
        problems.append((archive, packed.problem))
    if inside in packed:
        yield path
        return
    found = passed = False
    for name in packed.names:
        if inside and not name.startswith(f"{inside}/"):
            continue
        found = True
        below = name[len(inside) :].lstrip("/")
        suffix = os.path.splitext(name)[1].lower()
        if is_hidden(below):
            continue
        if is_left_out(below, exclude):
            passed = True
        elif suffix in suffixes or packed.only_photos:
            yield f"{archive}/{name}"
        else:
            others[suffix] += 1
    if passed:
        left_out.append(f"parts of {archive}")
    if inside and not found:
        problems.append((path, "no such file in the archive"))
