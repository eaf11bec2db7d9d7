"""The rows that an output holds already: which inputs they are of, and which of them are to be made again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.made import Journal, Source, Stamp, stamp_of
from captioner.pipelines.folder.row_file import RowFile


class HeldRows:
    """The rows of an output, by the absolute path of their inputs.

    Args:
        output: the output's path.
        made_by: what makes rows from now on, told by a `Journal`; None for an output that has none.
        retry: rows of inputs that failed are made again.
        stamps: of the inputs that are no files, as they are now, by `identity`.

    Raises:
        UsageError: the journal is something else.

    Attributes:
        done: whether each input failed.
        unknown: rows of which nothing tells what made them.
        changed: rows that are made again because their files have changed.
    """

    def __init__(
        self,
        output: str,
        made_by: Mapping[str, Any] | None,
        *,
        retry: bool,
        stamps: Mapping[str, Stamp] | None = None,
    ) -> None:
        self.output, self.retry, self.stamps = output, retry, stamps or {}
        self.journal = None if made_by is None else Journal(output, made_by)
        self.done: dict[str, bool] = {}
        self.unknown = self.changed = 0
        self._spans: dict[str, tuple[int, int]] = {}
        self._sources: dict[str, tuple[Any, Source]] = {}
        self._named: defaultdict[Any, list[str]] = defaultdict(list)
        self._dropped: list[tuple[int, int]] = []

    def check(self) -> None:
        """See that what is there may be continued.

        Raises:
            UsageError: it was made otherwise.
        """
        if self.journal is not None:
            self.journal.check()

    def take(self, name: Any) -> Source | None:
        """The source of the next row with this name (its path as typed, or its image id), if that is known."""
        return None if self.journal is None else self.journal.take(name)

    def hold(self, location: str, name: Any, source: Source | None, failed: bool, span: tuple[int, int]) -> None:
        """Take note of a row.

        Args:
            location: the absolute path of its input.
            name: of the input in the row.
            source: what is known of the input.
            failed: whether it could not be read.
            span: where the row begins in the output, and where the next one does.
        """
        self.done[location] = failed
        self._spans[location] = span
        if source is not None:
            self._sources[location] = (name, source)
            self._named[name].append(location)
        elif self.journal is not None:
            self.unknown += 1

    def state(self, path: str) -> bool | None:
        """Whether an input failed; None if its row is not there or is to be made again, for which it is dropped."""
        location = identity(path)
        if location not in self.done:
            self._follow(path, location)
        failed = self.done.get(location)
        if failed is None:
            return None
        changed = location in self._sources and self._has_changed(location)
        if changed or (failed and self.retry):
            self.changed += changed
            del self.done[location]
            self._sources.pop(location, None)
            if location in self._spans:
                self._dropped.append(self._spans.pop(location))
            return None
        return failed

    def begin(self, file: RowFile) -> None:
        """Make the output ready for further rows: what is to be made again goes.

        Raises:
            WriteError: it cannot be written.
        """
        if self._dropped:
            file.remove(self._dropped)
        if self.journal is not None:
            self.journal.begin(self._sources.values())
        self._spans, self._sources, self._dropped = {}, {}, []
        self._named.clear()

    def add(self, rows: Sequence[tuple[Any, str, Stamp | None]]) -> None:
        """Tell of rows that are about to be written: how each calls its input, the input's path, and its stamp.

        Raises:
            WriteError: it cannot be written.
        """
        if self.journal is not None:
            self.journal.add([(name, Source(identity(path), stamp or stamp_of(path))) for name, path, stamp in rows])

    def close(self) -> None:
        """Finish the journal."""
        if self.journal is not None:
            self.journal.close()

    def notes(self) -> list[str]:
        """What people should know of the rows that are there."""
        if not self.unknown:
            return []
        return [f"{shown(self.output)}: nothing tells what made {self.unknown} of its rows; they are kept as done"]

    def _has_changed(self, location: str) -> bool:
        source = self._sources[location][1]
        return self.stamps[location] != source.stamp if location in self.stamps else source.has_changed()

    def _follow(self, path: str, location: str) -> None:
        """A file that has moved, perhaps with all its folder, keeps its row."""
        for old in self._named.get(path, ()):
            if old in self.done and self._sources[old][1].has_moved_to(path):
                name, source = self._sources.pop(old)
                self.done[location] = self.done.pop(old)
                self._spans[location] = self._spans.pop(old)
                self._sources[location] = (name, Source(location, source.stamp))
                return
