"""Shards of results: JSON Lines, Parquet, or a tar file with each photo, its caption and its row beside it."""

import io
import json
import re
import tarfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from captioner.data.addresses import explained, open_address, without_query
from captioner.data.packed import read_packed
from captioner.errors import DataError, ImageError
from captioner.pipelines.cluster.job import Columns
from captioner.pipelines.cluster.options import ShardFormat
from captioner.pipelines.folder.outputs import Record, to_json
from captioner.pipelines.folder.parquet import schema_of, table_of

ABOUT = "captioner.json"
"""The file in a folder of results that tells what made them."""
COUNTS = "captioner-failures.json"
"""The file that tells in how many files of each shard something had failed."""
OURS = re.compile(r"(?P<stem>.+)\.(?P<source>[0-9a-f]{6})-[0-9a-f]{6}|files-(?P<number>\d+)\.[0-9a-f]{12}")
"""What shards of results are called, without their suffix."""

_ROWS = 1024  # of a Parquet file's row group


class Results(ABC):
    """Writes the records of one shard to a local file.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def add(self, record: Record, content: Path | None) -> None:
        """Add a record.

        Args:
            record: of an input.
            content: its file on this machine; None where it could not be read at all.
        """

    @abstractmethod
    def close(self) -> None:
        """Finish the file."""


class JsonResults(Results):
    """A line of JSON for each record, as the command writes it on one machine."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.file = open(path, "wb")  # noqa: SIM115 - stays open until close

    def add(self, record: Record, content: Path | None) -> None:
        """Add a line."""
        self.file.write(to_json(record.as_json()) + b"\n")

    def close(self) -> None:
        """Finish the file."""
        self.file.close()


class ParquetResults(Results):
    """A row for each record, with the same columns in every shard.

    Args:
        path: of the file.
        columns: of the command's rows.
    """

    def __init__(self, path: Path, columns: Columns) -> None:
        import pyarrow.parquet

        super().__init__(path)
        self.schema = schema_of({"path": str, **columns, "warning": str, "error": str})
        self.writer = pyarrow.parquet.ParquetWriter(path, self.schema)
        self.rows: list[dict[str, Any]] = []

    def add(self, record: Record, content: Path | None) -> None:
        """Add a row."""
        self.rows.append(record.as_json())
        if len(self.rows) == _ROWS:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        self.writer.close()

    def _flush(self) -> None:
        if self.rows:
            self.writer.write_table(table_of(self.rows, self.schema))
            self.rows = []


class TarResults(Results):
    """A WebDataset shard: `000017.jpg`, `000017.txt` with what was found, a line each, and `000017.json`, the row.

    A file that could not be read has no text.

    Args:
        path: of the file.
        text: the field of a row, or of each of its captions, that becomes the text.
    """

    def __init__(self, path: Path, text: str) -> None:
        super().__init__(path)
        self.text = text
        self.count = 0
        self.tar = tarfile.open(path, "w", format=tarfile.PAX_FORMAT)  # noqa: SIM115 - stays open until close

    def add(self, record: Record, content: Path | None) -> None:
        """Add the file, the text and the row."""
        key = f"{self.count:06}"
        self.count += 1
        data = None if content is None else _bytes_of(content)
        if data is not None:
            suffix = Path(without_query(record.path)).suffix.lower()
            self._put(key + (".bin" if suffix in ("", ".txt", ".json") else suffix), data)
        if record.error is None:
            lines = [str(each[self.text]) for each in record.fields.get("captions", [record.fields])]
            self._put(f"{key}.txt", "".join(f"{line}\n" for line in lines).encode())
        self._put(f"{key}.json", to_json(record.as_json()))

    def close(self) -> None:
        """Finish the file."""
        self.tar.close()

    def _put(self, name: str, data: bytes) -> None:
        info = tarfile.TarInfo(name)  # without a time, so that a shard that is made twice is the same
        info.size = len(data)
        self.tar.addfile(info, io.BytesIO(data))


def _bytes_of(path: Path) -> bytes | None:
    """A file's bytes, also of one in an archive; None of a folder of frames, and where they cannot be read."""
    try:
        return path.read_bytes() if path.is_file() else read_packed(str(path))
    except (OSError, ValueError, ImageError):  # which its row tells
        return None


def results_of(shard_format: ShardFormat, path: Path, columns: Columns, text: str) -> Results:
    """The writer of a format."""
    if shard_format is ShardFormat.PARQUET:
        return ParquetResults(path, columns)
    return JsonResults(path) if shard_format is ShardFormat.JSONL else TarResults(path, text)


def read_rows(address: str) -> Iterator[dict[str, Any]]:
    """The rows of a shard of results; of a Parquet file their paths, warnings and errors only.

    Raises:
        DataError: it cannot be read.
    """
    with open_address(address) as file, explained(address):
        if address.endswith(".parquet"):
            import pyarrow.parquet

            table = pyarrow.parquet.read_table(file, columns=["path", "warning", "error"])
            yield from ({key: value for key, value in row.items() if value is not None} for row in table.to_pylist())
        elif address.endswith(".tar"):
            with tarfile.open(fileobj=file, mode="r|") as tar:
                for info in tar:
                    data = tar.extractfile(info)
                    if info.name.endswith(".json") and data is not None:
                        yield _row(data.read(), address)
        else:
            for line in file:
                yield _row(line, address)


def _row(line: bytes, address: str) -> dict[str, Any]:
    row = json.loads(line)
    if not isinstance(row, dict) or "path" not in row:
        raise DataError(f"{address}: holds a line that is no row of this command; choose another output.")
    return row
