"""Captions beside photos and clips, each in a file of its own: in folders, zip files, and shards (tar files).

`a.jpg` has its captions in `a.txt` or `a.caption`, one a line, or in `a.json`, and `a.jpg.txt` and so on are as good.
The samples of WebDataset are the same, in tar files.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from captioner.data.caption_forms.columns import is_media, texts_in
from captioner.data.caption_forms.entries import Entry, FoundCaptions
from captioner.data.photos import ImageStore
from captioner.data.shards import TEXTS
from captioner.data.splits import SPLITS, Split, split_in
from captioner.data.tables import decoded
from captioner.errors import DataError, ImageError

_SHARD = re.compile(r"(?P<folders>(?:[^/]*/)*?)(?P<name>[^/]*\.tar)(?:\?[^/]*)?/", re.IGNORECASE)
"""The outermost tar file in a name, which may be an address with a query."""


def read_captions_beside(path: Path | str, store: ImageStore | None = None) -> FoundCaptions | None:
    """Captions in files beside photos and clips; None if no photo has any.

    Args:
        path: folder, zip file or tar file; with `store` only a name for messages.
        store: of its files, where there is one already.
    """
    store = store or ImageStore(path)
    names = sorted(store)
    there = set(names)
    entries: list[Entry] = []
    kinds: set[str] = set()
    problems, bare = [], 0
    splits = _splits(names)
    for name in names:
        if not is_media(name):
            continue
        beside = _beside(name, there)
        captions: list[str] = []
        for text in beside:
            try:
                captions = _read(store, text)
            except (DataError, ImageError) as error:
                problems.append(f"{error} It is left out.")
            if captions:
                kinds.add(text[text.rindex(".") :].lower())
                entries.append(Entry(name, tuple(captions), splits.get(name)))
                break
        bare += not captions
    if not entries:
        return None
    if bare:
        problems.append(f"{path}: {bare:,} photos have no captions beside them and are not used.")
    shards = store.tar_files
    where = f"in {shards} shard{'s' * (shards != 1)}" if shards else "beside each photo"
    return FoundCaptions(path, f"{' and '.join(sorted(kinds))} {where}", entries, (), problems)


def _beside(name: str, there: set[str]) -> list[str]:
    """Files that may hold a photo's captions."""
    stem = name.rpartition(".")[0]
    # all that follows a key's first dot is the suffix of a shard's member
    folder, slash, base = name.rpartition("/")
    key = f"{folder}{slash}{base.partition('.')[0]}"
    likely = (base + suffix for suffix in TEXTS for base in (stem, name, key))
    return [text for text in dict.fromkeys(likely) if text in there]


def _read(store: ImageStore, name: str) -> list[str]:
    text = decoded(store.read(name).tobytes(), name)
    if name.lower().endswith(".json"):
        try:
            return texts_in(json.loads(text))
        except (ValueError, RecursionError):
            raise DataError(f"{name}: not JSON, or cut short.") from None
    return [line.strip() for line in re.split(r"\r\n|\n|\r", text) if line.strip()]


def _splits(names: Sequence[str]) -> dict[str, Split]:
    """The splits that the outermost folders or the shards are called by, if all are called so."""
    found: dict[str, Split] = {}
    for name in names:
        split = _split_of(name)
        if split is not None:
            found[name] = split
        elif is_media(name):
            return {}
    return found


def _split_of(name: str) -> Split | None:
    """The split that a file's shard is called by, or the nearest folder above it, or the outermost of other folders."""
    shard = _SHARD.match(name)
    if shard is None:
        outer, slash, _ = name.partition("/")
        return SPLITS.get(outer.lower()) if slash else None
    folders = reversed(shard["folders"].lower().split("/"))
    return split_in(shard["name"]) or next((SPLITS[folder] for folder in folders if folder in SPLITS), None)
