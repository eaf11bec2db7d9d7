"""What all forms of captions are read into."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from captioner.data.ids import ImageId
from captioner.data.splits import Split

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """A photo or clip and what was written about it.

    Attributes:
        name: of its file, with as many folders as are known, separated by slashes.
        captions: as written.
        split: that the source says; None where it says none.
        id: by which the source knows it; None where it has only the name.
    """

    name: str
    captions: tuple[str, ...]
    split: Split | None = None
    id: ImageId | None = None


@dataclass(frozen=True)
class FoundCaptions:
    """Captions in a file or folder.

    Attributes:
        source: the file or folder, or its address.
        form: of the source, such as `a table separated by tabs`.
        entries: in the source's order.
        details: what else was found, such as the columns that were taken.
        problems: what was left out and why, a sentence each.
    """

    source: Path | str
    form: str
    entries: Sequence[Entry]
    details: Sequence[str] = ()
    problems: Sequence[str] = ()

    def taken(self) -> Sequence[Entry]:
        """The entries; what was left out is logged."""
        for problem in self.problems:
            _log.warning("%s", problem)
        return self.entries

    def summary(self, kind: str = "photo") -> str:
        """One line for people: `captions.csv: a table separated by commas: 1,400 photos, 5 captions each, ...`."""
        counts = [len(entry.captions) for entry in self.entries]
        low, high = min(counts, default=0), max(counts, default=0)
        several = f"{low} to {high} captions each" if low < high else f"{low} caption{'s' * (low != 1)} each"
        splits = Counter(entry.split for entry in self.entries if entry.split)
        parts = [f"{count:,} in {split}" for split, count in splits.items()]
        photos = f"{len(counts):,} {kind}{'s' * (len(counts) != 1)}"
        return f"{self.source}: {self.form}: {', '.join([photos, several, *self.details, *parts])}"
