"""Which columns of a table name photos, which hold captions, and which say the split."""

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.data.caption_forms.entries import Entry
from captioner.data.names import parts_of
from captioner.data.parquet import PHOTO_COLUMNS
from captioner.data.splits import SPLITS, Split
from captioner.data.tables import Table
from captioner.errors import DataError
from captioner.vision.images import SUFFIXES
from captioner.vision.video import VIDEO_SUFFIXES

_NAMES = (*PHOTO_COLUMNS, "image_name", "img_path", "image_file", "photo", "photo_path", "picture", "png")
_CLIPS = ("video", "clip", "video_path", "clip_path", "video_name", "video_file", "mp4", "video_id", "videoid")
_LESS_LIKELY = ("url_path", "name", "key", "id", "image_id")
"""Columns that name photos if no other does."""
_CAPTIONS = ("caption", "captions", "text", "texts", "sentence", "sentences", "description", "descriptions", "comment")
_ALSO_CAPTIONS = ("raw", "txt", "prompt", "alt_text", "alt", "title", "title_en")
_SPLIT_COLUMNS = ("split", "subset", "set", "partition", "part")


@dataclass(frozen=True)
class Columns:
    """Columns that matter, by their names as the table writes them.

    Attributes:
        image: names the photo.
        captions: hold captions.
        split: says the part of the data set; None if no column does.
    """

    image: str
    captions: tuple[str, ...]
    split: str | None = None

    @property
    def names(self) -> list[str]:
        """Of all of them."""
        return [self.image, *self.captions, *([self.split] if self.split else [])]

    def __str__(self) -> str:
        return f"columns {', '.join(self.names[:-1])} and {self.names[-1]}"


