"""The captioned photos that a configuration names: on this machine, or in WebDataset shards at any address."""

import hashlib
import tempfile
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from captioner.data.addresses import expand_braces, fetch_address, is_remote, local_path
from captioner.data.caption_forms import FoundCaptions, find_captions
from captioner.data.caption_forms.beside import read_captions_beside
from captioner.data.captions import CaptionSet
from captioner.data.copies import find_copies
from captioner.data.names import first_few
from captioner.data.photos import ImageStore
from captioner.data.shard_copies import Copies
from captioner.data.shards import Shards
from captioner.errors import DataError, ImageError
from captioner.training import processes
from captioner.training.caption.config import CaptionFile
from captioner.training.record import say


def open_photos(sets: Mapping[str, CaptionFile], root: Path, lists: Path, copies: Copies) -> ImageStore:
    """All photos of some sets. Of several processes each lists its part of the shards at other addresses.

    Args:
        sets: as the configuration names them.
        root: that paths are relative to.
        lists: folder for what the shards hold, one for all processes.
        copies: of shards, on this machine.

    Raises:
        DataError: a folder, an archive or a shard is not there or cannot be read.
    """
    names = [name for file in sets.values() for name in file.photos]
    local, remote = _places(root, names)
    shards = None
    if remote:
        share = (processes.place(), processes.count())
        shards = Shards(remote, lists, copies, share=share, wait=processes.wait)
    return ImageStore(local, shards)


def read_set(file: CaptionFile, root: Path, photos: ImageStore) -> FoundCaptions:
    """The captions of a set.

    Args:
        file: what the configuration says of it.
        root: that paths are relative to.
        photos: of all sets.

    Raises:
        DataError: there are none, or they cannot be read.
    """
    columns = {str(key): value for key, value in file.columns.items()}
    local, remote = _places(root, file.photos)
    if file.captions is None and remote:
        assert photos.shards is not None
        where = ", ".join(file.photos)
        found = read_captions_beside(where, ImageStore(local, photos.shards, photos.shards.numbers(remote)))
        if found is None:
            raise DataError(
                f"{where}: no photo there has captions beside it, as 0001.jpg has in 0001.txt or 0001.json; "
                "name the file that has them as captions."
            )
        return found
    if file.captions is not None and is_remote(file.captions):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / file.captions.rpartition("/")[2]
            fetch_address(file.captions, path)
            return replace(find_captions(path, columns), source=file.captions)
    return find_captions(root / local_path(file.captions or "."), columns)


def leave_out_copies(captions: CaptionSet, photos: ImageStore) -> CaptionSet:
    """The photos without those to learn from that are copies of one to validate or test on; how many is said.

    Shards at other addresses are not looked at, because each photo would have to be fetched.

    Args:
        captions: of all sets.
        photos: of all sets.
    """

    def digest(name: str) -> Hashable:
        try:
            return hashlib.sha256(photos.read(name).tobytes()).digest()
        except ImageError:  # which is said when its features are computed
            return name

    here = [image for image in captions if photos.shard(image.file_name) is None]
    copies = find_copies(
        (image.file_name for image in here if image.split == "train"),
        (image.file_name for image in here if image.split != "train"),
        photos.size,
        digest,
    )
    if not copies:
        return captions
    say(f"{len(copies)} photos to learn from ({first_few(copies)}) are copies of held-out ones; they are left out.")
    return captions.without(set(copies))


def _places(root: Path, names: Sequence[str]) -> tuple[list[Path], list[str]]:
    """The paths of this machine that names stand for, and the names that are addresses elsewhere."""
    local = [path for name in names if not is_remote(name) for path in _paths(root, name)]
    return local, [name for name in names if is_remote(name)]


def _paths(root: Path, name: str) -> list[Path]:
    """The paths that a name stands for, which may be a pattern or hold a range in braces."""
    whole = root / local_path(name)
    if whole.exists():
        return [whole]
    found: list[Path] = []
    for each in expand_braces(str(whole)):
        fitting = sorted(Path(each).parent.glob(Path(each).name)) if "*" in each else []
        found += fitting or [Path(each)]
    return found
