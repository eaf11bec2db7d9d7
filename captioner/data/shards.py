"""WebDataset shards at any address, as trainings read them: tar files that stay where they are.

Each shard is read once, to list its files and keep the captions in it. After that a photo comes from a copy of its
shard on this machine where there is one, and by a request of its own where there is none. So any photo can be read at
any time, copies only save requests, and nothing needs to be remembered but which photos come when.
"""

import json
import tarfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any, BinaryIO, TypeVar

from captioner.data.addresses import (
    expand_braces,
    file_system,
    mark_of,
    open_address,
    patiently,
    read_span,
    without_query,
)
from captioner.data.listing import listed
from captioner.data.names import first_few, inner_name
from captioner.data.shard_copies import Copies, Shard
from captioner.data.tar import CutShort, ForwardFile, tar_files, unpacked
from captioner.errors import DataError
from captioner.weights import write_atomically

TEXTS = (".txt", ".caption", ".json")
"""Files of a shard that may hold captions; small ones are kept with the list of its files."""
_LONGEST_TEXT = 1 << 16
_AT_ONCE = 8  # shards that are listed
_MIXED = 8  # shards

Read = TypeVar("Read")


@dataclass(frozen=True)
class ShardFiles:
    """What a shard holds.

    Attributes:
        files: name, offset and bytes of each.
        texts: those of them that may hold captions.
        problem: why the rest of it cannot be read, a sentence.
    """

    files: list[tuple[str, int, int]]
    texts: dict[str, str]
    problem: str | None = None


