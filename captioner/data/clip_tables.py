"""Lists of clips with their classes: tables with names of columns, and lists of a path and a label a line.

path,label,split              jump/one.mp4 0              v_Jump_g01.avi
jump/one.mp4,jump,train       sit/two.mp4 1               (the folder is the class)
"""

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
    "split": ("split", "subset", "set", "partition", "part"),
    "fold": ("fold", "cv_fold", "fold_id"),
    "group": ("group", "group_id"),
}
"""What columns may be called, likely names first; case, spaces and hyphens do not count."""
_LISTS = (".tsv", ".csv", ".txt")
SIDES: tuple[Literal["split", "fold"], ...] = ("split", "fold")
"""Columns that say where a clip is learnt from or tested."""

_Rows = Iterator[tuple[int, dict[str, str]]]


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
        table: separated by tabs, commas or semicolons with names of columns, or by those or the last space without.
        group: name of the column that says which clips belong together, which there must be unless it is `group`.
        problems: gets a sentence for each clip that is not there, and for a column that might be taken for a split.
        split: of the clips whose rows say none, where the table's own name says it.

    Raises:
        DataError: it cannot be read, lacks a column, or is wrong in a way that could mix training and testing.
    """
    seen: dict[Path, tuple[int, LabelledClip]] = {}
    names: Names[Path] | None = None
    for line, row in _rows(table, group, problems):
        clip = _clip(root, row if split is None else {"split": split, **row})
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


def _clip(root: Path, row: Mapping[str, str]) -> LabelledClip:
    path = root.joinpath(*parts_of(row["path"]))
    split = SPLITS[row["split"].lower()] if "split" in row else None
    return LabelledClip(path, normalize("NFC", row["label"]), row.get("group") or str(path), row.get("fold"), split)


def _rows(table: Path, group: str, problems: list[str]) -> _Rows:
    """The rows of a list of clips, by `path`, `label` and whatever else counts, with the numbers of their lines."""
    text = read_texts(table)
    if _names_clip(_first_line(text)):
        columns, rows = {name: name for name in _NAMES}, _unnamed(text, table)
    else:
        columns, rows = _named(text, table, group, problems)
    for line, row in rows:
        for name in ("path", "label", *SIDES):
            if name in row and not row[name]:
                raise DataError(f"{table}: line {line} has no {columns[name]}; fill it, or leave the line out.")
        if "split" in row and row["split"].lower() not in SPLITS:
            raise DataError(
                f"{table}: line {line} has {columns['split']} {row['split']!r}; known are train, val, test."
            )
        yield line, row


def _named(text: str, table: Path, group: str, problems: list[str]) -> tuple[dict[str, str], _Rows]:
    """The columns that count, by the names that the table's first line gives them, and its rows."""
    lines = _cells(text, _delimiter(text), table)
    _, names = next(lines, (1, []))
    likely = _likely(names, group)
    missing = [name for name in ("path", "label", "group") if not likely[name] and (name, group) != ("group", "group")]
    if missing:
        raise DataError(
            f"{table}: no column {group if missing[0] == 'group' else missing[0]}; its first line names "
            f"{', '.join(names) or 'nothing'}, separated by tabs or commas."
        )
    rows = [(line, _even(cells, len(names), f"{table}: line {line}")) for line, cells in lines]
    places = {}
    for name, several in likely.items():
        telling = [place for place in several if _tells(name, names[place], [cells[place] for _, cells in rows])]
        if telling:
            places[name] = telling[0]
            _check_once(name, names, telling[0], table)
        elif name == "split" and any(cells[place] for place in several for _, cells in rows):
            problems.append(
                f"{table}: the column {names[several[0]]} has none of the words train, val and test, and says no split."
            )
    columns = {name: names[place] for name, place in places.items()}
    return columns, ((line, {name: cells[place] for name, place in places.items()}) for line, cells in rows)


def _even(cells: list[str], count: int, where: str) -> list[str]:
    """As many cells as there are columns."""
    if any(cells[count:]):
        raise DataError(
            f"{where} has {len(cells)} cells, but the first line names {count} columns; quote cells that hold the "
            "separator."
        )
    return [*cells, *[""] * count][:count]


def _check_once(name: str, names: Sequence[str], place: int, table: Path) -> None:
    twice = [each for each in names if _plain(each) == _plain(names[place])]
    if len(twice) > 1:
        raise DataError(f"{table}: has the column {name} twice ({', '.join(twice)}); leave one out.")


