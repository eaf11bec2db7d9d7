"""Where results go: files that can be continued, by their suffix, and pipes. Shared by all folder commands."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import identity, same_file, shown
from captioner.pipelines.folder.records import Record, Writer, to_json
from captioner.pipelines.folder.rows import CsvRows, JsonRows

__all__ = ["CsvRows", "JsonRows", "JsonStream", "Outputs", "Record", "Writer", "to_json", "writers_of"]


class JsonStream(Writer):
    """JSON Lines on standard output, for pipes."""

    def write(self, records: Sequence[Record]) -> None:
        """Print records."""
        sys.stdout.buffer.write(b"".join(to_json(record.as_json()) + b"\n" for record in records))
        sys.stdout.buffer.flush()


class Outputs:
    """Several writers as one; each gets only the records that it does not hold yet."""

    def __init__(self, writers: Sequence[Writer]) -> None:
        self.writers = writers

    def done(self, path: str) -> bool | None:
        """None if any output lacks this input; otherwise whether it failed."""
        states = [writer.holds(path) for writer in self.writers]
        failed = any(states)
        # where only captions have a place, an input that failed lacks nothing
        lacking = any(
            state is None and (writer.keeps_failures or not failed)
            for writer, state in zip(self.writers, states, strict=True)
        )
        return None if lacking else failed

    @property
    def changed(self) -> int:
        """Inputs that the outputs held, but whose files have changed."""
        return max((writer.changed for writer in self.writers), default=0)

    def notes(self) -> list[str]:
        """What people should know of what the outputs held before, a sentence each."""
        return [note for writer in self.writers for note in writer.notes()]

    @property
    def problems(self) -> list[tuple[str, str]]:
        """(output, reason) of what could not be written while the rest went on."""
        return [problem for writer in self.writers for problem in writer.problems]

    def write(self, records: Sequence[Record]) -> None:
        """Give each writer what it lacks."""
        for writer in self.writers:
            lacking = [record for record in records if identity(record.path) not in writer.done]
            if lacking:  # an output is left as it is until there is something to write
                writer.write(lacking)

    def close(self) -> None:
        """Close all."""
        for writer in self.writers:
            writer.close()


def writers_of(
    paths: Sequence[str] | None, choices: Callable[[str], Mapping[str, Callable[[], Writer]]]
) -> list[Writer]:
    """The writers of the output files that were asked for.

    Args:
        paths: of the files; None for none.
        choices: for a path, what makes its writer by its suffix.

    Raises:
        UsageError: two of them are one file, by whatever links, or there is no writer for a suffix.
    """
    paths = paths or []
    for number, path in enumerate(paths):
        if any(same_file(path, other) for other in paths[:number]):
            raise UsageError(f"{shown(path)}: two outputs are the same file; name each once.")
    return [_writer_of(path, choices(path)) for path in paths]


def _writer_of(path: str, choices: Mapping[str, Callable[[], Writer]]) -> Writer:
    suffix = os.path.splitext(path)[1].lower()
    if suffix not in choices:
        raise UsageError(f"{shown(path)}: an output ends in one of {' '.join(choices)}.")
    return choices[suffix]()