class Shards:
    """Shards at other addresses. May be pickled, and used by threads and after a fork.

    Args:
        addresses: of tar files; patterns and ranges in braces stand for several.
        lists: folder for what each shard holds, one for all processes of a training.
        copies: where copies are kept.
        share: (place, count) of a process that lists its part of the shards, while others list theirs.
        wait: comes back when all processes have listed theirs.

    Attributes:
        shards: in the order of the addresses, each once.

    Raises:
        DataError: a shard is not there or cannot be read.
    """

    def __init__(
        self,
        addresses: Sequence[str],
        lists: Path,
        copies: Copies,
        *,
        share: tuple[int, int] = (0, 1),
        wait: Callable[[], None] = lambda: None,
    ) -> None:
        self.shards = find(addresses)
        self.lists, self.copies = lists, copies
        self._names = _short_names([shard.address for shard in self.shards])
        self._texts: tuple[int, dict[str, str]] | None = None
        lists.mkdir(parents=True, exist_ok=True)
        mine = self.shards[share[0] :: share[1]]
        whole = sum(shard.size for shard in self.shards) <= copies.room
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            list(pool.map(lambda shard: self._list(shard, whole), mine))
        wait()

    @property
    def mixed(self) -> int:
        """How many shards fit twice into a process's room for copies; with none, each photo is a request."""
        largest = max(shard.size for shard in self.shards)
        return min(_MIXED, self.copies.room // (2 * self.copies.users * max(largest, 1)))

    def numbers(self, addresses: Sequence[str]) -> list[int]:
        """The numbers of the shards that some addresses stand for."""
        places = {shard.address: number for number, shard in enumerate(self.shards)}
        return [places[shard.address] for shard in find(addresses)]

    def name(self, number: int) -> str:
        """A shard's address from the folder on that all of them are in; with its query where two differ in it only."""
        return self._names[number]

    def files(self, number: int) -> ShardFiles:
        """What a shard holds."""
        path = self._listing(self.shards[number])
        try:
            values = json.loads(path.read_bytes())
            files = [(name, start, length) for name, start, length in values["files"]]
            return ShardFiles(files, values["texts"], values["problem"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise DataError(f"{path}: is no list of a shard's files; delete it, so that it is made again.") from error

    def read(self, number: int, name: str, start: int, length: int) -> bytes:
        """A file's bytes.

        Raises:
            DataError: its shard cannot be read.
        """
        if name.lower().endswith(TEXTS):
            found = self._texts
            if found is None or found[0] != number:
                found = self._texts = (number, self.files(number).texts)
            if name in found[1]:
                return found[1][name].encode("utf-8", "surrogateescape")
        shard = self.shards[number]
        path = self.copies.find(shard)
        if path is not None:
            with suppress(FileNotFoundError), open(path, "rb") as file:  # unless it has just made room for another
                file.seek(start)
                return file.read(length)
        return patiently(lambda: read_span(shard.address, start, length))

    def expect(self, numbers: Sequence[int]) -> None:
        """Bring copies of these shards in the background, in this order; what was expected before is forgotten."""
        if self.mixed:
            self.copies.expect([self.shards[number] for number in numbers])

    def in_order(self, pairs: Iterable[tuple[int, Read]]) -> Iterator[Read]:
        """What comes with the numbers of shards, expecting each shard and the next one before it is their turn."""
        pairs = list(pairs)
        order = list(dict.fromkeys(number for number, _ in pairs))
        following = dict(zip(order, [*order[1:], None], strict=False))
        last = None
        for number, each in pairs:
            if number != last:
                then = following[number]
                self.expect([number] if then is None else [number, then])
                last = number
            yield each

    def _list(self, shard: Shard, whole: bool) -> None:
        """See what a shard holds, unless that is known; a shard that is kept whole is copied on this occasion."""
        target = self._listing(shard)
        if target.exists():
            return
        with ExitStack() as stack:
            file: BinaryIO
            if whole:
                file = stack.enter_context(open(self.copies.bring(shard), "rb"))
            else:
                file = stack.enter_context(open_address(shard.address))
            found = _files_of(file, shard)
        values = {"shard": shard.address, "files": found.files, "texts": found.texts, "problem": found.problem}
        write_atomically(target, json.dumps(values))

    def _listing(self, shard: Shard) -> Path:
        return self.lists / f"{shard.key}.json"


def _short_names(addresses: Sequence[str]) -> list[str]:
    """Addresses from their common folder on, without the queries that are not needed to tell them apart."""
    plain = [without_query(address) for address in addresses]
    folders = [address.split("/")[:-1] for address in plain]
    common = len(list(takewhile(lambda parts: len(set(parts)) == 1, zip(*folders, strict=False))))
    count = Counter(plain)
    names = zip(addresses, plain, strict=True)
    return ["/".join((short if count[short] == 1 else whole).split("/")[common:]) for whole, short in names]


def find(addresses: Sequence[str]) -> list[Shard]:
    """The shards that addresses stand for, those of one pattern in the order of their names.

    Raises:
        DataError: one is not there, or its storage cannot be read.
    """
    missing: list[str] = []
    names = [name for address in addresses for name in expand_braces(address)]
    found: dict[str, Shard] = {}
    for address, about in listed(names, missing):
        inside = [(address, about)]
        if about.get("type") == "directory":
            system, path = file_system(address)
            inside = list(listed([f"{system.unstrip_protocol(path).rstrip('/')}/*.tar"], missing))
        for each, told in inside:
            if told.get("size") is None:
                raise DataError(f"{each}: its server does not tell how large it is; choose another.")
            found[each] = Shard(each, mark_of(told), int(told["size"]))
    if missing:
        raise DataError(f"{first_few(missing)}: no such shard of photos.")
    return list(found.values())


def _files_of(file: Any, shard: Shard) -> ShardFiles:
    """The files in a shard."""
    head = file.read(8)
    if unpacked(file, head) is not None:
        raise DataError(f"{shard.address}: a packed tar file, in which nothing can be found again quickly; unpack it.")
    file.seek(0)
    texts: dict[str, str] = {}

    def take(archive: tarfile.TarFile, info: tarfile.TarInfo) -> tuple[str, int, int] | None:
        if info.offset_data + info.size > shard.size:
            raise CutShort
        name = inner_name(info.name)
        if name is None or info.issparse():
            return None
        if name.lower().endswith(TEXTS) and info.size <= _LONGEST_TEXT:
            content = archive.extractfile(info)
            assert content is not None, "a regular file"
            texts[name] = content.read().decode("utf-8", "surrogateescape")
        return name, info.offset_data, info.size

    files: list[tuple[str, int, int]] = []
    try:
        files.extend(tar_files(ForwardFile(file, jumps=True), shard.address, take))
    except DataError as error:
        if not files:
            raise
        return ShardFiles(files, texts, str(error))
    return ShardFiles(files, texts)
