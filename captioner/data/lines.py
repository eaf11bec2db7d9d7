"""Pictures of text lines with their texts: a table, or a text file beside each picture, as OCR tools keep them.

Lines of one print or photograph look alike, so a part that is held out to validate on takes whole groups of them.
"""

import csv
import io
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from captioner.data.copies import digest_of_file, find_copies
from captioner.data.parquet import PHOTO_COLUMNS
from captioner.data.tables import lines_of, read_texts
from captioner.errors import DataError, ImageError
from captioner.text.alphabet import Alphabet, normalise
from captioner.vision.images import SUFFIXES, read
from captioner.vision.line_pictures import LineTransform

_TEXTS = (".gt.txt", ".txt")


@dataclass(frozen=True)
class Line:
    """A picture and what it says.

    Attributes:
        path: of the picture.
        text: normalised, see `captioner.text.alphabet`.
        size: (height, width) of the picture; None until it has been looked at.
    """

    path: Path
    text: str
    size: tuple[int, int] | None = None


@dataclass(frozen=True)
class LineSet:
    """Lines with their texts.

    Attributes:
        lines: in the order of their table or folder.
        source: where they come from, for messages.
        problems: what was left out or changed and why, a sentence each.
    """

    lines: tuple[Line, ...]
    source: str
    problems: tuple[str, ...] = ()

    @classmethod
    def read(cls, place: Path, root: Path | None = None) -> "LineSet":
        """Read a table of lines, or a folder of pictures with a text file beside each.

        Args:
            place: a folder; or a table with the columns path and text, separated by tabs (.tsv, .txt) or commas (.csv),
                with or without a first line that names them.
            root: folder that the table's paths are relative to; the table's own by default.

        Raises:
            DataError: there is no such place, or it holds no line.
        """
        problems: list[str] = []
        lines = []
        for line in _read_folder(place, problems) if place.is_dir() else _read_table(place, root, problems):
            if line.path.is_file():
                lines.append(line)
            else:
                problems.append(f"{place}: there is no picture {line.path}; it is left out.")
        return cls(tuple(lines), str(place), tuple(problems))._checked()

    @classmethod
    def read_texts(cls, place: Path) -> "LineSet":
        """The same, where the pictures need not be there."""
        problems: list[str] = []
        lines = _read_folder(place, problems) if place.is_dir() else _read_table(place, None, problems)
        return cls(tuple(lines), str(place), tuple(problems))._checked()

    def readable(self, transform: LineTransform) -> "LineSet":
        """The same with the size of each picture; pictures that cannot be read, or show nothing, are left out."""
        lines, problems = [], list(self.problems)
        for line in self.lines:
            try:
                decoded = read(line.path)
                transform(decoded.pixels)
            except ImageError as error:
                reason = str(error).removeprefix(f"{line.path}: ")
                problems.append(f"{line.path}: {reason}; the line is left out.")
            else:
                lines.append(replace(line, size=decoded.size))
        return replace(self, lines=tuple(lines), problems=tuple(problems))._checked()

    def within(self, alphabet: Alphabet, *, remove: bool) -> "LineSet":
        """The lines that an alphabet can write.

        Args:
            alphabet: the characters that there are.
            remove: take other characters out of a text, instead of leaving the line out.
        """
        lines, strange = [], Counter[str]()
        changed = 0
        for line in self.lines:
            unknown = [character for character in line.text if character not in alphabet]
            strange.update(unknown)
            changed += bool(unknown)
            if unknown and remove:
                line = replace(line, text=normalise("".join(each for each in line.text if each in alphabet)))
            if line.text and (remove or not unknown):
                lines.append(line)
        if not strange:
            return self
        found = ", ".join(f"{character!r} {count}" for character, count in strange.most_common(10))
        done = "are read without them" if remove else "are left out"
        problem = f"{self.source}: {changed} lines have characters outside the alphabet ({found}); they {done}."
        return replace(self, lines=tuple(lines), problems=(*self.problems, problem))._checked()

    def without_copies_of(self, held_out: "LineSet") -> "LineSet":
        """The lines whose pictures are none of those that are held out, under whatever name.

        Raises:
            DataError: none is left.
        """
        copies = set(
            find_copies(
                [str(line.path) for line in self.lines],
                [str(line.path) for line in held_out.lines],
                lambda name: Path(name).stat().st_size,
                lambda name: digest_of_file(Path(name)),
            )
        )
        if not copies:
            return self
        kept = tuple(line for line in self.lines if str(line.path) not in copies)
        problem = f"{self.source}: {len(copies)} lines to learn from are held-out ones, or copies; they are left out."
        return replace(self, lines=kept, problems=(*self.problems, problem))._checked()

    def hold_out(self, share: float, separator: str | None, seed: int = 0) -> tuple["LineSet", "LineSet"]:
        """Lines to learn from, and about `share` of them to validate on.

        Args:
            share: to validate on.
            separator: lines whose file names are the same up to its last occurrence stay together, such as `_` for
                `book_12.png` and `book_13.png`; None takes every line for itself.
            seed: of the choice.

        Raises:
            DataError: all lines are of one group, or there is only one.
        """
        groups: dict[str, list[Line]] = defaultdict(list)
        for line in self.lines:
            head, sign, _ = line.path.name.rpartition(separator) if separator else ("", "", "")
            groups[head if sign else line.path.name].append(line)
        names = sorted(groups)
        random.Random(seed).shuffle(names)
        chosen: set[str] = set()
        held = 0
        for name in names[:-1]:
            if held >= share * len(self.lines):
                break
            chosen.add(name)
            held += len(groups[name])
        if not chosen:
            raise DataError(
                f"{self.source}: all {len(self.lines)} lines are of one group, so that none can be held out to "
                "validate on; give lines of another print or photograph, or name a table in data.val."
            )
        inside = {id(line) for name in chosen for line in groups[name]}
        learnt = tuple(line for line in self.lines if id(line) not in inside)
        return LineSet(learnt, self.source), LineSet(tuple(x for x in self.lines if id(x) in inside), self.source)

    def _checked(self) -> "LineSet":
        if not self.lines:
            raise DataError(f"{self.source}: holds no line that can be used. {' '.join(self.problems[:2])}".rstrip())
        return self


