"""The model card that a training writes: what the model is, what it learnt from, and what it scored."""

from collections.abc import Sequence
from dataclasses import dataclass

_UNWRITTEN = (
    "Still to be written by whoever publishes this model (the key `notes` of its configuration): the licences of its "
    "data, what it is good and bad at, and scores on a test split."
)


@dataclass(frozen=True)
class ModelCard:
    """A model card, which is `README.md` in a model folder.

    Attributes:
        title: one line on what the model does.
        facts: one sentence or phrase each.
        scores: lines of Markdown: how the model was scored, and a table.
        notes: Markdown of whoever publishes it; without any, the card says what is still to be written.
    """

    title: str
    facts: Sequence[str]
    scores: Sequence[str]
    notes: str = ""

    def markdown(self) -> str:
        """The whole card."""
        facts = [f"- {fact}" for fact in self.facts]
        return "\n".join([f"# {self.title}", "", *facts, "", *self.scores, "", self.notes.strip() or _UNWRITTEN, ""])


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table, line by line."""
    return [f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)]
