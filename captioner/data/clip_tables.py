"""Lists of clips with their classes: tables with names of columns, and lists of a path and a label a line.

    path,label,split              jump/one.mp4 0              v_Jump_g01.avi
    jump/one.mp4,jump,train       sit/two.mp4 1               (the folder is the class)
"""

import contextlib
import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from unicodedata import normalize

from captioner.data.names import Names, parts_of
from captioner.data.splits import SPLITS, Split, split_in
from captioner.data.tables import read_texts
from captioner.errors import DataError
from captioner.vision.video import CLIP_SUFFIXES, is_clip_file

_NAMES = {
    "path": ("path", "video", "clip", "file", "file_name", "filename", "video_path", "clip_path", "video_name", "name"),
    "label": ("label", "class", "category", "action", "target", "class_name"),
}
"""What columns are called that are not called path and label."""
_LISTS = (".tsv", ".csv", ".txt")
SIDES: tuple[Literal["split", "fold"], ...] = ("split", "fold")
"""Columns that say where a clip is learnt from or tested."""


@dataclass(frozen=True)
class LabelledClip:
    """One clip.

    Attributes:
        path: of the file.
        label: its class.
        group: clips of one group stay together; by default a clip is a group of its own.
        fold: the part of a cross-validation that it is tested in, if the table says so.
        split: the part of the data set it belongs to, if the table says so.
    """

    path: Path
    label: str
    group: str
    fold: str | None = None
    split: Split | None = None


def read_table(
    root: Path, table: Path, group: str, problems: list[str], split: str | None = None
) -> Iterator[LabelledClip]:
    """The clips that a table lists.

    Args:
        root: folder that paths are relative to.
        table: see `clip_rows`.
        group: name of the column that says which clips belong together.
        problems: gets a sentence for each clip that is not there.
        split: of all the clips, where the table's own name says it.

    Raises:
        DataError: the table is wrong in a way that could mix training and testing.
    """
    seen: dict[Path, tuple[int, LabelledClip]] = {}
    names: Names[Path] | None = None
    for line, row in clip_rows(table, group):
        clip = _clip(root, table, line, row if split is None else {**row, "split": split}, group)
        if not _is_there(clip.path):
            names = names or Names({path: str(path) for path in root.rglob("*") if _is_clip(path.name)})
            there = names.find(row["path"], row["path"])
            clip = replace(clip, path=there[0]) if len(there) == 1 else clip
        if clip.path in seen:
            first, other = seen[clip.path]
            sides = [
                f"{name} {getattr(other, name)} and {getattr(clip, name)}"
                for name in (*SIDES, "label")
                if getattr(other, name) != getattr(clip, name)
            ]
            what = f", in {sides[0]}" if sides else ""
            raise DataError(f"{table}: lines {first} and {line} both name {row['path']}{what}; keep one of them.")
        seen[clip.path] = line, clip
        if _is_there(clip.path):
            yield clip
        else:
            problems.append(f"{table}: line {line}: there is no clip {row['path']} in {root}; it is left out.")


def _clip(root: Path, table: Path, line: int, row: Mapping[str, str], group: str) -> LabelledClip:
    for name in ("path", "label", *(name for name in SIDES if name in row)):
        if not row[name]:
            raise DataError(f"{table}: line {line} has no {name}; fill it, or leave the line out.")
    split = row.get("split")
    if split is not None and split.lower() not in SPLITS:
        raise DataError(f"{table}: line {line} has split {split!r}; known are train, val, test.")
    path = root.joinpath(*parts_of(row["path"]))
    part = None if split is None else SPLITS[split.lower()]
    return LabelledClip(path, normalize("NFC", row["label"]), row.get(group) or str(path), row.get("fold"), part)


