"""Rows that other programs wrote: tables separated by commas, tabs, semicolons or bars, JSON Lines, and Parquet files.

Cells are texts in tables, and whatever they are in the others. What a column means is for the caller to say.
"""

import codecs
import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.data.files import read_unpacked
from captioner.data.parquet import open_parquet
from captioner.errors import DataError

DELIMITERS = {"\t": "tabs", ",": "commas", "|": "bars", ";": "semicolons"}
"""What separates cells, and its name."""


@dataclass(frozen=True)
class Table:
    """Rows with their columns.

    Attributes:
        columns: names; empty where a table of texts does not name them.
        rows: with as many cells as there are columns, None for what a row lacks.
        broken: the numbers of rows that had too few cells or too many, and are left out.
    """

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    broken: tuple[int, ...] = ()


def read_texts(path: Path, errors: str = "strict") -> str:
    """The text of a file in UTF-8, or in UTF-16 with its mark at the beginning, possibly gzipped.

    Args:
        path: of the file.
        errors: what to do with other bytes, as Python's `decode` takes it.

    Raises:
        DataError: it cannot be read, or is another encoding.
    """
    try:
        data = read_unpacked(path)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    return decoded(data, path, errors)


def decoded(data: bytes, path: object, errors: str = "strict") -> str:
    """Text of bytes; see `read_texts`.

    Raises:
        DataError: they are in another encoding.
    """
    try:
        return text_of(data, errors)
    except DataError as error:
        raise DataError(f"{path}: {error}.") from None


def text_of(data: bytes, errors: str = "strict") -> str:
    """As `decoded`, for callers that name the file themselves.

    Raises:
        DataError: the bytes are in another encoding; a clause without a name and a full stop.
    """
    utf16 = data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    try:
        text = data.decode("utf-16" if utf16 else "utf-8-sig", errors)
    except UnicodeDecodeError as error:
        if utf16:
            raise DataError("begins as UTF-16 does, but is cut or damaged; write it again as UTF-8") from None
        raise DataError(
            f"not UTF-8 text (byte {error.object[error.start]:#04x} at position {error.start}); convert it, such as "
            "with: iconv -f latin1 -t utf-8"
        ) from None
    if "\0" in text:
        raise DataError("not text, for it holds zero bytes; is it UTF-16 without its mark? Convert it to UTF-8")
    return text


def lines_of(text: str) -> list[str]:
    """All lines of a text, empty ones too, with the line ends of any system: LF, CR LF, or where there is no LF, CR.

    Unlike `str.splitlines`, this does not cut at characters that occur inside sentences.
    """
    end = "\n" if "\n" in text else "\r"
    return text.replace("\r\n", "\n").removesuffix(end).split(end)


def split_rows(text: str, delimiter: str, path: object) -> list[list[str]]:
    """Cells of a table of texts, without empty lines.

    Commas and semicolons follow the rules of spreadsheets: quoted cells may hold the separator and line breaks. Tabs
    and bars need no quotes, so that quotes in captions are captions' own, unless they stand around a whole cell.

    Raises:
        DataError: it is no such table.
    """
    if delimiter in "\t|":
        rows = [[_unquoted(cell.strip()) for cell in line.split(delimiter)] for line in re.split(r"\r\n|\n|\r", text)]
    else:
        try:
            rows = list(csv.reader(_stream(text), delimiter=delimiter))
        except csv.Error as error:
            raise DataError(f"{path}: not a table separated by {DELIMITERS[delimiter]} ({error}).") from error
    return [row for row in rows if any(cell.strip() for cell in row)]


def _stream(text: str) -> io.StringIO:
    return io.StringIO(text, newline="")  # the reader looks after line breaks, those in cells too


def _unquoted(cell: str) -> str:
    inner = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"').strip() if quoted else cell


def even(rows: Iterable[Sequence[str]], columns: Sequence[str], last: int, delimiter: str) -> Table:
    """Rows with one cell a column; what follows the `last` column, unquoted, belongs to its text.

    Args:
        rows: cells.
        columns: their names.
        last: place of the column that takes surplus cells, where it is the last one; otherwise nobody knows which cell
            was cut in two.
        delimiter: that surplus cells are joined with again.
    """
    whole, broken = [], []
    for number, row in enumerate(rows, 1):
        if len(row) > len(columns) == last + 1:
            row = [*row[:last], delimiter.join(row[last:])]
        if len(row) < len(columns) or any(cell.strip() for cell in row[len(columns) :]):
            broken.append(number)
        else:
            whole.append(row[: len(columns)])
    return Table(tuple(columns), whole, tuple(broken))


def parse_json(text: str | bytes) -> Any:
    """What JSON holds; a key that an object has twice is refused, because nobody could say which counts.

    Raises:
        ValueError: it is not JSON, or has such a key.
        RecursionError: it is nested too deeply.
    """
    return json.loads(text, object_pairs_hook=_once)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in values if names.count(name) > 1)
        raise ValueError(f"{twice!r} is there twice; keep one")
    return values


def read_json_lines(path: Path) -> Table:
    """A JSON object a line.

    Raises:
        DataError: a line is something else; the file's last line may be cut short.
    """
    lines = [line for line in read_texts(path).split("\n") if line.strip()]
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            row = parse_json(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}: line {number} is not JSON, or cut short ({error}).") from error
        rows.append(row)
    return table_of(rows, path)


def table_of(rows: Sequence[Any], path: Path) -> Table:
    """A table of JSON objects, which need not have the same keys.

    Raises:
        DataError: a row is something else.
    """
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {number} is {type(row).__name__}, not an object with named values.")
    columns = tuple(dict.fromkeys(name for row in rows for name in row))
    return Table(columns, [[row.get(name) for name in columns] for row in rows])


def read_parquet(path: Path, choose: Callable[[Sequence[str]], Sequence[str]] | None = None) -> Table:
    """A Parquet file's rows.

    Args:
        path: of the file.
        choose: which columns to read, of those there are; all by default. Others, such as pictures, are not read.

    Raises:
        DataError: it cannot be read, or pyarrow is not installed.
    """
    file = open_parquet(path, str(path))
    try:
        names = list(file.schema_arrow.names)
        columns = names if choose is None else list(choose(names))
        values = file.read(columns=columns).to_pydict()
    except (OSError, ValueError) as error:  # pyarrow's own are of these
        reason = str(error).partition("\n")[0]
        raise DataError(f"{path}: damaged Parquet file ({reason}).") from error
    finally:
        file.close()
    return Table(tuple(columns), list(zip(*(values[name] for name in columns), strict=True)))
