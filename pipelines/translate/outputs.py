"""Outputs of translations: as many rows as were read, in their order, each continued where it ended."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.outputs import JsonRows, Record, Writer, to_json
from captioner.pipelines.folder.row_file import RowFile, WriteError, reason, replace_file
from captioner.pipelines.gallery.pages import Gallery
from captioner.pipelines.translate.cells import csv_line, csv_rows
from captioner.pipelines.translate.cues import cue_text
from captioner.pipelines.translate.documents import ADDED, Document, Row
from captioner.pipelines.translate.forms import Kind
from captioner.pipelines.translate.made import RowJournal, stamp_of_row


class TranslatedRows(JsonRows):
    """JSON Lines: each row as it was read, with its translation; continues a file whose rows are of the same input."""

    def __init__(self, path: str, journal: RowJournal, *, overwrite: bool) -> None:
        self.journal, self.rows = journal, journal.rows
        self.names = {row.name for row in self.rows}
        super().__init__(path, overwrite=overwrite)
        self.done.update(_states(self.rows[: len(self.done)]))
        _keep(self.journal, len(self.done), self.file)

    def row(self, record: Record) -> Mapping[str, Any] | None:
        """The fields; an input that could not be read at all has no rows."""
        return json_row(record) if record.path in self.names else None

    def key(self, row: Mapping[str, Any]) -> str:
        """The row in this place, if that is what the file's row was made from.

        Raises:
            KeyError: it is not.
        """
        place = len(self.done)
        if place >= len(self.rows) or _original(row) != _original(self.rows[place].fields):
            raise KeyError(place)
        return identity(self.rows[place].name)

    def append(self, rows: Sequence[tuple[Record, Mapping[str, Any], bytes]]) -> None:
        """Append records with their rows and what is written of these."""
        self.journal.add(len(self.done), len(rows))
        super().append(rows)

    def notes(self) -> list[str]:
        """What people should know of the rows that are there."""
        return self.journal.notes()

    def close(self) -> None:
        """Write through to the disk."""
        super().close()
        self.journal.close()


class _InOrder(Writer):
    """What text and tables share: a file and its journal."""

    file: RowFile
    journal: RowJournal

    def append(self, records: Sequence[Record], lines: Sequence[bytes]) -> None:
        """Append what is written of records."""
        self.journal.add(len(self.done), len(records))
        self.file.append(lines)
        self.done.update({identity(record.path): record.error is not None for record in records})

    def notes(self) -> list[str]:
        """What people should know of the rows that are there."""
        return self.journal.notes()

    def close(self) -> None:
        """Write through to the disk."""
        self.file.close()
        self.journal.close()


class Lines(_InOrder):
    """Text with a translation a line, an empty one where there is none.

    Raises:
        UsageError: the file cannot be written, or has more lines than the inputs.
    """

    def __init__(self, path: str, journal: RowJournal, *, overwrite: bool) -> None:
        super().__init__()
        self.path, self.journal, rows = path, journal, journal.rows
        self.rows = {row.name: row for row in rows}
        self.file = RowFile(path)
        whole = [] if overwrite else [line for line in self.file.lines() if line.endswith(b"\n")]
        if len(whole) > len(rows):
            raise UsageError(
                f"{shown(path)}: has {len(whole)} lines, but there are {len(rows)} to translate; choose another "
                "output, or --overwrite."
            )
        _keep(journal, len(whole), self.file, known=True)
        self.file.start(sum(map(len, whole)) - 1, len(whole))
        self.done = _states(rows[: len(whole)])

    def write(self, records: Sequence[Record]) -> None:
        """Append lines."""
        chosen = [record for record in records if record.path in self.rows]
        self.append(chosen, [_line(record, self.rows[record.path]) for record in chosen])

    def notes(self) -> list[str]:
        """What people should know of the rows that are there, such as that some have more captions than a line has."""
        more = sum(len(row.places) > 1 for row in self.rows.values())
        told = (
            f"{shown(self.path)}: {more} of its rows have several captions, of which it holds the first; .jsonl has all"
        )
        return [*super().notes(), *[told] * bool(more)]


class Table(_InOrder):
    """Comma-separated rows with their own columns and the translations'.

    Args:
        path: of the file.
        journal: of the rows that will be written.
        columns: of the rows.
        added: the columns of the translations.
        overwrite: start afresh.

    Raises:
        UsageError: the file cannot be written, or its rows are not of these inputs.
    """

    def __init__(
        self, path: str, journal: RowJournal, columns: Sequence[str], added: Sequence[str], *, overwrite: bool
    ) -> None:
        super().__init__()
        self.journal, rows = journal, journal.rows
        self.names = {row.name for row in rows}
        self.columns = list(dict.fromkeys([*columns, *added, "warning", "error"]))
        own = [
            (place, name) for place, name in enumerate(self.columns) if name in columns and name not in (*added, *ADDED)
        ]
        self.file = RowFile(path)
        end = count = 0
        if not overwrite:
            for cells, offset in csv_rows(self.file):
                if count == 0:
                    fits = cells == self.columns
                else:
                    fits = len(cells) == len(self.columns) and count <= len(rows)
                    fits = fits and all(cells[at] == str(rows[count - 1].fields.get(name, "")) for at, name in own)
                if not fits:
                    self.file.abandon()
                    raise UsageError(
                        f"{shown(path)}: row {count + 1} is not of this command, so the file cannot be continued; "
                        "choose another output, or --overwrite."
                    )
                end, count = offset, count + 1
        _keep(journal, max(count - 1, 0), self.file)
        self.file.start(end - 1, count)
        if not count and columns:  # else no input could be read
            self.file.append([csv_line(self.columns)])
        self.done = _states(rows[: max(count - 1, 0)])

    def write(self, records: Sequence[Record]) -> None:
        """Append rows."""
        chosen = [record for record in records if record.path in self.names]
        cells = [[json_row(record).get(name, "") for name in self.columns] for record in chosen]
        self.append(chosen, [csv_line(each) for each in cells])


class TranslatedSubtitles(Writer):
    """Subtitles with their times, notes and styles as they were; written when all are there.

    Args:
        path: of the file.
        document: the one input.
        journal: of its cues.
        overwrite: replace a file that exists; otherwise it is taken for done.

    Raises:
        UsageError: the file cannot be written.
    """

    def __init__(self, path: str, document: Document, journal: RowJournal, *, overwrite: bool) -> None:
        super().__init__()
        self.path, self.journal = path, journal
        self.rows = {row.name: (row, document.kind) for row in document.rows}
        self.blocks: dict[str, str | None] = dict.fromkeys(self.rows)
        folder = os.path.dirname(path) or "."
        if not os.path.isdir(folder) or not os.access(folder, os.W_OK):
            raise UsageError(f"{shown(path)}: cannot be written (no folder {shown(folder)} that can be written).")
        if not overwrite and os.path.exists(path) and os.path.getsize(path) > 0:
            self.journal.keep(len(document.rows), known=True)
            self.done = {identity(name): False for name in self.blocks}

    def write(self, records: Sequence[Record]) -> None:
        """Take cues; the last one writes the file, whole or not at all."""
        for record in records:
            if record.path in self.blocks:
                self.blocks[record.path] = _block(record, *self.rows[record.path])
                self.done[identity(record.path)] = False
        blocks = list(self.blocks.values())
        whole = [each for each in blocks if each is not None]
        if len(whole) < len(blocks):
            return
        try:
            replace_file(self.path, ["\n\n".join(whole).encode(), b"\n"])
        except OSError as error:
            raise WriteError(f"{shown(self.path)}: cannot be written ({reason(error)}).") from error
        self.journal.add(0, len(whole))
        self.journal.close()

    def notes(self) -> list[str]:
        """What people should know of the subtitles that are there."""
        return self.journal.notes()


class AlignmentPages(Gallery):
    """An HTML page of sentences and translations, with lines between the words that belong together."""

    kind = "translations"

    def __init__(self, path: str, title: str, rows: Sequence[Row], **options: Any) -> None:
        super().__init__(path, title, stamps={identity(row.name): stamp_of_row(row) for row in rows}, **options)

    def row(self, record: Record) -> Mapping[str, Any]:
        """The words, and the alignment as bytes."""
        problems = {"warning": record.warning, "error": record.error}
        pairs = {"pairs": record.picture or []}
        return {"path": record.path, **pairs, **{key: value for key, value in problems.items() if value}}


class Stream(Writer):
    """Translations on standard output, in the inputs' own form: lines, JSON Lines, or subtitles."""

    def __init__(self, documents: Sequence[Document]) -> None:
        super().__init__()
        self.rows = {row.name: (row, document.kind) for document in documents for row in document.rows}

    def write(self, records: Sequence[Record]) -> None:
        """Print records; an input that could not be read has none."""
        for record in (record for record in records if record.path in self.rows):
            row, kind = self.rows[record.path]
            if kind == "text":
                sys.stdout.buffer.write(_line(record, row) + b"\n")
            elif kind in ("srt", "vtt"):
                sys.stdout.buffer.write(_block(record, row, kind).encode() + b"\n\n")
            else:
                sys.stdout.buffer.write(to_json(json_row(record)) + b"\n")
        sys.stdout.buffer.flush()


def _states(rows: Sequence[Row]) -> dict[str, bool]:
    """Whether rows fail; one of a photo that could not be captioned does not, for there is nothing to translate."""
    return {identity(row.name): row.error is not None for row in rows}


def _keep(journal: RowJournal, count: int, file: RowFile, *, known: bool = False) -> None:
    try:
        journal.keep(count, known=known)
    except UsageError:
        file.abandon()
        raise


def json_row(record: Record) -> dict[str, Any]:
    """A row's fields with what was added."""
    problems = {"warning": record.warning, "error": record.error}
    return {**record.fields, **{key: value for key, value in problems.items() if value}}


def _block(record: Record, row: Row, kind: Kind) -> str:
    return cue_text(record.fields, row.best(record.fields), vtt=kind == "vtt")


def _line(record: Record, row: Row) -> bytes:
    """The best translation of a row's first sentence, as one line."""
    return " ".join(row.best(record.fields).split()).encode()


def _original(row: Any) -> Any:
    """A row less everything that translating adds."""
    if isinstance(row, Mapping):
        return {key: _original(value) for key, value in row.items() if key not in ADDED}
    return [_original(value) for value in row] if isinstance(row, list) else row
