"""What to read: files, folders, patterns and lists on standard input become one list of paths, each once.

Shared by all folder commands. Paths are kept as strings, since names may be bytes that are no UTF-8 (Python then keeps
them as surrogates).
"""

import codecs
import fnmatch
import glob
import os
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from captioner.data.addresses import is_remote
from captioner.data.names import LEFT_OUT, first_few
from captioner.data.packed import split
from captioner.errors import UsageError
from captioner.pipelines.folder.packed_inputs import is_list, is_packed, listed, packed_paths

_OWN = frozenset({".jsonl", ".json", ".csv", ".html", ".txt", ".srt", ".vtt", ".made", ".caption", ".xmp"})
"""What folder commands write: it needs no mention where it lies beside the photos."""


_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_FRAMES = re.compile(r"%0?\d*d\.[^.]+$")  # a pattern of numbered frames; whether there are any, its own row says


@dataclass
class Inputs:
    """What was found.

    Attributes:
        paths: files in order, each once.
        problems: (path, reason) of what cannot be read, such as a folder without permission.
        others: how many files of each other suffix lie in the folders that were searched.
        left_out: folders and files that were passed over for their names.
        remarks: what else people should know, a sentence each.
    """

    paths: list[str] = field(default_factory=list)
    problems: list[tuple[str, str]] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    left_out: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """What was passed over, for people."""
        notes = []
        others = [(suffix, count) for suffix, count in self.others.most_common() if suffix not in _OWN]
        if others:
            kinds = [f"{count:,} {suffix or 'without suffix'}" for suffix, count in others]
            notes.append(f"passed over: {first_few(kinds, 8)}")
        if self.left_out:
            notes.append(f"left out: {first_few([shown(path) for path in self.left_out])}; name what is wanted of it")
        return notes + self.remarks


def find_inputs(
    arguments: Sequence[str],
    suffixes: Collection[str],
    *,
    kind: str = "images",
    exclude: Sequence[str] = (),
    packed: Collection[str] = (),
    frames: bool = False,
) -> Inputs:
    """List the files that a command's arguments stand for.

    A folder gives every file under it with one of `suffixes`, in either case, in sorted order; links to folders are
    followed, each folder once. Hidden names are passed over, and so are the folders that network drives and zip
    programs add, unless they are named. A file that is named is taken whatever its suffix, but a table (CSV, TSV,
    Parquet) gives the paths in it, and a zip, tar or Parquet file with photos those in it, as `trip.zip/beach/1.jpg`;
    such a path, or a folder in an archive, may be named too. A name that does not exist may be a pattern (`*`, `?`,
    `[...]`, `**`). `-` reads paths from standard input, one a line or separated by NUL, in UTF-8, in any bytes, or in
    UTF-16, as PowerShell writes it.

    Args:
        arguments: the command's INPUT arguments.
        suffixes: in lower case, with the dot.
        kind: what is looked for, for messages.
        exclude: patterns of names, or of paths below a folder, to be passed over in folders.
        frames: a folder of numbered pictures is an input itself, as a clip.
        packed: those of `suffixes` that the command can read in archives.

    Raises:
        UsageError: an argument does not exist, or there is nothing to do; a list on standard input may be empty.
    """
    found, seen_files, seen_folders = Inputs(), set[str](), set[tuple[int, int]]()
    missing = []
    named = 0  # on standard input, on which there may be nothing new
    for argument in arguments:
        if argument == "-":
            paths: list[str] = names_in(sys.stdin.buffer.read())
            named += len(paths)
        elif os.path.lexists(argument) or split(argument) is not None or _FRAMES.search(argument):
            paths = [argument]
        else:
            paths = sorted(glob.glob(argument, recursive=True)) if glob.has_magic(argument) else []
            if not paths:
                missing.append(argument)
        if argument != "-":
            paths = [each for path in paths for each in (listed(path) if is_list(path, suffixes) else [path])]
        for path in paths:
            files: Iterable[str] = [path]
            if os.path.isdir(path):
                files = _walk(path, suffixes, exclude, seen_folders, found, frames=frames)
            elif packed and is_packed(path):
                files = _packed(path, packed, exclude, found)
            for file in files:
                key = identity(file)
                if key not in seen_files:
                    seen_files.add(key)
                    found.paths.append(file)
    found.problems = list(dict(found.problems).items())  # an archive of which several photos are named has one
    if missing:
        names = first_few([shown(name) for name in missing], 9)
        raise UsageError(f"{names}: no such file or folder; nothing has been done.")
    if arguments and not found.paths and not found.problems and set(arguments) == {"-"} and not named:
        found.remarks.append("standard input names no files; nothing is to be done")
    elif not found.paths and not found.problems:
        where = first_few([shown(name) for name in arguments], 9)
        notes = "".join(f"; {note}" for note in found.notes())
        raise UsageError(f"{where}: no {kind} here; looked for {' '.join(sorted(suffixes))}{notes}.")
    return found


