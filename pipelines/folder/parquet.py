"""Parquet files of rows, written when a run ends; until then their rows are in a file that can be continued."""

import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from typing import Any

from captioner.data.parquet import open_parquet
from captioner.errors import DataError, UsageError
from captioner.pipelines.folder.inputs import as_text, shown
from captioner.pipelines.folder.records import Record, to_json
from captioner.pipelines.folder.row_file import WriteError, reason, replace_file
from captioner.pipelines.folder.rows import JsonRows

_ROWS = 10_000  # of a row group


class ParquetRows(JsonRows):
    """Rows of JSON in `x.parquet.rows` while a run lasts or after it was interrupted, in `x.parquet` when it has ended.

    Args:
        path: of the Parquet file.
        columns: their names and types: `str`, `float`, or the columns of a list of rows.
        options: of `FileRows`.

    Raises:
        UsageError: pyarrow is not installed, or the file cannot be written, or holds something else.
    """

    def __init__(self, path: str, columns: Mapping[str, Any], *, overwrite: bool, **options: Any) -> None:
        self.target = path
        self.columns = {**columns, "warning": str, "error": str}
        try:
            import pyarrow  # noqa: F401
        except ImportError:
            raise UsageError(f'{shown(path)}: Parquet files need pyarrow; pip install "captioner[formats]".') from None
        rows = f"{path}.rows"
        if not overwrite and os.path.exists(path) and not os.path.exists(rows):
            try:
                replace_file(rows, self._held())
            except OSError as error:
                raise UsageError(f"{shown(rows)}: cannot be written ({reason(error)}).") from error
        super().__init__(rows, overwrite=overwrite, output=path, **options)

    def row(self, record: Record) -> Mapping[str, Any]:
        """What to write of a record: its path as the Parquet file will have it, so that it is known there again."""
        row = record.as_json()
        return {**row, "path": _plain(row["path"])}

    def close(self) -> None:
        """Write the Parquet file whole, and let the file of rows go.

        Raises:
            WriteError: it cannot be written; the rows are kept.
        """
        import pyarrow
        import pyarrow.parquet

        super().close()
        schema = schema_of(self.columns)
        buffer = io.BytesIO()
        with pyarrow.parquet.ParquetWriter(buffer, schema) as writer, open(self.file.path, "rb") as lines:
            while some := list(islice(lines, _ROWS)):
                writer.write_table(table_of([json.loads(line) for line in some], schema))
        try:
            replace_file(self.target, [buffer.getvalue()], sync=True)
        except OSError as error:
            raise WriteError(
                f"{shown(self.target)}: cannot be written ({reason(error)}). Its rows are whole in "
                f"{shown(self.file.path)}; make room and run the same command again."
            ) from error
        with suppress(OSError):
            os.unlink(self.file.path)

    def _held(self) -> Iterator[bytes]:
        """The rows of the Parquet file that is there, as lines of JSON."""
        try:
            with open_parquet(self.target, self.target) as file:
                if not {"path"} < set(file.schema_arrow.names) <= set(self.columns):
                    raise DataError(
                        f"{self.target}: its columns are not {', '.join(self.columns)}, so it cannot be continued; "
                        "choose another output, or --overwrite."
                    )
                for batch in file.iter_batches():
                    for row in batch.to_pylist():
                        yield to_json({key: value for key, value in row.items() if value is not None}) + b"\n"
        except DataError as error:
            raise UsageError(str(error)) from error


def schema_of(columns: Mapping[str, Any]) -> Any:
    """A Parquet file's schema, of columns as `ParquetRows` takes them."""
    import pyarrow

    return pyarrow.schema(list(_fields(columns)))


def table_of(rows: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    """Rows of JSON as a table."""
    import pyarrow

    plain = [{key: _plain(value) for key, value in row.items()} for row in rows]
    return pyarrow.Table.from_pylist(plain, schema=schema)


def _fields(columns: Mapping[str, Any]) -> Iterator[Any]:
    import pyarrow

    for name, kind in columns.items():
        inner = pyarrow.list_(pyarrow.struct(list(_fields(kind)))) if isinstance(kind, Mapping) else None
        yield pyarrow.field(name, inner or (pyarrow.string() if kind is str else pyarrow.float64()))


def _plain(value: Any) -> Any:
    """Names in bytes that are no UTF-8, as people see them: Parquet has no others."""
    return as_text(value) if isinstance(value, str) else value
