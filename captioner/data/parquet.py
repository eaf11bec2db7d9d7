"""Parquet files of photos: those that hold them (bytes, as Hugging Face's data sets do), and lists of their paths.

pyarrow reads them; it is in the extra `captioner[formats]` and is imported when the first such file comes.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from captioner.data.names import inner_name
from captioner.errors import DataError

PHOTO_COLUMNS = ("path", "image", "file_name", "filename", "image_path", "file_path", "filepath", "file", "img", "jpg")
"""What a column of photos, or of their paths, is called, the likeliest first."""

_MAGIC = b"PAR1"


def is_parquet(head: bytes) -> bool:
    """Whether a file that begins so is a Parquet file."""
    return head.startswith(_MAGIC)


def open_parquet(source: Path | str | BinaryIO, name: str) -> Any:
    """Open a Parquet file as pyarrow's `ParquetFile`.

    Raises:
        DataError: pyarrow is not installed, or the file cannot be read.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise DataError(f'{name}: Parquet files need pyarrow; pip install "captioner[formats]".') from error
    try:
        return pyarrow.parquet.ParquetFile(source)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{name}: not a Parquet file that can be read ({_first_line(error)}).") from error


def photo_column(file: Any) -> str | None:
    """The column that holds photos as bytes, alone or in a structure with a path; None if there is none."""
    import pyarrow

    def holds_bytes(kind: Any) -> bool:
        if pyarrow.types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0 and holds_bytes(kind.field("bytes").type)
        return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))

    found = [each.name for each in file.schema_arrow if holds_bytes(each.type)]
    return min(found, key=_likelihood, default=None)


def path_column(file: Any) -> str | None:
    """The column that holds the paths of photos; None if no column is called so."""
    import pyarrow

    def holds_text(kind: Any) -> bool:
        if pyarrow.types.is_dictionary(kind):
            return holds_text(kind.value_type)
        return bool(pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind))

    texts = [each.name for each in file.schema_arrow if holds_text(each.type)]
    named = [name for name in texts if name.lower() in PHOTO_COLUMNS]
    return min(named, key=_likelihood, default=None)


def row_names(file: Any, column: str) -> list[str]:
    """What the photos of a Parquet file are called: their paths, or `row-17`, counted from 0, where these do not tell.

    A path that is no plain name, such as that of a file of another machine, tells nothing either.

    Args:
        file: as `open_parquet` gives it.
        column: of the photos.
    """
    paths: list[str | None] = []
    structure = file.schema_arrow.field(column).type
    inner = hasattr(structure, "get_field_index") and structure.get_field_index("path") >= 0
    beside = None if inner else path_column(file)
    if inner or beside is not None:
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=[f"{column}.path" if inner else beside])
            values = table.column(0).to_pylist()
            paths += [value.get("path") if isinstance(value, dict) else value for value in values]
    else:
        paths = [None] * file.metadata.num_rows
    names = [inner_name(path) if path else None for path in paths]
    times = Counter(names)
    return [name if name is not None and times[name] == 1 else f"row-{row}" for row, name in enumerate(names)]


def group_photos(file: Any, column: str, group: int) -> list[bytes]:
    """The photos of a row group; empty where there is none."""
    values = file.read_row_group(group, columns=[column]).column(0).to_pylist()
    return [(value.get("bytes") if isinstance(value, dict) else value) or b"" for value in values]


def stored_photos(source: BinaryIO, name: str) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of the photos in a Parquet file, in order.

    Raises:
        DataError: it cannot be read, is damaged from here on, or holds no photos.
    """
    file = open_parquet(source, name)
    column = photo_column(file)
    if column is None:
        columns = ", ".join(file.schema_arrow.names)
        raise DataError(f"{name}: no column holds photos as bytes; its columns are {columns}.")
    import pyarrow

    try:
        names = iter(row_names(file, column))
        for group in range(file.num_row_groups):
            for data in group_photos(file, column, group):
                yield next(names), data
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise DataError(f"{name}: damaged Parquet file ({_first_line(error)}).") from error


def _likelihood(column: str) -> int:
    name = column.lower()
    return PHOTO_COLUMNS.index(name) if name in PHOTO_COLUMNS else len(PHOTO_COLUMNS)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