def identity(path: str) -> str:
    """What makes two spellings of a path the same input; an address has one."""
    return path if is_remote(path) else os.path.abspath(path)


def same_file(one: str, other: str) -> bool:
    """Whether two paths, by whatever links, are of one file, or will be."""
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):
        return identity(one) == identity(other)


def as_text(path: str) -> str:
    """A path as Unicode text, whatever bytes its name is made of."""
    return os.fsencode(path).decode("utf-8", "replace")


def shown(path: str) -> str:
    """A path fit for any terminal, in one line and without what a terminal would take for commands."""
    return _CONTROL.sub("\ufffd", as_text(path))


def names_in(data: bytes) -> list[str]:
    """The names in a list, one a line or separated by NUL, in UTF-8, any bytes, or UTF-16, as PowerShell writes it."""
    text = _from_utf16(data)
    if text is not None:
        return [line for line in text.splitlines() if line.strip()]
    data = data.removeprefix(codecs.BOM_UTF8)
    separator = b"\0" if b"\0" in data else b"\n"
    return [os.fsdecode(line.removesuffix(b"\r")) for line in data.split(separator) if line.strip()]


def _from_utf16(data: bytes) -> str | None:
    """Text in UTF-16, with a mark at its beginning or recognised by its line ends; None if it is something else."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data[: len(data) // 2 * 2].decode("utf-16", "replace")
    if len(data) % 2 == 0:
        for codec, zeros in (("utf-16-le", data[1::2]), ("utf-16-be", data[::2])):
            # a list separated by NUL, each of whose names has one letter, has no line ends
            if "\n".encode(codec) in data and 2 * zeros.count(0) >= len(zeros):
                return data.decode(codec, "replace")
    return None


def _packed(path: str, suffixes: Collection[str], exclude: Sequence[str], found: Inputs) -> Iterator[str]:
    return packed_paths(path, suffixes, exclude, problems=found.problems, others=found.others, left_out=found.left_out)


def _walk(
    root: str,
    suffixes: Collection[str],
    exclude: Sequence[str],
    seen: set[tuple[int, int]],
    found: Inputs,
    *,
    frames: bool,
) -> Iterator[str]:
    """Files under a folder; one that has been walked already, as in a loop of links, gives nothing."""
    if frames and _is_clip(root):
        yield root
        return
    wanted = tuple(suffixes)  # of which `.tar.gz` is one
    stack = [iter(_listed(root, seen, found.problems))]  # no recursion: folders may lie deeper than Python's stack
    while stack:
        entry = next(stack[-1], None)
        if entry is None:
            stack.pop()
            continue
        if entry.name.startswith("."):
            continue
        folder = _is_folder(entry)
        if (folder and entry.name.lower() in LEFT_OUT) or _matches(entry, root, exclude):
            found.left_out.append(entry.path)
        elif folder and frames and _is_clip(entry.path):
            yield entry.path
        elif folder:
            stack.append(iter(_listed(entry.path, seen, found.problems)))
        elif entry.is_symlink() or entry.is_file():  # no pipes and devices
            if entry.name.lower().endswith(wanted):
                yield entry.path
            else:
                found.others[os.path.splitext(entry.name)[1].lower()] += 1


def _is_clip(folder: str) -> bool:
    """Whether a folder's pictures are the frames of a clip."""
    from captioner.vision.frame_files import numbered_frames  # what takes no frames need not wait for OpenCV

    return bool(numbered_frames(folder))


def _listed(folder: str, seen: set[tuple[int, int]], problems: list[tuple[str, str]]) -> list[os.DirEntry[str]]:
    try:
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            return []
        seen.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        problems.append((folder, f"cannot be listed ({os.strerror(error.errno or 0).lower()})"))
        return []


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself, say
        return False


def _matches(entry: os.DirEntry[str], root: str, patterns: Sequence[str]) -> bool:
    """Whether a pattern is of this name, or of this path below the folder that was named."""
    if not patterns:
        return False
    names = (entry.name, os.path.relpath(entry.path, root).replace(os.sep, "/"))
    return any(fnmatch.fnmatch(name, pattern.rstrip("/")) for pattern in patterns for name in names)
