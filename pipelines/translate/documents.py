"""What `captioner translate` reads: lines of text, rows of captions (JSON Lines, CSV), and subtitles, in order.

Every row has a name, such as `captions.jsonl:12`, the sentences in it, and the fields that are kept.
"""

import copy
import csv
import io
import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from captioner.data.files import read_unpacked
from captioner.data.tables import lines_of, text_of
from captioner.errors import DataError
from captioner.pipelines.folder.inputs import shown
from captioner.pipelines.translate.cues import read_cues
from captioner.pipelines.translate.forms import Kind, column_mark, form_of

SUFFIXES: dict[str, Kind] = {
    ".txt": "text",
    ".jsonl": "json",
    ".csv": "csv",
    ".tsv": "csv",
    ".srt": "srt",
    ".vtt": "vtt",
}
INPUT_SUFFIXES = [*SUFFIXES, *(f"{suffix}.gz" for suffix in SUFFIXES)]
"""What inputs in folders end in."""
STANDARD_INPUT = "-"
ADDED = ("translation", "translations", "warning", "error")
"""What translating adds to a row."""


@dataclass(frozen=True)
class Place:
    """Where a sentence stands in a row's fields, from the outside in, and the key of its translation."""

    at: tuple[str | int, ...]
    translation: str = "translation"

    @property
    def keys(self) -> tuple[str, str]:
        """The keys of a translation, and of several."""
        return self.translation, self.translation.replace("translation", "translations")


@dataclass(frozen=True)
class Row:
    """A row of an input.

    Attributes:
        name: of the file and the line.
        fields: what is kept of it.
        places: of the sentences in the fields.
        error: why there is nothing to translate.
    """

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    places: Sequence[Place] = ()
    error: str | None = None

    @property
    def sentences(self) -> list[str]:
        """What is to be translated, in the order of `places`."""
        return [str(_inner(self.fields, place.at)) for place in self.places]

    @property
    def translated(self) -> bool:
        """Whether a sentence has a translation already, which will be replaced."""
        return any(_inner(self.fields, place.at[:-1]).keys() & place.keys for place in self.places)

    def with_added(self, values: Iterable[Any], *, several: bool = False) -> dict[str, Any]:
        """The fields with a translation, or a list of several, beside each sentence, in the place of any there is."""
        fields = copy.deepcopy(dict(self.fields))
        for place, value in zip(self.places, values, strict=True):
            beside, keys = _inner(fields, place.at[:-1]), place.keys
            beside[keys[several]] = value
            beside.pop(keys[not several], None)
        return fields

    def best(self, fields: Mapping[str, Any]) -> str:
        """The best translation of the first sentence in the fields that `with_added` gave."""
        if not self.places:
            return ""
        place = self.places[0]
        beside, (one, several) = _inner(fields, place.at[:-1]), place.keys
        return str(beside[one] if one in beside else beside[several][0]["translation"])


@dataclass(frozen=True)
class Document:
    """An input.

    Attributes:
        path: as given; `-` is standard input.
        kind: of its form.
        rows: in order.
        columns: of its rows in a table; none for JSON, whose rows need not have the same keys.
        added: the columns that translating adds to it.
    """

    path: str
    kind: Kind
    rows: Sequence[Row]
    columns: tuple[str, ...] = ()
    added: tuple[str, ...] = ("translation",)


def read_document(path: str) -> Document:
    """Read an input, unpacked if it ends in `.gz`; its suffix says what it is.

    Standard input, and a file of another suffix or `.txt`, is a table, rows or subtitles if it begins as these do, and
    otherwise text, line by line.

    Raises:
        DataError: it cannot be read, is empty, or is no text; the message does not name the path.
    """
    data = _read(path)
    suffix = os.path.splitext(path.lower().removesuffix(".gz"))[1]
    kind = "json" if suffix == ".json" else SUFFIXES.get(suffix, "text")  # named ones only: others are of anything
    if kind == "text":
        kind = form_of(_decode(data, "surrogateescape"))
    if kind == "csv":
        return _read_csv(path, data)
    text = _decode(data)
    name = "standard input" if path == STANDARD_INPUT else path
    if kind in ("srt", "vtt"):
        cues = _read_subtitles(name, text, kind)
        return Document(path, kind, cues, tuple(dict.fromkeys(key for row in cues for key in row.fields)))
    if kind == "json":
        return Document(path, kind, _read_json(name, text))
    place = [Place(("text",))]
    rows = [Row(f"{name}:{n}", {"text": line}, place) for n, line in enumerate(lines_of(text), 1)]
    return Document(path, kind, rows, ("text",))


