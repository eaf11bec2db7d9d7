"""Where results go: JSON Lines and CSV files that can be continued, and pipes. Shared by all folder commands.

A row is one input's result. Inputs that a file holds already are not done again.
"""

import csv
import io
import json
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.row_file import RowFile


@dataclass
class Record:
    """One input's result.

    Attributes:
        path: of the input.
        fields: what was found, in JSON's types; empty if there is an error.
        error: why the input could not be read.
        warning: what is wrong with an input that could be read all the same.
        picture: what a gallery shows besides; None for other outputs.
    """

    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    warning: str | None = None
    picture: Any = None

    def as_json(self) -> dict[str, Any]:
        """The record as it stands in a JSON Lines file."""
        problems = {"warning": self.warning, "error": self.error}
        return {"path": self.path, **self.fields, **{key: value for key, value in problems.items() if value}}


class Writer(ABC):
    """Takes records. `done` maps the inputs that the output holds already to whether they failed."""

    def __init__(self) -> None:
        self.done: dict[str, bool] = {}

    @abstractmethod
    def write(self, records: Sequence[Record]) -> None:
        """Add records.

        Raises:
            WriteError: the disk is full, or the like.
        """

    def close(self) -> None:  # noqa: B027 - only files have anything to finish
        """Finish the output."""


class JsonRows(Writer):
    """A writer whose rows are lines of JSON; continues what a file holds.

    Args:
        path: of the file.
        overwrite: start afresh.
        layout: head, between and tail of `RowFile`.

    Raises:
        UsageError: the file cannot be written, or holds something else.
    """

    def __init__(self, path: str, *, overwrite: bool, **layout: bytes) -> None:
        super().__init__()
        self.file = RowFile(path, **layout)
        self.file.start(*((0, 0) if overwrite else self._read()))

    def row(self, record: Record) -> Mapping[str, Any] | None:
        """What to write of a record; None to pass it over."""
        return record.as_json()

    def key(self, row: Mapping[str, Any]) -> str:
        """The input that a row of the file is about.

        Raises:
            KeyError: it is about none.
        """
        return identity(row["path"])

    def write(self, records: Sequence[Record]) -> None:
        """Append records."""
        chosen = [(record, row) for record in records if (row := self.row(record)) is not None]
        self.file.append([to_json(row) for _, row in chosen])
        self.done.update({identity(record.path): record.error is not None for record, _ in chosen})

    def close(self) -> None:
        """Write through to the disk."""
        self.file.close()

    def _read(self) -> tuple[int, int]:
        """Fill `done`; returns where the last whole row ends, and how many rows there are."""
        offset = end = len(self.file.head)
        rows = 0
        rest = b""
        with open(self.file.path, "rb") as file:
            head = file.read(offset)
            if head != self.file.head:
                if self.file.head.startswith(head):
                    return 0, 0  # new, or killed while the head was being written
                raise UsageError(self._foreign(1))
            for number, line in enumerate(file, 1 + head.count(b"\n")):
                row = _parse(line.strip().removesuffix(b","))
                if rest or row is None:
                    if row is not None:
                        raise UsageError(self._foreign(number - 1))
                    rest += line[:1000]
                else:
                    try:
                        self.done[self.key(row)] = "error" in row
                    except (KeyError, TypeError):
                        raise UsageError(self._foreign(number)) from None
                    end = offset + len(line.rstrip().removesuffix(b","))
                    rows += 1
                offset += len(line)
        if not self.file.is_tail(rest):
            raise UsageError(self._foreign(rows + 1))
        return end, rows

    def _foreign(self, line: int) -> str:
        return (
            f"{shown(self.file.path)}: line {line} is not a row of this command, so the file cannot be continued; "
            "choose another output, or --overwrite."
        )