def _likely(names: Sequence[str], group: str) -> dict[str, list[int]]:
    """The places of the columns that may be each of those that count, the likeliest first."""
    plain = [_plain(name) for name in names]
    others = {**_NAMES, **({} if group == "group" else {"group": (_plain(group),)})}
    taken = None if group == "group" else _plain(group)  # a column with a meaning of its own is not guessed at
    return {
        name: [
            place
            for other in several
            for place, each in enumerate(plain)
            if each == other and (name in ("group", other) or other != taken)
        ]
        for name, several in others.items()
    }


def _tells(name: str, written: str, cells: Sequence[str]) -> bool:
    """Whether a column is what its name says; one of nothing but other words than splits means something else."""
    if name not in SIDES or written == name:
        return True
    return any(cell.lower() in SPLITS if name == "split" else cell for cell in cells)


def find_lists(root: Path) -> dict[Path, str | None]:
    """Lists of clips in a folder, with the split that each one's name says; those that this program wrote left out.

    Raises:
        DataError: there are several, and their names say no splits.
    """
    found: dict[Path, str | None] = {}
    for path in sorted(path for path in root.iterdir() if path.suffix.lower() in _LISTS and path.name[0] != "."):
        if not Path(f"{path}.made").exists() and _lists_clips(path):
            found[path] = split_in(path.stem)
    if len(found) > 1 and (None in found.values() or len(set(found.values())) < len(found)):
        names = ", ".join(path.name for path in found)
        raise DataError(f"{root}: {names} all list clips; name one with data.table.")
    return found


def _lists_clips(path: Path) -> bool:
    """Whether a file's first line is that of a list of clips; what is wrong with the list shows when it is read."""
    try:
        text = read_texts(path)
        if _names_clip(_first_line(text)):
            return True
        lines = _cells(text, _delimiter(text), path)
        _, names = next(lines, (1, []))
        likely = _likely(names, "group")
        return bool(likely["path"] and likely["label"]) and next(lines, None) is not None
    except DataError:
        return False


def _unnamed(text: str, table: Path) -> _Rows:
    """A path and a label a line, and perhaps a split; without a label the clip's folder is its class.

    Raises:
        DataError: lines have more cells than that, and nothing says what they mean.
    """
    read = [(line, cells) for line, row in enumerate(text.split("\n"), 1) if (cells := _unnamed_cells(row))]
    split = any(len(cells) > 2 for _, cells in read)
    others = [line for line, cells in read if len(cells) != 3 or cells[2].lower() not in SPLITS]
    if split and others:
        raise DataError(
            f"{table}: line {others[0]} is not a path, a label and a split (train, val, test), though lines have more "
            "than two cells; name the columns in a first line, such as path,label,split."
        )
    rows = [{"path": cells[0], "label": cells[1] if len(cells) > 1 else _folder(cells[0])} for _, cells in read]
    folders = {(row["label"], _folder(row["path"])) for row in rows}
    numbered = all(label.isdigit() for label, _ in folders) and all(name for _, name in folders)
    # numbers say less than the folders that stand for the same classes
    by_folder = numbered and len({label for label, _ in folders}) == len({name for _, name in folders}) == len(folders)
    for (line, cells), row in zip(read, rows, strict=True):
        named = {**row, "label": _folder(row["path"])} if by_folder else row
        yield line, {**named, "split": cells[2]} if split else named


def _unnamed_cells(row: str) -> list[str]:
    """The cells of a line without names: those between separators, or a path and what follows the last space."""
    row = row.strip()
    cells = [cell.strip() for cell in re.split(r"[\t,;]", row)]
    if not _is_clip(cells[0]):
        if _is_clip(row):
            cells = [row]
        elif len(cells) == 1 or _is_clip(row.rpartition(" ")[0]):
            cells = [cell.strip() for cell in row.rpartition(" ")[::2]]
    while cells and not cells[-1]:
        cells.pop()
    return cells


def _folder(path: str) -> str:
    """The folder that a clip lies in, whichever slashes lead to it."""
    return "".join(parts_of(path)[-2:-1])


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


def _plain(name: str) -> str:
    """A column's name in lower case, with one underscore for whatever separates its words."""
    return re.sub(r"[\W_]+", "_", normalize("NFC", name).casefold()).strip("_") or name


def _first_line(text: str) -> str:
    return next((line for line in text.split("\n") if line.strip()), "")


def _delimiter(text: str) -> str:
    return max("\t,;", key=_first_line(text).count)


def _names_clip(line: str) -> bool:
    """Whether a line is a clip's path and its label, or a path alone."""
    return any(map(_is_clip, (re.split(r"[\t,;]", line)[0], line.rpartition(" ")[0], line)))


def _is_clip(name: str) -> bool:
    return Path(name.strip().strip('"')).suffix.lower() in CLIP_SUFFIXES


def _is_there(path: Path) -> bool:
    return path.is_file() or is_clip_file(path)  # a table may name a folder of frames
