"""Copies of shards on this machine: as many as there is room for, brought before they are wanted."""

import hashlib
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock

from captioner.data.addresses import fetch_address, patiently
from captioner.errors import DataError


@dataclass(frozen=True)
class Shard:
    """A tar file.

    Attributes:
        address: where it is.
        mark: a text that changes when the file does.
        size: in bytes.
    """

    address: str
    mark: str
    size: int

    @property
    def key(self) -> str:
        """A name for what is made of it."""
        return hashlib.blake2b(f"{self.address}\n{self.mark}".encode(), digest_size=10).hexdigest()


class Copies:
    """Copies of shards in a folder. May be pickled, and used by threads, by several processes and after a fork.

    Args:
        folder: of this machine.
        room: bytes that are kept; those that have not been used for longest go.
        users: processes that keep theirs there.
    """

    def __init__(self, folder: Path, room: int, users: int = 1) -> None:
        self.folder, self.room, self.users = folder, room, users
        self._lock = threading.Lock()
        self._expected: list[Shard] = []
        self._busy = False

    def find(self, shard: Shard) -> Path | None:
        """A shard's copy, if there is one, or one is on its way."""
        path = self._path(shard)
        if _part(path).exists():
            with FileLock(path.with_suffix(".lock")):
                pass
        return path if path.exists() else None

    def expect(self, shards: Sequence[Shard]) -> None:
        """Bring copies of these in the background, in this order; what was expected before is forgotten."""
        with self._lock:
            self._expected = list(shards)
            if self._expected and not self._busy:
                self._busy = True
                threading.Thread(target=self._bring_all, daemon=True).start()

    def bring(self, shard: Shard) -> Path:
        """Have a copy of a shard, and count it as used.

        Raises:
            DataError: the shard cannot be read, or has changed.
        """
        path = self._path(shard)
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(path.with_suffix(".lock")):
            if path.exists():
                os.utime(path)
                return path
            self._make_room(shard.size)
            try:
                patiently(lambda: fetch_address(shard.address, _part(path)))
                if _part(path).stat().st_size != shard.size:
                    raise DataError(f"{shard.address}: has changed since it was listed; start the training again.")
                _part(path).replace(path)
            finally:
                _part(path).unlink(missing_ok=True)
        return path

    def _make_room(self, size: int) -> None:
        kept = []
        for path in self.folder.glob("*.tar"):
            with suppress(OSError):  # another process has just removed it
                status = path.stat()
                kept.append((status.st_mtime_ns, status.st_size, path))
        kept.sort(key=lambda each: each[0])
        taken = size + sum(length for _, length, _ in kept)
        for _, length, path in kept:
            if taken <= self.room:
                return
            path.unlink(missing_ok=True)
            taken -= length

    def _bring_all(self) -> None:
        while True:
            with self._lock:
                if not self._expected:
                    self._busy = False
                    return
                shard = self._expected.pop(0)
            with suppress(DataError, OSError):  # whoever reads a photo of it will meet it
                self.bring(shard)

    def _path(self, shard: Shard) -> Path:
        return self.folder / f"{shard.key}.tar"

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "room": self.room, "users": self.users}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc] # what is expected is of one process only


def _part(path: Path) -> Path:
    return path.with_suffix(".part")
