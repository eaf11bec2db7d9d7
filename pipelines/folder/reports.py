"""Reports of scores as files. They never take the place of what they are about."""

import os
from collections.abc import Iterable
from pathlib import Path

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import same_file, shown


def check_reports(targets: Iterable[Path | str | None], inputs: Iterable[Path | str | None]) -> None:
    """See, before any work, that reports can be written where they are wanted.

    Args:
        targets: paths; None and `-`, standard output, are passed over.
        inputs: what the command reads, which must stay.

    Raises:
        UsageError: there is no such folder, a target is a folder or an input, or two are one file.
    """
    kept = [str(path) for path in inputs if path is not None]
    wanted = [str(path) for path in targets if path is not None and str(path) != "-"]
    for place, target in enumerate(wanted):
        folder = Path(target).parent
        if not folder.absolute().is_dir():
            raise UsageError(f"{shown(target)}: there is no folder {shown(str(folder))} to write to.")
        if os.path.isdir(target):
            raise UsageError(f"{shown(target)}: cannot be written, for it is a folder; choose a file for the report.")
        if any(same_file(target, path) for path in kept):
            raise UsageError(f"{shown(target)}: is read by this command; choose another file for the report.")
        if any(same_file(target, other) for other in wanted[:place]):
            raise UsageError(f"{shown(target)}: two reports are the same file; name each once.")


def write_report(target: Path | str, text: str) -> None:
    """Write a report; of names that are no UTF-8, what is none becomes question marks.

    Raises:
        UsageError: it cannot be written.
    """
    try:
        Path(target).write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UsageError(f"{shown(str(target))}: cannot be written ({error.strerror}).") from error
