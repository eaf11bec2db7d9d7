"""Photos by name, wherever they lie: in folders, zip files and tar files (shards) that nobody has to unpack."""

import logging
import os
import tarfile
import threading
import unicodedata
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.data.files import check_length, read_member, read_part
from captioner.data.names import LEFT_OUT, first_few, inner_name
from captioner.data.shards import Shards
from captioner.data.tar import LARGEST, ForwardFile, tar_files, unpacked
from captioner.errors import DataError, ImageError
from captioner.vision.checksums import fingerprint
from captioner.vision.images import SUFFIXES
from captioner.vision.video import VIDEO_SUFFIXES

_ARCHIVES = (".zip", ".tar")
_OWN = frozenset({"_lock", "_archives", "_process"})
"""What an `ImageStore` has for itself in each process."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a file lies: on disk (`archive` is None), in a zip file, or in a `span` of a tar file's bytes.

    The tar file of a `shard` is at another address. A `mark` is what its archive or storage tells of its content.
    """

    path: str
    archive: Path | None
    size: int
    mark: str | None = None
    span: tuple[int, int] | None = None
    shard: int | None = None


class ImageStore:
    """Finds files by name in folders (searched recursively, archives in them too), zip files and tar files.

    A name is a path relative to one of the given folders, to the root of a zip file, or to the folder of a tar file,
    whose name comes first (`train-0001.tar/0017.jpg`), because shards may repeat names. A path that is not found so is
    looked up by as much of its end as there is, whatever separates its folders and in any Unicode form, and a name
    without suffix by that of a photo or clip. May be shared by threads, pickled, and used after a fork.

    Args:
        paths: folders and archives, or one of them. Links to folders are followed, each folder once; links that lead
            nowhere, folders that cannot be listed and those that storage boxes add are passed over.
        shards: tar files at other addresses, which come last.
        numbers: of the shards that are meant; all by default.

    Raises:
        DataError: a path does not exist, or is neither a folder nor an archive that can be read; or a file of a shard
            at another address is called as one here.
    """

    def __init__(
        self,
        paths: Path | str | Iterable[Path | str],
        shards: Shards | None = None,
        numbers: Iterable[int] | None = None,
    ) -> None:
        self.paths = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        self._places: dict[str, _Place] = {}
        self._by_base: defaultdict[str, list[str]] = defaultdict(list)
        self._by_stem: defaultdict[str, list[str]] | None = None  # made when it is needed
        for path in self.paths:
            if path.is_dir():
                self._add_folder(path)
            elif path.exists():
                self._add_archive(path)
            else:
                raise DataError(f"{path}: no such folder, zip file or tar file of photos.")
        self.shards = shards
        if shards is not None:
            self._numbers = list(range(len(shards.shards)) if numbers is None else numbers)
            for number in self._numbers:
                self._add_remote(shards, number)
        self._open_archives()

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and (name in self._places or bool(self._candidates(name)))

    def __len__(self) -> int:
        return len(self._places)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    @property
    def tar_files(self) -> int:
        """How many tar files hold any of the files."""
        places = [place for place in self._places.values() if place.span is not None]
        return len({place.archive if place.shard is None else place.shard for place in places})

    @property
    def sources(self) -> list[str]:
        """The paths, and the addresses of shards."""
        remote = [] if self.shards is None else [self.shards.shards[number].address for number in self._numbers]
        return [*map(str, self.paths), *remote]

    def shard(self, name: str) -> int | None:
        """The number of the shard that a file is in; None if it is in none."""
        return self._find(name).shard

    def read(self, name: str) -> NDArray[np.uint8]:
        """The bytes of a file, not decoded.

        Raises:
            DataError: there is no such file, or several.
            ImageError: the file cannot be read, or its zip file is damaged there.
        """
        place = self._find(name)
        if place.shard is not None and place.span is not None:
            assert self.shards is not None
            check_length(place.span[1], name)
            data = self.shards.read(place.shard, place.path, *place.span)
            return np.frombuffer(data, dtype=np.uint8)
        if place.archive is None:
            try:
                return np.fromfile(place.path, dtype=np.uint8)
            except OSError as error:
                raise ImageError(f"{place.path}: cannot be read ({error.strerror}).") from error
        if place.span is not None:
            return read_part(place.archive, place.path, *place.span)
        try:
            # a zip file has one read position; decoding, the slow part, happens outside this lock
            with self._lock:
                content = read_member(self._archive(place.archive), place.path, largest=LARGEST)
        except DataError as error:
            raise ImageError(str(error)) from error
        except (OSError, zipfile.BadZipFile) as error:
            raise ImageError(f"{place.archive}: {place.path} cannot be read ({error}).") from error
        return np.frombuffer(content, dtype=np.uint8)

    def fingerprint(self, name: str) -> str:
        """A short text that changes when the file's content does, and not when the file is copied to another place."""
        place = self._find(name)
        if place.mark is not None:
            return f"{place.size}-{place.mark}"
        if place.archive is None or place.span is None:
            return fingerprint(place.path)
        return fingerprint(place.archive, place.span, place.path)

    def size(self, name: str) -> int:
        """The bytes of a file."""
        return self._find(name).size

    def _find(self, name: str) -> _Place:
        if name in self._places:
            return self._places[name]
        candidates = self._candidates(name)
        if len(candidates) != 1:
            where = first_few(self.sources)
            found = "several files have this name; give their folder too" if candidates else "not found"
            raise DataError(f"{name}: {found} (in {where}).")
        return self._places[candidates[0]]

    def _candidates(self, name: str) -> list[str]:
        """Files whose path ends as the name does or the other way round; 2021/1.jpg is not 2019/1.jpg."""
        plain = _plain(name)
        found = self._by_base.get(_base(plain), [])
        if not found and os.path.splitext(plain)[1].lower() not in SUFFIXES | VIDEO_SUFFIXES:
            found, plain = self._stems().get(_base(plain), []), plain + "."
        near = [key for key in found if _ends_alike(_plain(key), plain)]
        same = [key for key in near if _plain(key) == plain]
        return same or near

    def _stems(self) -> dict[str, list[str]]:
        """Photos and clips by their names without suffix."""
        if self._by_stem is None:
            self._by_stem = defaultdict(list)
            for key in self._places:
                stem, suffix = os.path.splitext(_base(_plain(key)))
                if suffix.lower() in SUFFIXES | VIDEO_SUFFIXES:
                    self._by_stem[stem].append(key)
        return self._by_stem

    def _add(self, key: str, place: _Place) -> None:
        # the first of the given paths wins, so that a folder can override what a zip file holds
        if key not in self._places:
            self._places[key] = place
            self._by_base[_base(_plain(key))].append(key)

    def _add_folder(self, root: Path) -> None:
        walked = set[tuple[int, int]]()
        for folder, subfolders, files in os.walk(root, followlinks=True):
            if not _first_visit(folder, walked):  # a loop of links
                subfolders.clear()
                continue
            subfolders[:] = sorted(name for name in subfolders if name.lower() not in LEFT_OUT)
            for file in sorted(files):
                path = os.path.join(folder, file)
                if file.lower().endswith(_ARCHIVES) and os.path.exists(path):
                    self._add_archive(Path(path), Path(folder).relative_to(root))
                elif not file.startswith("."):
                    try:
                        status = os.stat(path)
                    except OSError:  # a link that leads nowhere, or in circles
                        continue
                    key = Path(path).relative_to(root).as_posix()
                    self._add(key, _Place(path, None, status.st_size))

    def _add_archive(self, path: Path, inside: Path = Path()) -> None:
        """Add an archive's files; `inside` is its folder."""
        try:
            if tarfile.is_tarfile(path):
                self._add_shard(path, (inside / path.name).as_posix())
                return
            with zipfile.ZipFile(path) as archive:
                members = archive.infolist()
        except (OSError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: neither a folder nor an archive that can be read ({error}).") from error
        # of two with one name the later counts, as for who unpacks the archive
        for name, member in {member.filename: member for member in members if not member.is_dir()}.items():
            self._add(name, _Place(name, path, member.file_size, f"{member.CRC:08x}"))

    def _add_shard(self, path: Path, name: str) -> None:
        with open(path, "rb") as file:
            head = file.read(8)
            if unpacked(file, head) is not None:
                raise DataError(f"{path}: a packed tar file, in which nothing can be found again quickly; unpack it.")
            size = os.fstat(file.fileno()).st_size
            found: dict[str, tuple[int, int]] = {}
            whole = tar_files(ForwardFile(file, head), str(path), lambda _, info: None if info.issparse() else info)
            try:
                for info in whole:
                    inner = inner_name(info.name)
                    if inner is not None and info.offset_data + info.size <= size:
                        found[inner] = (info.offset_data, info.size)
            except DataError as error:
                _warn(str(error))
        for inner, (start, length) in found.items():
            self._add(f"{name}/{inner}", _Place(inner, path, length, None, (start, length)))

    def _add_remote(self, shards: Shards, number: int) -> None:
        found, shard = shards.files(number), shards.shards[number]
        for name, start, length in {file[0]: file for file in found.files}.values():
            key = f"{shards.name(number)}/{name}"
            if key in self._places:
                other = self._places[key]
                first = other.archive or other.path or "another shard"
                raise DataError(f"{shard.address}: {key} is called as a file of {first} is; rename one of the two.")
            self._add(key, _Place(name, None, length, f"{start}-{shard.mark}", (start, length), number))
        if found.problem is not None:
            _warn(found.problem)

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
        return {key: self.__dict__[key] for key in self.__dict__ if key not in _OWN}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open_archives()


@cache
def _warn(problem: str) -> None:
    """Say what is wrong with a shard, once however many stores have it."""
    _log.warning("%s", problem)


def _first_visit(folder: str, walked: set[tuple[int, int]]) -> bool:
    """Whether a folder has not been walked yet, under whatever name."""
    try:
        status = os.stat(folder)
    except OSError:
        return False
    count = len(walked)
    walked.add((status.st_dev, status.st_ino))
    return len(walked) > count


def _ends_alike(key: str, name: str) -> bool:
    """Whether one path ends as the other does; a name that ends in a dot is of any suffix."""
    if name.endswith("."):
        key, name = os.path.splitext(key)[0], name[:-1]
    return f"/{key}".endswith(f"/{name}") or f"/{name}".endswith(f"/{key}")


def _plain(name: str) -> str:
    """A path with slashes and in one Unicode form."""
    return unicodedata.normalize("NFC", name).replace("\\", "/")


def _base(name: str) -> str:
    return name.rpartition("/")[2]
