"""A photo or clip that was found at another address, brought here so that a page can show it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from captioner.data.addresses import fetch_address, is_remote, open_address
from captioner.data.archives import read_members
from captioner.data.packed import archive_above
from captioner.errors import DataError


@contextmanager
def on_this_machine(path: str) -> Iterator[str]:
    """The path of a file's copy on this machine, or of itself if it lies here; of one that is gone, of nothing."""
    if not is_remote(path):
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / f"found{os.path.splitext(path)[1].lower()}"
        with suppress(DataError):
            archive = archive_above(path)
            if archive is None:
                fetch_address(path, target)
            else:
                _unpack(archive, path, target)
        yield str(target)


def _unpack(archive: str, path: str, target: Path) -> None:
    """Copy a file out of an archive, which is read from its beginning as far as that."""
    with open_address(archive) as file:
        for member in read_members(file, archive, suffixes={target.suffix}):
            if f"{archive}/{member.name}" == path and member.error is None:
                target.write_bytes(member.data)
                return
