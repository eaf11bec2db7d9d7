"""Rows of comma-separated cells in a file that may be continued."""

import csv
import io
from collections.abc import Sequence
from typing import Any

from captioner.pipelines.folder.row_file import RowFile


def csv_rows(file: RowFile) -> list[tuple[list[str], int]]:
    """The whole rows of a file, each with the byte where the next one begins."""
    rows, pending, offset = [], b"", 0
    for line in file.lines():
        pending += line
        offset += len(line)
        if pending.count(b'"') % 2 == 0 and line.endswith(b"\n"):  # a cell may hold line breaks
            text = pending.decode("utf-8", "surrogateescape").removesuffix("\n")
            rows.append((next(csv.reader(io.StringIO(text, newline="")), []), offset))
            pending = b""
    return rows


def csv_line(cells: Sequence[Any]) -> bytes:
    """A row without its end."""
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue().removesuffix("\r\n").encode("utf-8", "surrogateescape")
