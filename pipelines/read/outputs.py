"""Outputs that only texts have: the terminal's table."""

from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.folder.tables import TerminalTable

COLUMNS = ("path", "text", "score")


class TextTable(TerminalTable):
    """Texts as rows on a terminal, printed as they come."""

    def lines(self, record: Record) -> list[tuple[str, float]]:
        """The text with its score."""
        return [] if record.error is not None else [(record.fields["text"], record.fields["score"])]
