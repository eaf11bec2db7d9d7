"""JSON Lines and CSV files, and files like them, that are whole after every write and can be continued.

Inputs that a file holds already are not done again, unless their files have changed since.
"""

import codecs
import csv
import io
import json
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from captioner.errors import UsageError
from captioner.pipelines.folder.held import HeldRows
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.made import Source, Stamp
from captioner.pipelines.folder.records import Record, Writer, to_json
from captioner.pipelines.folder.row_file import RowFile


class FileRows(Writer):
    """A writer to a file of rows, which is left as it is until there is something to write.

    Args:
        path: of the file.
        overwrite: start afresh.
        retry: make rows of inputs that failed anew.
        made_by: what makes the rows, see `made.made_by`; None if nobody will ask.
        stamps: of the inputs that are no files, as they are now, by `identity`.
        output: the file that people know, where the rows go elsewhere in the end.
        layout: head, between and tail of `RowFile`.

    Raises:
        UsageError: the file cannot be written, or holds something else.
    """

    def __init__(
        self,
        path: str,
        *,
        overwrite: bool,
        retry: bool = False,
        made_by: Mapping[str, Any] | None = None,
        stamps: Mapping[str, Stamp] | None = None,
        output: str | None = None,
        **layout: bytes,
    ) -> None:
        super().__init__()
        self.file = RowFile(path, **layout)
        self._begun = False
        try:
            self.held = HeldRows(output or path, made_by, retry=retry, stamps=stamps)
            self.done = self.held.done
            if not overwrite and os.path.getsize(path):
                self.held.check()
            self._place = (0, 0) if overwrite else self._read()
        except UsageError:
            self.file.abandon()
            raise

    @property
    def changed(self) -> int:
        """Inputs that the file held, but that have changed."""
        return self.held.changed

    def holds(self, path: str) -> bool | None:
        """Whether an input failed; None if the file lacks it, or is to get it anew."""
        return self.held.state(path)

    def notes(self) -> list[str]:
        """What people should know of the rows that are there."""
        return self.held.notes()

    def begin(self) -> None:
        """Make the file ready for rows, once.

        Raises:
            WriteError: it cannot be written.
        """
        if not self._begun:
            self._begun = True
            self.file.start(*self._place)
            self.held.begin(self.file)

    def close(self) -> None:
        """Write through to the disk."""
        self.begin()
        self.file.close()
        self.held.close()

    @abstractmethod
    def _read(self) -> tuple[int, int]:
        """Take note of the rows that are there; returns where the last whole row ends, and how many there are."""


class JsonRows(FileRows):
    """A writer whose rows are lines of JSON; continues what a file holds."""

    def row(self, record: Record) -> Mapping[str, Any] | None:
        """What to write of a record; None to pass it over."""
        return record.as_json()

    def key(self, row: Mapping[str, Any]) -> str:
        """The input that a row of the file is about.

        Raises:
            KeyError: it is about none.
        """
        return identity(row["path"])

    def location(self, row: Mapping[str, Any], source: Source | None) -> str:
        """The absolute path of the input that a row of the file is about.

        Raises:
            KeyError: it is about none.
        """
        key = self.key(row)
        return key if source is None else source.location

    def write(self, records: Sequence[Record]) -> None:
        """Append records."""
        self.append([(record, row, to_json(row)) for record in records if (row := self.row(record)) is not None])

    def append(self, rows: Sequence[tuple[Record, Mapping[str, Any], bytes]]) -> None:
        """Append records with their rows and what is written of these."""
        self.begin()
        self.held.add([(_name(row), record.path, record.stamp) for record, row, _ in rows])
        self.file.append([line for _, _, line in rows])
        self.done.update({identity(record.path): record.error is not None for record, _, _ in rows})

    def _read(self) -> tuple[int, int]:
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
                        source = self.held.take(_name(row))
                        location = self.location(row, source)
                    except (KeyError, TypeError):
                        raise UsageError(self._foreign(number)) from None
                    span = (offset, offset + len(line))
                    self.held.hold(location, _name(row), source, failed="error" in row, span=span)
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