class CsvRows(Writer):
    """Comma-separated rows under a line of column names; continues what a file holds.

    Args:
        path: of the file.
        columns: names, the first of which is `path`; `warning` and `error` are added.
        overwrite: start afresh.

    Raises:
        UsageError: the file cannot be written, or has other columns.
    """

    def __init__(self, path: str, columns: Sequence[str], *, overwrite: bool) -> None:
        super().__init__()
        self.columns = [*columns, "warning", "error"]
        self.file = RowFile(path)
        end, rows = (0, 0) if overwrite else self._read()
        self.file.start(end, rows)
        if not rows:
            self.file.append([_csv_line(self.columns)])

    def write(self, records: Sequence[Record]) -> None:
        """Append records."""
        self.file.append([_csv_line(self._cells(row)) for record in records for row in self.rows(record)])
        self.done.update({identity(record.path): record.error is not None for record in records})

    def rows(self, record: Record) -> list[Mapping[str, Any]]:
        """A record's rows, by column; usually one."""
        return [record.as_json()]

    def is_last(self, row: Mapping[str, str]) -> bool:
        """Whether no row of the same record follows."""
        return True

    def close(self) -> None:
        """Write through to the disk."""
        self.file.close()

    def _cells(self, row: Mapping[str, Any]) -> list[Any]:
        values: dict[str, Any] = {}
        for name, value in row.items():
            # the second of a list's items goes to columns ending in _2, and so on
            items = value if isinstance(value, list) else [{name: value}]
            for place, item in enumerate(items, 1):
                values |= {key if place == 1 else f"{key}_{place}": cell for key, cell in item.items()}
        return [values.get(column, "") for column in self.columns]

    def _read(self) -> tuple[int, int]:
        """Fill `done`; returns where the last whole row ends, and how many rows there are, the names' among them."""
        offset = end = rows = open_rows = 0
        pending = b""
        for line in self.file.lines():
            pending += line
            offset += len(line)
            if pending.count(b'"') % 2 or not line.endswith(b"\n"):
                continue  # a cell may hold line breaks; the last line may be unfinished
            row = next(csv.reader([pending.decode("utf-8", "surrogateescape")]), [])
            if rows == 0 and row != self.columns:
                break
            pending = b""
            open_rows += 1
            if rows and len(row) == len(self.columns):
                if not self.is_last(dict(zip(self.columns, row, strict=True))):
                    continue  # kept only if the record's last row is there too
                self.done[identity(row[0])] = bool(row[-1])
            rows, end, open_rows = rows + open_rows, offset - 1, 0
        if rows == 0 and not _csv_line(self.columns).startswith(pending):
            raise UsageError(
                f"{shown(self.file.path)}: its columns are not {', '.join(self.columns)}, so it cannot be continued; "
                "choose another output, or --overwrite."
            )
        return end, rows


class JsonStream(Writer):
    """JSON Lines on standard output, for pipes."""

    def write(self, records: Sequence[Record]) -> None:
        """Print records."""
        sys.stdout.buffer.write(b"".join(to_json(record.as_json()) + b"\n" for record in records))
        sys.stdout.buffer.flush()


class Outputs:
    """Several writers as one; each gets only the records that it does not hold yet."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self.writers = writers

    def done(self, path: str) -> bool | None:
        """None if any output lacks this input; otherwise whether it failed."""
        key = identity(path)
        states = [writer.done.get(key) for writer in self.writers]
        return None if None in states else any(states)

    def write(self, records: Sequence[Record]) -> None:
        """Give each writer what it lacks."""
        for writer in self.writers:
            writer.write([record for record in records if identity(record.path) not in writer.done])

    def close(self) -> None:
        """Close all."""
        for writer in self.writers:
            writer.close()


def to_json(row: Mapping[str, Any]) -> bytes:
    """One line of JSON; a name that is no UTF-8 keeps its bytes as escaped surrogates, which Python reads back."""
    try:
        return json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(row).encode()


def writer_of(path: str, choices: Mapping[str, Callable[[], Writer]]) -> Writer:
    """The writer for a file's suffix.

    Raises:
        UsageError: there is none.
    """
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in choices:
        raise UsageError(f"{shown(path)}: an output ends in one of {' '.join(choices)}.")
    return choices[suffix]()


def _parse(line: bytes) -> Mapping[str, Any] | None:
    try:
        row = json.loads(line)
    except ValueError:
        return None
    return row if isinstance(row, dict) else None


def _csv_line(cells: Sequence[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)  # its own line end, because cells that hold one of its characters are quoted
    return line.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape")
