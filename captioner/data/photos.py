"""Photos by name, wherever they lie: in folders and in zip files that nobody has to unpack."""

import os
import threading
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.data.files import read_member
from captioner.errors import DataError, ImageError

_LARGEST = 1 << 29  # bytes of a photo's file


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file lies: on disk (`archive` is None) or as a member of a zip file."""

    path: str
    archive: Path | None
    fingerprint: str


class ImageStore:
    """Finds files by name in folders (searched recursively, zip files in them too) and in zip files.

    A name is a path relative to one of the given folders or to the root of a zip file; a path that is not found so is
    looked up by as much of its end as there is. May be shared by threads, pickled, and used after a fork.

    Args:
        paths: folders and zip files, or one of them. Links to folders are followed, each folder once; links that lead
            nowhere and folders that cannot be listed are passed over.

    Raises:
        DataError: a path does not exist, or is neither a folder nor a zip file that can be read.
    """

    def __init__(self, paths: Path | str | Iterable[Path | str]) -> None:
        self.paths = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        self._places: dict[str, _Place] = {}
        self._by_base: defaultdict[str, list[str]] = defaultdict(list)
        for path in self.paths:
            if path.is_dir():
                self._add_folder(path)
            elif path.exists():
                self._add_archive(path)
            else:
                raise DataError(f"{path}: no such folder or zip file of photos.")
        self._open_archives()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._places or bool(self._candidates(name)))

    def __len__(self) -> int:
        return len(self._places)

    def read(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a file, not decoded.

        Raises:
            DataError: there is no such file, or several.
            ImageError: the file cannot be read, or its zip file is damaged there.
        """
        place = self._find(name)
        if place.archive is None:
            try:
                return np.fromfile(place.path, dtype=np.uint8)
            except OSError as error:
                raise ImageError(f"{place.path}: cannot be read ({error.strerror}).") from error
        try:
            # a zip file has one read position; decoding, the slow part, happens outside this lock
            with self._lock:
                content = read_member(self._archive(place.archive), place.path, largest=_LARGEST)
        except DataError as error:
            raise ImageError(str(error)) from error
        except (OSError, zipfile.BadZipFile) as error:
            raise ImageError(f"{place.archive}: {place.path} cannot be read ({error}).") from error
        return np.frombuffer(content, dtype=np.uint8)

    def fingerprint(self, name: str) -> str:
        """A short text that changes when the file does: size with modification time, or in a zip file with checksum."""
        return self._find(name).fingerprint

    def _find(self, name: str) -> _Place:
        if name in self._places:
            return self._places[name]
        candidates = self._candidates(name)
        if len(candidates) != 1:
            where = ", ".join(map(str, self.paths))
            found = "several files have this name; give their folder too" if candidates else "not found"
            raise DataError(f"{name}: {found} (in {where}).")
        return self._places[candidates[0]]

    def _candidates(self, name: str) -> list[str]:
        """Files whose path ends as the name does or the other way round; 2021/1.jpg is not 2019/1.jpg."""
        found = self._by_base.get(_base(name), [])
        return [key for key in found if f"/{key}".endswith(f"/{name}") or f"/{name}".endswith(f"/{key}")]

    def _add(self, key: str, place: _Place) -> None:
        # the first of the given paths wins, so that a folder can override what a zip file holds
        if key not in self._places:
            self._places[key] = place
            self._by_base[_base(key)].append(key)

    def _add_folder(self, root: Path) -> None:
        walked = set[tuple[int, int]]()
        for folder, subfolders, files in os.walk(root, followlinks=True):
            if not _first_visit(folder, walked):  # a loop of links
                subfolders.clear()
                continue
            subfolders.sort()
            for file in sorted(files):
                path = os.path.join(folder, file)
                if file.lower().endswith(".zip") and os.path.exists(path):
                    self._add_archive(Path(path))
                elif not file.startswith("."):
                    try:
                        status = os.stat(path)
                    except OSError:  # a link that leads nowhere, or in circles
                        continue
                    key = Path(path).relative_to(root).as_posix()
                    self._add(key, _Place(path, None, f"{status.st_size}-{status.st_mtime_ns}"))

    def _add_archive(self, path: Path) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: neither a folder nor a zip file that can be read ({error}).") from error
        for member in members:
            if not member.is_dir():
                self._add(member.filename, _Place(member.filename, path, f"{member.file_size}-{member.CRC:08x}"))

    def _open_archives(self) -> None:
        self._lock = threading.Lock()
        self._archives: dict[Path, zipfile.ZipFile] = {}
        self._process = os.getpid()

    def _archive(self, path: Path) -> zipfile.ZipFile:
        if self._process != os.getpid():
            # a forked process shares its parent's read position
            self._archives, self._process = {}, os.getpid()
        if path not in self._archives:
            self._archives[path] = zipfile.ZipFile(path)
        return self._archives[path]

    def __getstate__(self) -> dict[str, Any]:
        return {key: self.__dict__[key] for key in ("paths", "_places", "_by_base")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open_archives()


def _first_visit(folder: str, walked: set[tuple[int, int]]) -> bool:
    """Whether a folder has not been walked yet, under whatever name."""
    try:
        status = os.stat(folder)
    except OSError:
        return False
    found = (status.st_dev, status.st_ino)
    if found in walked:
        return False
    walked.add(found)
    return True


def _base(name: str) -> str:
    return name.rpartition("/")[2]
