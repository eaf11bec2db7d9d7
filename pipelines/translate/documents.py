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
from typing import Any, Literal

from captioner.errors import DataError
from captioner.pipelines.folder.inputs import shown

Kind = Literal["text", "json", "csv", "srt", "vtt"]

SUFFIXES: dict[str, Kind] = {".txt": "text", ".jsonl": "json", ".csv": "csv", ".srt": "srt", ".vtt": "vtt"}
STANDARD_INPUT = "-"
ADDED = ("translation", "translations", "warning", "error")
"""What translating adds to a row."""

_TIMES = re.compile(r"\s*[\d:.,]+\s*-->\s*[\d:.,]+")


@dataclass(frozen=True)
class Place:
    """Where a sentence stands in a row's fields, from the outside in, and the key of its translation."""

    at: tuple[str | int, ...]
    translation: str = "translation"


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

    def with_added(self, values: Iterable[Any], key: str | None = None) -> dict[str, Any]:
        """The fields with a value added beside each sentence, under its own key or under `key`."""
        fields = copy.deepcopy(dict(self.fields))
        for place, value in zip(self.places, values, strict=True):
            _inner(fields, place.at[:-1])[key or place.translation] = value
        return fields


@dataclass(frozen=True)
class Document:
    """An input.

    Attributes:
        path: as given; `-` is standard input.
        kind: of its form.
        rows: in order.
        columns: of a CSV file.
    """

    path: str
    kind: Kind
    rows: Sequence[Row]
    columns: tuple[str, ...] = ()


def read_document(path: str) -> Document:
    """Read an input; its suffix says what it is, and anything else is text, a sentence a line.

    Standard input is JSON Lines if its first line is a JSON object, otherwise text.

    Raises:
        DataError: it cannot be read, is empty, or is not UTF-8; the message does not name the path.
    """
    text = _decode(_read(path))
    if path == STANDARD_INPUT:
        kind: Kind = "json" if text.lstrip().startswith("{") else "text"
    else:
        kind = SUFFIXES.get(os.path.splitext(path)[1].lower(), "text")
    name = "standard input" if path == STANDARD_INPUT else path
    if kind == "csv":
        return _read_csv(path, name, text)
    if kind in ("srt", "vtt"):
        return Document(path, kind, _read_subtitles(name, text))
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    if kind == "json":
        return Document(path, kind, [_json_row(f"{name}:{n}", line) for n, line in enumerate(lines, 1) if line.strip()])
    place = [Place(("text",))]
    return Document(path, kind, [Row(f"{name}:{n}", {"text": line}, place) for n, line in enumerate(lines, 1)])


def _read(path: str) -> bytes:
    if path == STANDARD_INPUT:
        return sys.stdin.buffer.read()
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise DataError(f"cannot be read ({os.strerror(error.errno or 0).lower()})") from error


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"not UTF-8 text (byte {data[error.start]:#04x} at position {error.start}); convert it, such as with: "
            "iconv -f latin1 -t utf-8"
        ) from None
    if "\0" in text:
        raise DataError("not text, for it holds zero bytes; if it is UTF-16, convert it to UTF-8")
    if not text.strip():
        raise DataError("is empty")
    return text


def _json_row(name: str, line: str) -> Row:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError) as error:
        return Row(name, {"line": line}, error=f"not JSON ({error})")
    if not isinstance(fields, dict):
        return Row(name, {"line": line}, error="not a JSON object with a caption")
    places = [Place(("caption",))] if isinstance(fields.get("caption"), str) else []
    for key in ("captions", "segments"):
        several = fields.get(key)
        for number, each in enumerate(several if isinstance(several, list) else ()):
            if isinstance(each, dict) and isinstance(each.get("caption"), str):
                places.append(Place((key, number, "caption")))
    if not places and "error" not in fields:  # what could not be captioned says so itself
        return Row(name, fields, error="has no caption to translate; a row is such as {\"caption\": \"A dog runs.\"}")
    return Row(name, fields, places)


def _read_csv(path: str, name: str, text: str) -> Document:
    rows = list(csv.reader(io.StringIO(text, newline="")))
    columns = rows[0]
    captions = [column for column in columns if re.fullmatch(r"caption(_\d+)?", column)]
    if not captions:
        raise DataError(f"has no column named caption, but {', '.join(columns[:8])}")
    places = [Place((column,), column.replace("caption", "translation")) for column in captions]
    read = []
    for number, cells in enumerate(rows[1:], 2):
        if len(cells) != len(columns):
            error = f"has {len(cells)} cells, but there are {len(columns)} columns"
            read.append(Row(f"{name}:{number}", dict(zip(columns, cells, strict=False)), error=error))
        else:
            fields = dict(zip(columns, cells, strict=True))
            read.append(Row(f"{name}:{number}", fields, [place for place in places if fields[str(place.at[0])]]))
    return Document(path, "csv", read, tuple(columns))


def _read_subtitles(name: str, text: str) -> list[Row]:
    """Cues, and between them what is not one, such as the header of WebVTT, its notes and styles."""
    rows = []
    for number, block in enumerate(re.split(r"\n{2,}", text.replace("\r\n", "\n").strip("\n")), 1):
        lines = block.split("\n")
        times = next((place for place, line in enumerate(lines[:2]) if _TIMES.match(line)), None)
        if times is None:
            rows.append(Row(f"{name}:{number}", {"block": block}))
        else:
            caption = " ".join(line.strip() for line in lines[times + 1 :])
            fields = {"cue": "\n".join(lines[: times + 1]), "caption": caption}
            rows.append(Row(f"{name}:{number}", fields, [Place(("caption",))] if caption else []))
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
