"""A row of an output, and what takes rows: a file, a pipe, a terminal."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from captioner.pipelines.folder.inputs import identity
from captioner.pipelines.folder.made import Stamp


@dataclass
class Record:
    """One input's result.

    Attributes:
        path: of the input.
        fields: what was found, in JSON's types; empty if there is an error.
        error: why the input could not be read.
        warning: what is wrong with an input that could be read all the same.
        picture: what a gallery shows besides; None for other outputs.
        stamp: of the input's file when it was read; None where that is as it is now.
    """

    path: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None
    warning: str | None = None
    picture: Any = None
    stamp: Stamp | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as it stands in a JSON Lines file."""
        problems = {"warning": self.warning, "error": self.error}
        return {"path": self.path, **self.fields, **{key: value for key, value in problems.items() if value}}


class Writer(ABC):
    """Takes records.

    Attributes:
        done: the inputs that the output holds already, by `identity`, and whether they failed.
        problems: (output, reason) of what could not be written while the rest went on.
        keeps_failures: whether inputs that failed have a place in the output.
    """

    keeps_failures = True

    def __init__(self) -> None:
        self.done: dict[str, bool] = {}
        self.problems: list[tuple[str, str]] = []

    @property
    def changed(self) -> int:
        """Inputs that the output held, but whose files have changed."""
        return 0

    def holds(self, path: str) -> bool | None:
        """Whether an input failed; None if the output lacks it, or is to get it anew."""
        return self.done.get(identity(path))

    def notes(self) -> list[str]:
        """What people should know of what the output held before, a sentence each."""
        return []

    @abstractmethod
    def write(self, records: Sequence[Record]) -> None:
        """Add records.

        Raises:
            WriteError: the disk is full, or the like.
        """

    def close(self) -> None:  # noqa: B027 - only files have anything to finish
        """Finish the output."""


def to_json(row: Mapping[str, Any]) -> bytes:
    """One line of JSON; a name that is no UTF-8 keeps its bytes as escaped surrogates, which Python reads back."""
    try:
        return json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(row).encode()