class CsvRows(FileRows):
    """Comma-separated rows under a line of column names; continues what a file holds.

    Args:
        path: of the file.
        columns: names, the first of which is `path`; `warning` and `error` are added.
        bom: begin a new file with a byte order mark, by which spreadsheets know UTF-8.
        options: of `FileRows`.

    Raises:
        UsageError: the file cannot be written, or has other columns.
    """

    def __init__(self, path: str, columns: Sequence[str], *, bom: bool = False, **options: Any) -> None:
        self.columns = [*columns, "warning", "error"]
        self.mark = codecs.BOM_UTF8 if bom else b""
        super().__init__(path, **options)

    def begin(self) -> None:
        """Make the file ready for rows, once; a new one gets the columns' names."""
        super().begin()
        if not self.file.rows:
            self.file.append([self.mark + _csv_line(self.columns)])

    def write(self, records: Sequence[Record]) -> None:
        """Append records."""
        self.begin()
        self.held.add([(record.path, record.path, record.stamp) for record in records])
        self.file.append([_csv_line(self._cells(row)) for record in records for row in self.rows(record)])
        self.done.update({identity(record.path): record.error is not None for record in records})

    def rows(self, record: Record) -> list[Mapping[str, Any]]:
        """A record's rows, by column; usually one."""
        return [record.as_json()]

    def is_last(self, row: Mapping[str, str]) -> bool:
        """Whether no row of the same record follows."""
        return True

    def _cells(self, row: Mapping[str, Any]) -> list[Any]:
        values: dict[str, Any] = {}
        for name, value in row.items():
            # the second of a list's items goes to columns ending in _2, and so on
            items = value if isinstance(value, list) else [{name: value}]
            for place, item in enumerate(items, 1):
                for key, cell in item.items():  # what the row itself says of itself, such as `none fits`, stays
                    values.setdefault(key if place == 1 else f"{key}_{place}", cell)
        return [values.get(column, "") for column in self.columns]

    def _read(self) -> tuple[int, int]:
        # the names' row is counted too
        offset = end = rows = open_rows = start = 0
        pending = b""
        for line in self.file.lines():
            pending += line
            offset += len(line)
            if pending.count(b'"') % 2 or not line.endswith(b"\n"):
                continue  # a cell may hold line breaks; the last line may be unfinished
            text = pending.removeprefix(b"" if rows else codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
            row = next(csv.reader([text]), [])
            if rows == 0 and row != self.columns:
                break
            pending = b""
            open_rows += 1
            if rows and len(row) == len(self.columns):
                if not self.is_last(dict(zip(self.columns, row, strict=True))):
                    continue  # kept only if the record's last row is there too
                source = self.held.take(row[0])
                location = identity(row[0]) if source is None else source.location
                self.held.hold(location, row[0], source, failed=bool(row[-1]), span=(start, offset))
            rows, end, start, open_rows = rows + open_rows, offset - 1, offset, 0
        first = _csv_line(self.columns)
        if rows == 0 and not any(head.startswith(pending) for head in (first, codecs.BOM_UTF8 + first)):
            raise UsageError(
                f"{shown(self.file.path)}: its columns are not {', '.join(self.columns)}, so it cannot be continued; "
                "choose another output, or --overwrite."
            )
        return end, rows


def _name(row: Mapping[str, Any]) -> Any:
    """What a row calls its input: a path as it was typed, an image id, or a name in the folder of the rows."""
    return row.get("path", row.get("image_id", row.get("file_name")))


def _parse(line: bytes) -> Mapping[str, Any] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return row if isinstance(row, dict) else None


def _csv_line(cells: Sequence[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line).writerow(cells)  # its own line end, because cells that hold one of its characters are quoted
    return line.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape")
