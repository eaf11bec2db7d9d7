"""Outputs that only classes have: the terminal's table, a row a window, and a gallery with a few frames a clip."""

from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.folder.tables import TerminalTable, time_span


def label_columns(top_k: int) -> list[str]:
    """Columns for the surest classes."""
    return [f"{name}{suffix}" for suffix in ("", *(f"_{place}" for place in range(2, top_k + 1))) for name in _GUESS]


_GUESS = ("label", "score")


class LabelTable(TerminalTable):
    """Classes as rows on a terminal, printed as they come; with windows, a row for each."""

    def lines(self, record: Record) -> list[tuple[str, float]]:
        """Classes with their probabilities."""
        if record.error is not None:
            return []
        if "segments" not in record.fields:
            top = [(guess["label"], guess["score"]) for guess in record.fields["top"]]
            said = (record.fields["label"], record.fields["score"])
            return top if said == top[0] else [said, *top]  # where no label fits, the nearest follow
        return [(f"{time_span(each)}  {each['label']}", each["score"]) for each in record.fields["segments"]]