def clip_rows(table: Path, group: str = "group") -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a list of clips, by column, with the numbers of their lines.

    Args:
        table: separated by tabs, commas or semicolons with names of columns, or by those or the last space without.
        group: a column that there must be unless it is `group`.

    Raises:
        DataError: it cannot be read, or lacks a column.
    """
    text = read_texts(table)
    first = next((line for line in text.split("\n") if line.strip()), "")
    if _is_clip(re.split(r"[\t,;]", first)[0]) or _is_clip(first.rpartition(" ")[0]) or _is_clip(first):
        yield from _unnamed(text, table)
        return
    delimiter = max("\t,;", key=first.count)
    rows = _cells(text, delimiter, table)
    _, columns = next(rows, (1, []))
    columns = [_plain(name, columns) for name in columns]
    missing = [name for name in ("path", "label") if name not in columns]
    if group != "group" and group not in columns:
        missing.append(group)
    if missing:
        raise DataError(
            f"{table}: no column {missing[0]}; its first line names {', '.join(columns) or 'nothing'}, separated by "
            "tabs or commas."
        )
    twice = [name for name in ("path", "label", group, *SIDES) if columns.count(name) > 1]
    if twice:
        raise DataError(f"{table}: has the column {twice[0]} twice; leave one out.")
    for line, cells in rows:
        if any(cells[len(columns) :]):
            raise DataError(
                f"{table}: line {line} has {len(cells)} cells, but the first line names {len(columns)} columns; quote "
                "cells that hold the separator."
            )
        yield line, dict(zip(columns, [*cells, *[""] * len(columns)], strict=False))


def find_lists(root: Path) -> dict[Path, str | None]:
    """Lists of clips in a folder, with the split that each one's name says; those that this program wrote left out.

    Raises:
        DataError: there are several, and their names say no splits.
    """
    found: dict[Path, str | None] = {}
    for path in sorted(path for path in root.iterdir() if path.suffix.lower() in _LISTS and path.name[0] != "."):
        with contextlib.suppress(DataError):
            if not Path(f"{path}.made").exists() and next(clip_rows(path), None) is not None:
                found[path] = split_in(path.stem)
    if len(found) > 1 and (None in found.values() or len(set(found.values())) < len(found)):
        names = ", ".join(path.name for path in found)
        raise DataError(f"{root}: {names} all list clips; name one with data.table.")
    return found


def _unnamed(text: str, table: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """A path and a label a line; without a label the clip's folder is its class."""
    read: list[tuple[int, str, str]] = []
    for line, row in enumerate(text.split("\n"), 1):
        cells = [cell.strip() for cell in re.split(r"[\t,;]", row.strip())]
        if len(cells) == 1 and not _is_clip(cells[0]):
            cells = [cell.strip() for cell in cells[0].rpartition(" ")[::2]]
        if any(cells):
            read.append((line, cells[0], cells[1] if len(cells) > 1 else Path(cells[0]).parent.name))
    folders = {(label, Path(path).parent.name) for _, path, label in read}
    numbered = all(label.isdigit() for label, _ in folders) and all(name for _, name in folders)
    # numbers say less than the folders that stand for the same classes
    if numbered and len({label for label, _ in folders}) == len({name for _, name in folders}) == len(folders):
        read = [(line, path, Path(path).parent.name) for line, path, _ in read]
    for line, path, label in read:
        yield line, {"path": path, "label": label}


def _cells(text: str, delimiter: str, table: Path) -> Iterator[tuple[int, list[str]]]:
    # tabs need no quotes, so that quotes in names are the names' own
    lines = io.StringIO(text, newline="")
    if delimiter == "\t":
        reader = csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    else:
        reader = csv.reader(lines, delimiter=delimiter)
    try:
        for row in reader:
            if any(row):
                yield reader.line_num, [cell.strip() for cell in row]
    except csv.Error as error:
        raise DataError(f"{table}: not a table ({error}).") from error


def _plain(name: str, columns: Sequence[str]) -> str:
    """A column's own name here, where it has another one that is usual."""
    plain = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    for own, others in _NAMES.items():
        named = [column for other in others for column in columns if column.lower().strip() == other]
        if own not in columns and plain in others and named[:1] == [name]:
            return own
    return name


def _is_clip(name: str) -> bool:
    return Path(name.strip().strip('"')).suffix.lower() in CLIP_SUFFIXES


def _is_there(path: Path) -> bool:
    return path.is_file() or is_clip_file(path)  # a table may name a folder of frames
