"""Lists of photos: CSV, TSV and Parquet files with a column of paths."""

import os
from pathlib import Path

from captioner.data.addresses import is_remote
from captioner.data.names import first_few
from captioner.data.parquet import PHOTO_COLUMNS, open_parquet, path_column, photo_column
from captioner.data.tables import read_parquet, read_texts, split_rows
from captioner.errors import DataError

SUFFIXES = (".csv", ".tsv", ".parquet")
"""What lists are called; a Parquet file may hold photos themselves instead, see `holds_photos`."""


def read_photo_list(path: str) -> list[str]:
    """The paths that a list names, in its order; those that are relative are taken from the list's folder.

    Args:
        path: of a CSV file (commas or semicolons), a TSV file or a Parquet file. One of its columns is called `path`,
            `image`, `file_name` or the like; a table without names has the paths in its first column.

    Raises:
        DataError: it cannot be read, or no column holds paths.
    """
    folder = os.path.dirname(path)
    values = _column_of_parquet(path) if path.lower().endswith(".parquet") else _column_of_text(path)
    return [located(value, folder) for value in values if value.strip()]


def holds_photos(path: str) -> bool:
    """Whether a Parquet file holds photos, not paths.

    Raises:
        DataError: it cannot be read.
    """
    with open_parquet(path, path) as file:
        return photo_column(file) is not None


def _column_of_text(path: str) -> list[str]:
    text = read_texts(Path(path), errors="surrogateescape")
    first = text.partition("\n")[0]
    delimiter = "\t" if path.lower().endswith(".tsv") else max(",;\t", key=first.count)
    rows = split_rows(text, delimiter, path)
    if not rows:
        return []
    place = _place(rows[0])
    if place is not None:
        return [row[place] if place < len(row) else "" for row in rows[1:]]
    if not os.path.splitext(rows[0][0])[1]:
        raise DataError(f"{path}: no column is called path, image or file_name; they are {first_few(rows[0], 9)}.")
    return [row[0] for row in rows]


def _column_of_parquet(path: str) -> list[str]:
    with open_parquet(path, path) as file:
        column = path_column(file)
        columns = list(file.schema_arrow.names)
    if column is None:
        raise DataError(
            f"{path}: no column of texts is called path, image or file_name; its columns are {first_few(columns, 9)}."
        )
    table = read_parquet(Path(path), lambda names: [column])
    return [str(row[0]) for row in table.rows if row[0] is not None]


def _place(columns: list[str]) -> int | None:
    """Where the column of paths stands."""
    names = [name.lower() for name in columns]
    return next((names.index(name) for name in PHOTO_COLUMNS if name in names), None)


def located(value: str, folder: str, start: str = "") -> str:
    """A path as it can be opened: from the list's folder, or else as it stands; separated as this system does it.

    Args:
        value: what the list says, whose blanks at either end belong to a name only where there is such a file; an
            address of another machine stays what it is.
        folder: of the list.
        start: where relative paths begin, if that is not here.
    """
    bare = value.strip()
    if is_remote(bare):
        return bare
    for name in dict.fromkeys((value, bare, bare.replace("\\", "/"))):
        for choice in (os.path.join(folder, name), name):
            if os.path.lexists(os.path.join(start, choice)):
                return choice
    return os.path.join(folder, bare)
