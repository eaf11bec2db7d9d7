"""Reports of scores as files. They never take the place of what they are about."""

import os
from collections.abc import Iterable
from pathlib import Path

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import shown


def check_reports(targets: Iterable[Path | str | None], inputs: Iterable[Path | str | None]) -> None:
    """See, before any work, that reports can be written where they are wanted.

    Args:
        targets: paths; None and `-`, standard output, are passed over.
        inputs: what the command reads, which must stay.

    Raises:
        UsageError: there is no such folder, or a target is an input.
    """
    kept = [str(path) for path in inputs if path is not None]
    for target in (str(path) for path in targets if path is not None and str(path) != "-"):
        folder = Path(target).parent
        if not folder.absolute().is_dir():
            raise UsageError(f"{shown(target)}: there is no folder {shown(str(folder))} to write to.")
        if any(_same(target, path) for path in kept):
            raise UsageError(f"{shown(target)}: is read by this command; choose another file for the report.")


def write_report(target: Path | str, text: str) -> None:
    """Write a report.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{shown(str(target))}: cannot be written ({error.strerror}).") from error


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False