def _read(path: str) -> bytes:
    if path == STANDARD_INPUT:
        return sys.stdin.buffer.read()
    try:
        return read_unpacked(Path(path))
    except DataError as error:
        raise DataError(str(error).removeprefix(f"{Path(path)}: ").removesuffix(".")) from None
    except OSError as error:
        raise DataError(f"cannot be read ({os.strerror(error.errno or 0).lower()})") from error


def _decode(data: bytes, errors: str = "strict") -> str:
    if data.startswith(b"PAR1"):
        raise DataError("is a Parquet file; captions are translated as .jsonl or .csv")
    text = text_of(data, errors)
    if not text.strip():
        raise DataError("is empty")
    return text


def _read_json(name: str, text: str) -> list[Row]:
    """The rows of JSON Lines, or of a list such as COCO's results."""
    try:
        several = json.loads(text)
    except (ValueError, RecursionError):  # as of all JSON Lines but a single one
        several = None
    if isinstance(several, dict | list):
        listed = several if isinstance(several, list) else [several]
        return [_json_row(f"{name}:{number}", fields) for number, fields in enumerate(listed, 1)]
    rows = []
    for number, line in enumerate(lines_of(text), 1):
        try:
            if line.strip():
                rows.append(_json_row(f"{name}:{number}", json.loads(line)))
        except (ValueError, RecursionError) as error:
            rows.append(Row(f"{name}:{number}", {"line": line}, error=f"not JSON ({error})"))
    return rows


def _json_row(name: str, fields: Any) -> Row:
    if not isinstance(fields, dict):
        return Row(name, {"line": json.dumps(fields, ensure_ascii=False)}, error="not a JSON object with a caption")
    places = [Place(("caption",))] if isinstance(fields.get("caption"), str) else []
    for key in ("captions", "segments"):
        several = fields.get(key)
        for number, each in enumerate(several if isinstance(several, list) else ()):
            if isinstance(each, dict) and isinstance(each.get("caption"), str):
                places.append(Place((key, number, "caption")))
    if not places and not fields.get("error"):  # what could not be captioned says so itself
        return Row(name, fields, error='has no caption to translate; a row is such as {"caption": "A dog runs."}')
    return Row(name, fields, places)


def _read_csv(path: str, data: bytes) -> Document:
    text = _decode(data, "surrogateescape")  # a photo's name may be no UTF-8, and stays the bytes that it is
    first = next(line for line in lines_of(text) if line.strip())
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=column_mark(first) or ",", strict=True)
    rows, line = [], 1
    try:
        for cells in reader:
            if cells:  # a line without any cell is none
                rows.append((line, cells))
            line = reader.line_num + 1
    except csv.Error as reason:
        raise DataError(f"not a table of comma-separated cells (line {reader.line_num}: {reason})") from None
    columns = rows[0][1]
    captions = [column for column in columns if re.fullmatch(r"caption(_\d+)?", column)]
    if not captions:
        raise DataError(f"has no column named caption, but {', '.join(columns[:8])}")
    twice = [column for column in dict.fromkeys(columns) if columns.count(column) > 1]
    if twice:
        raise DataError(f"has two columns named {twice[0]!r}; give each its own name")
    places = [Place((column,), column.replace("caption", "translation")) for column in captions]
    name = "standard input" if path == STANDARD_INPUT else path
    read = []
    for number, cells in rows[1:]:
        if any(_is_broken(cell) for column, cell in zip(columns, cells, strict=False) if column in captions):
            text_of(data)  # says what is no UTF-8
        if len(cells) != len(columns):
            error = f"has {len(cells)} cells, but there are {len(columns)} columns"
            read.append(Row(f"{name}:{number}", dict(zip(columns, cells, strict=False)), error=error))
        else:
            read.append(Row(f"{name}:{number}", dict(zip(columns, cells, strict=True)), places))
    return Document(path, "csv", read, tuple(columns), tuple(place.translation for place in places))


def _is_broken(cell: str) -> bool:
    return any("\udc80" <= character <= "\udcff" for character in cell)


def _read_subtitles(name: str, text: str, kind: Kind) -> list[Row]:
    """Cues, and between them what is not one, such as the header of WebVTT, its notes and styles."""
    place = [Place(("caption",))]
    blocks = enumerate(read_cues(text, vtt=kind == "vtt"), 1)
    rows = [Row(f"{name}:{number}", fields, place if fields.get("caption") else []) for number, fields in blocks]
    if not any("cue" in row.fields for row in rows):
        raise DataError("has no subtitles, which are a line of times such as 00:00:01,000 --> 00:00:02,000 and text")
    return rows


def _inner(value: Any, at: Sequence[str | int]) -> Any:
    for key in at:
        value = value[key]
    return value


def named(path: str) -> str:
    """An input's name for people."""
    return "standard input" if path == STANDARD_INPUT else shown(path)