def _read_folder(folder: Path, problems: list[str]) -> Iterator[Line]:
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith(".") or not path.is_file():
            continue
        beside = next((file for end in _TEXTS if (file := path.with_name(path.stem + end)).is_file()), None)
        if beside is None:
            problems.append(f"{path}: no {path.stem}{_TEXTS[0]} or {path.stem}{_TEXTS[1]} beside it; it is left out.")
            continue
        try:
            text = normalise(beside.read_text(encoding="utf-8-sig"))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{beside}: cannot be read as UTF-8 text ({error}); its picture is left out.")
            continue
        if text:
            yield Line(path, text)
        else:
            problems.append(f"{beside}: holds no text; its picture is left out.")


def _read_table(table: Path, root: Path | None, problems: list[str]) -> Iterator[Line]:
    first: dict[Path, int] = {}
    for row in table_rows(table, problems):
        number, fields = row.number, row.fields
        if not fields:
            problems.append(f"{table}: line {number} has more cells than the first line names; it is left out.")
            continue
        name = fields[0].strip()
        if len(fields) > 2 and table.suffix.lower() != ".csv":
            problems.append(f"{table}: line {number}: the text has a tab in it, which is read as a space.")
        text, path = normalise(row.text), (root or table.parent) / name
        if not name or not text:
            what = "path" if not name else "text"
            problems.append(f"{table}: line {number} has no {what}, separated by a tab or comma; it is left out.")
        elif path in first:
            problems.append(f"{table}: lines {first[path]} and {number} both name {name}; the second is left out.")
        else:
            first[path] = number
            yield Line(path, text)


@dataclass(frozen=True)
class TableRow:
    """A row of a table of lines.

    Attributes:
        number: of the row, from 1.
        fields: the path, then the cells of the text: several if a comma or a tab is in it, none in a row that is cut
            short. Without a path where nobody knows which cell was cut in two.
        text: the cells of the text, joined.
        error: of the column `error`, if there is one.
    """

    number: int
    fields: Sequence[str]
    text: str
    error: str = ""


def table_rows(table: Path, problems: list[str]) -> list[TableRow]:
    """The rows of a table of paths and texts.

    Args:
        table: its columns are separated by tabs (.tsv, .txt) or commas (.csv), with or without a first line that names
            them.
        problems: is told of a first line that is taken as names, though they are unusual.

    Raises:
        DataError: it cannot be read, or its first line names other columns.
    """
    commas = table.suffix.lower() == ".csv"
    text = read_texts(table)
    # quotes mean nothing in a table of tabs
    split = (line.split("\t") for line in lines_of(text))
    reader: Iterator[Sequence[str]] = csv.reader(io.StringIO(text, newline=""), strict=True) if commas else split
    try:
        rows = [(number, fields) for number, fields in enumerate(reader, 1) if any(map(str.strip, fields))]
    except csv.Error as error:
        raise DataError(f"{table}: not a table separated by commas ({error}).") from error
    names = [name.strip().lower() for name in rows[0][1]] if rows else []
    named = {"path", "text"} <= set(names)
    other = not named and _names_other_columns(table, [fields for _, fields in rows])
    if other and re.sub(r"[ -]", "_", names[0]) not in PHOTO_COLUMNS:
        number, fields = rows[0]
        what = f"line {number} ({', '.join(fields)}) is taken as names of columns"
        problems.append(f"{table}: {what}; if it is a line, give its path a suffix.")
    if named or other:
        del rows[0]
    order = (names.index("path"), names.index("text")) if named else None
    at = names.index("error") if named and "error" in names else None
    found = []
    for number, fields in rows:
        chosen = _chosen(fields, order, len(names))
        fault = "" if at is None or at >= len(fields) else fields[at].strip()
        found.append(TableRow(number, chosen, ("," if commas else " ").join(chosen[1:]), fault))
    return found


def _names_other_columns(table: Path, rows: Sequence[Sequence[str]]) -> bool:
    """Whether the first row is no line, but calls the path and the text, which follow, by names of a word each.

    Raises:
        DataError: it names further columns, so that nobody knows which one is the text.
    """
    pictures = [Path(row[0].strip()).suffix.lower() in SUFFIXES for row in rows]
    words = [len(cell.split()) for cell in rows[0][:2]] if rows else []
    if not any(pictures) or pictures[0] or Path(rows[0][0]).suffix or words != [1, 1]:
        return False
    if len(rows[0]) > 2:
        named = ", ".join(rows[0])
        mend = "call that of the pictures path and that of the texts text"
        raise DataError(f"{table}: the first line names its columns {named}; {mend}.")
    return True


def _chosen(fields: Sequence[str], order: tuple[int, int] | None, width: int) -> list[str]:
    """Path and text of a row; without named columns the path comes first and all the rest is text.

    So is all the rest where the text's column is the last of `width`; elsewhere a row with more cells gives nothing,
    because nobody knows which one was cut in two.
    """
    if order is None:
        return list(fields)
    if order[1] == width - 1 and len(fields) > width:
        return [fields[order[0]], *fields[order[1] :]]
    if any(field.strip() for field in fields[width:]):
        return []
    path, text = ([fields[place]] if place < len(fields) else [] for place in order)
    return [*(path or [""]), *text]