def find_columns(columns: Sequence[str], wanted: Mapping[str, str] | None = None) -> Columns | None:
    """The columns of captions; None if they are not there.

    Args:
        columns: names as written; case, spaces and hyphens do not count.
        wanted: names that somebody gives for `image`, `caption` or `split`.
    """
    wanted = wanted or {}
    plain = {column: re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_") for column in columns}

    def first(names: Sequence[str], given: str | None) -> str | None:
        if given is not None:
            return given if given in plain else None
        return next((column for name in names for column, each in plain.items() if each == name), None)

    image = first((*_NAMES, *_CLIPS, *_LESS_LIKELY), wanted.get("image"))
    kind = first((*_CAPTIONS, *_ALSO_CAPTIONS), wanted.get("caption")) or _numbered(plain)
    if image is None or kind is None or ("split" in wanted and wanted["split"] not in plain):
        return None
    stem = re.sub(r"_?\d+$", "", plain[kind])
    # of a photo's `caption` and `captions` both are taken; other such pairs are of other things
    names = "captions?" if stem in ("caption", "captions") else re.escape(stem)
    captions = [column for column, each in plain.items() if re.fullmatch(rf"{names}_?\d*", each)]
    chosen = (kind,) if "caption" in wanted else tuple(captions)
    return Columns(image, chosen, first(_SPLIT_COLUMNS, wanted.get("split")))


def _numbered(plain: Mapping[str, str]) -> str | None:
    """The first of several columns such as `caption_1` and `caption_2`."""
    names = "|".join((*_CAPTIONS, *_ALSO_CAPTIONS))
    return next((column for column, each in plain.items() if re.fullmatch(rf"(?:{names})_?\d+", each)), None)


def entries_of(table: Table, columns: Columns, source: Path) -> tuple[list[Entry], list[str]]:
    """The rows of a table, those of one photo together, in the order of its first row; and what is left out, and why.

    Args:
        table: with these columns.
        columns: that matter.
        source: where it is, for messages.

    Raises:
        DataError: a photo is in two splits, or some rows name splits and others something else.
    """
    places = {name: place for place, name in enumerate(table.columns)}
    captions: dict[str, list[str]] = {}
    splits: dict[str, Split] = {}
    strange: dict[str, str] = {}
    nameless = 0
    stems = {name: re.sub(r"[\W\d_]+$", "", name.lower()) for name in columns.captions}
    # what `caption` holds may stand in `captions` too; equal texts of `caption_1` and `caption_2` were written twice
    once = len(set(stems.values())) > 1
    read = {name: _reader([row[places[name]] for row in table.rows], source) for name in columns.captions}
    for row in table.rows:
        name = file_name(row[places[columns.image]])
        texts: list[str] = []
        for column in columns.captions:
            found = texts_in(read[column](row[places[column]]))
            texts += _in_words(found) if once and stems[column] == "captions" else found
        texts = list(dict.fromkeys(texts)) if once else texts
        if not name:
            nameless += bool(texts)
            continue
        captions.setdefault(name, []).extend(texts)
        written = "" if columns.split is None else str(row[places[columns.split]] or "").strip()
        split = SPLITS.get(written.lower())
        if split is not None and splits.setdefault(name, split) != split:
            raise DataError(f"{source}: {name} is in the splits {splits[name]} and {split}; leave it in one.")
        if written and split is None:
            strange[name] = written
    if splits and strange:  # a column of nothing but other words means something else
        name, written = next(iter(strange.items()))
        raise DataError(f"{source}: {name} has the {columns.split} {written!r}; known are train, val and test.")
    problems = []
    if nameless:
        what = f"{nameless:,} rows have a caption, but no {columns.image}"
        problems.append(f"{source}: {what}, and are left out; name the photo in each row.")
    if table.broken:
        rows = ", ".join(map(str, table.broken[:3])) + ", ..." * (len(table.broken) > 3)
        what = f"{len(table.broken):,} rows have too few cells or too many"
        problems.append(f"{source}: {what}, and are left out (rows {rows}); quote cells that hold the separator.")
    return [Entry(name, tuple(texts), splits.get(name)) for name, texts in captions.items()], problems


def file_name(cell: Any) -> str:
    """A photo's name in a cell, with slashes and in one Unicode form; `#0` behind it numbers a caption."""
    if isinstance(cell, Mapping):  # Hugging Face's structure of bytes and path
        cell = cell.get("path")
    if isinstance(cell, int) and not isinstance(cell, bool):
        cell = str(cell)
    if not isinstance(cell, str):
        return ""
    return "/".join(parts_of(re.sub(r"#\d+$", "", cell.strip())))


def texts_in(cell: Any) -> list[str]:
    """The captions in a cell: a text, several, or objects that hold them."""
    if isinstance(cell, str):
        return [cell.strip()] if cell.strip() else []
    if isinstance(cell, list | tuple):
        return [text for each in cell for text in texts_in(each)]
    if isinstance(cell, Mapping):
        name = next((name for name in (*_CAPTIONS, *_ALSO_CAPTIONS) if cell.get(name)), None)
        texts, more = texts_in(cell.get(name)), _in_words(texts_in(cell.get("captions"))) if name == "caption" else []
        return list(dict.fromkeys([*texts, *more])) if more else texts
    return []


def _in_words(texts: Sequence[str]) -> list[str]:
    """The texts that hold a letter: `captions` beside `caption` may be their number."""
    return [text for text in texts if re.search(r"[^\W\d_]", text)]


def _reader(cells: Sequence[Any], source: Path) -> Callable[[Any], Any]:
    """What reads the cells of a column: as they are, or where they are lists written as texts (`["a", "b"]` as JSON or
    Python writes them), as these.

    Raises:
        DataError: a list among others is damaged.
    """
    filled = [cell.strip() for cell in cells if isinstance(cell, str) and cell.strip()]
    if not filled or filled[0][0] != "[":
        return lambda cell: cell
    wrong = [cell for cell in filled if _list_in(cell) is None]
    if len(wrong) > len(filled) / 2:
        return lambda cell: cell
    if wrong:
        raise DataError(f"{source}: {wrong[0][:60]!r} is no list of captions, as other rows have; mend that row.")
    return lambda cell: _list_in(cell.strip()) if isinstance(cell, str) and cell.strip() else cell


def _list_in(text: str) -> list[str] | None:
    """The texts of a list that is written as text; None where it holds something else."""
    for parse in (json.loads, ast.literal_eval) if text[:1] == "[" and text[-1:] == "]" else ():
        try:
            found = parse(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list) and all(isinstance(each, str) for each in found):
            return found
    return None


def refuse_swallowed(rows: Sequence[Sequence[str]], delimiter: str, path: Path) -> None:
    """Refuse a table in which a quotation mark that is not closed has made one cell of several rows.

    Raises:
        DataError: a cell holds a line that begins with a photo's name and a separator.
    """
    for number, row in enumerate(rows, 1):
        for line in (line for cell in row if "\n" in cell for line in cell.split("\n")[1:]):
            name, separator, _ = line.partition(delimiter)
            if separator and is_media(name.strip('"')):
                raise DataError(
                    f"{path}: row {number} has a quotation mark that is not closed, so that it holds the row of {name} "
                    "too; close it, or write it twice."
                )


def is_media(name: str) -> bool:
    """Whether a name is that of a photo or clip."""
    suffix = re.sub(r"#\d+$", "", name.strip()).rpartition(".")[2]
    return f".{suffix.lower()}" in SUFFIXES | VIDEO_SUFFIXES


def without_names(rows: Sequence[Sequence[str]], path: Path) -> Columns | None:
    """The columns of a table that does not name them: files first, captions, which have several words, and splits.

    Returns:
        places as names, `0` and so on; None if these are no captions.

    Raises:
        DataError: several columns may be captions.
    """
    some = rows[:200]
    if not some or sum(is_media(row[0]) for row in some) < 0.9 * len(some):
        return None
    width = min(len(row) for row in some)
    words = [sum(len(row[place].split()) for row in some) / len(some) for place in range(1, width)]
    letters = [sum(bool(re.search(r"[^\W\d_]", row[place])) for row in some) for place in range(1, width)]
    likely = [place for place, count in enumerate(letters) if count > 0.5 * len(some)]
    # a word alone is a class or another file's name, unless it is written without spaces
    likely = [place for place in likely if words[place] > 1.5 or not any(row[place + 1].isascii() for row in some)]
    if not likely:
        return None
    if len(several := [place for place in likely if words[place] > 1.5]) > 1:
        raise DataError(
            f"{path}: does not name its columns, of which {len(several)} may hold captions; name them in a first line, "
            "such as file_name and caption, and quote captions that hold the separator."
        )
    splits = (str(place) for place in range(1, width) if all(row[place].strip().lower() in SPLITS for row in some))
    return Columns("0", (str(1 + max(likely, key=lambda place: words[place])),), next(splits, None))
