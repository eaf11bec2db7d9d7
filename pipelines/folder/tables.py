"""Tables that several folder jobs write: rows on a terminal, and a CSV file with a row for each window of a clip."""

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from captioner.pipelines.folder.inputs import shown
from captioner.pipelines.folder.outputs import CsvRows, Record, Writer
from captioner.text.unicode_words import is_right_to_left


class TerminalTable(Writer):
    """Results as rows on a terminal, printed as they come.

    Args:
        console: the terminal.
        paths: of all inputs, so that the columns keep their widths.
    """

    def __init__(self, console: Console, paths: Iterable[str]) -> None:
        super().__init__()
        self.console = console
        self.width = min(max((len(shown(path)) for path in paths), default=0), max(12, console.width * 2 // 5))

    def write(self, records: Sequence[Record]) -> None:
        """Print records."""
        table = Table.grid(padding=(0, 2, 0, 0))
        table.add_column(width=self.width, no_wrap=True)
        table.add_column(width=max(20, self.console.width - self.width - 11), overflow="fold")
        table.add_column(width=6, justify="right", style="dim")
        for record in records:
            name = shown(record.path)
            # the end of a path tells more than its beginning
            cells = [Text(name if len(name) <= self.width else "…" + name[1 - self.width :], style="cyan")]
            if record.error is not None:
                table.add_row(*cells, Text(record.error, style="red"))
            for said, score in self.lines(record):
                # a right-to-left sentence keeps its full stop, and the score its place
                text = Text(f"\u2068{said}\u2069" if is_right_to_left(said) else said)
                if record.warning is not None and cells[0].plain:
                    text.append(f" ({record.warning})", style="yellow")
                table.add_row(*cells, text, f"{score:.2f}")
                cells = [Text("")]
            if note := self.note(record):
                table.add_row("", Text(note, style="dim"))
        self.console.print(table)

    @abstractmethod
    def lines(self, record: Record) -> list[tuple[str, float]]:
        """What was found, with scores; nothing if the record failed."""

    def note(self, record: Record) -> str:
        """What stands below what was found; nothing by default."""
        return ""


def time_span(segment: Mapping[str, Any]) -> str:
    """When a segment of a clip begins and ends, for people."""
    return "-".join(f"{int(segment[key] // 60)}:{segment[key] % 60:04.1f}" for key in ("start", "end"))


class WindowRows(CsvRows):
    """Comma-separated rows, one for each window of a clip.

    Args:
        path: of the file.
        columns: what each window has besides its times.
        options: of `FileRows`.

    Raises:
        UsageError: the file cannot be written, or has other columns.
    """

    def __init__(self, path: str, columns: Sequence[str], **options: Any) -> None:
        super().__init__(path, ["path", "window", "windows", "start", "end", *columns], **options)

    def rows(self, record: Record) -> list[Mapping[str, Any]]:
        """The windows, counted, so that a file tells whether a clip's rows are all there."""
        segments = record.fields.get("segments", [record.fields])
        shared = ("path", "warning", "error", "concepts")
        whole = {key: value for key, value in record.as_json().items() if key in shared}
        return [
            {**whole, "window": place, "windows": len(segments), **segment} for place, segment in enumerate(segments, 1)
        ]

    def is_last(self, row: Mapping[str, str]) -> bool:
        """Whether this is the clip's last window."""
        return row["window"] == row["windows"]
