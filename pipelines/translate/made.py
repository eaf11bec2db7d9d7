"""What made the rows of a translation, told in the `.made` file beside it.

Rows stand in the order of the input, so that a row's place is its name in that file, and the text that it was made of
takes the place of a file's content.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.made import Journal, Source, Stamp
from captioner.pipelines.translate.documents import Row


def stamp_of_row(row: Row) -> Stamp:
    """What tells a row's text from another text."""
    text = json.dumps(row.sentences).encode()
    return Stamp(len(text), 0, zlib.crc32(text))


class RowJournal:
    """Tells what made an output whose rows stand in the input's order.

    Args:
        output: the output's path.
        made_by: what makes its rows, see `folder.made.made_by`.
        rows: of the input.

    Raises:
        UsageError: the file beside the output is something else.
    """

    def __init__(self, output: str, made_by: Mapping[str, Any], rows: Sequence[Row]) -> None:
        self.output, self.rows = output, rows
        self._journal = Journal(output, made_by)
        self._kept: list[tuple[str, Source]] = []
        self._unknown = 0
        self._begun = False

    def keep(self, count: int, *, known: bool = False) -> None:
        """Keep the first rows of the output.

        Args:
            count: of rows.
            known: the rows do not hold what they were made of, so that without a word in the journal they may be
                anybody's.

        Raises:
            UsageError: they were made by another model, with other options, or of other texts, or nobody knows.
        """
        if count:
            self._journal.check()
        for place, row in enumerate(self.rows[:count]):
            source = self._journal.take(str(place))
            if source is None and known:
                raise UsageError(
                    f"{shown(self.output)}: nothing tells that it holds translations of {shown(row.name)}; choose "
                    "another output, or --overwrite."
                )
            if source is None:
                self._unknown += 1
            elif source.stamp != stamp_of_row(row):
                raise UsageError(
                    f"{shown(self.output)}: row {place + 1} was made of another text than {shown(row.name)} is now, so "
                    "the file cannot be continued; choose another output, or --overwrite."
                )
            else:
                self._kept.append((str(place), source))

    def add(self, first: int, count: int) -> None:
        """Tell of rows that are about to be written, from the place of the first one on.

        Raises:
            WriteError: it cannot be written.
        """
        self.begin()
        names = [str(place) for place in range(first, first + count)]
        rows = self.rows[first : first + count]
        self._journal.add(
            [(name, Source(identity(name), stamp_of_row(row))) for name, row in zip(names, rows, strict=True)]
        )

    def begin(self) -> None:
        """Begin the file anew with the rows that are kept, once.

        Raises:
            WriteError: it cannot be written.
        """
        if not self._begun:
            self._begun = True
            self._journal.begin(self._kept)

    def close(self) -> None:
        """Finish the file."""
        self.begin()
        self._journal.close()

    def notes(self) -> list[str]:
        """What people should know of the rows that are there."""
        if not self._unknown:
            return []
        return [f"{shown(self.output)}: nothing tells what made {self._unknown} of its rows; they are kept as done"]
