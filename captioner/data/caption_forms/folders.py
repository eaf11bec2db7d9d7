"""Finding captions: which form a file has, and where in a folder they are."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from captioner.data.caption_forms.beside import read_captions_beside
from captioner.data.caption_forms.columns import is_media
from captioner.data.caption_forms.entries import FoundCaptions
from captioner.data.caption_forms.json_files import read_json_captions
from captioner.data.caption_forms.table_files import JSON_LINES, read_table_captions
from captioner.data.files import plain_suffix
from captioner.data.names import LEFT_OUT, first_few
from captioner.data.shards import TEXTS
from captioner.data.splits import SPLITS, split_in
from captioner.errors import DataError

TABLES = (".csv", ".tsv", ".txt", ".token", ".parquet", *JSON_LINES)
_PACKED = tuple(f"{suffix}.gz" for suffix in (".csv", ".tsv", ".txt", ".json", *JSON_LINES))
_SUFFIXES = (*TABLES, ".json", ".zip", *_PACKED)
_DEEPEST = 2  # folders below the one that is searched
_MANY = 50  # files that might hold captions; of more only those whose names say so
_TELLING = re.compile(r"caption|metadata|annotation|dataset|token|label|result|text|info")
_OTHER_COCO = ("instances_", "person_keypoints_", "panoptic_", "stuff_", "image_info_")
"""COCO's other annotations, which are large."""


def find_captions(path: Path, columns: Mapping[str, str] | None = None) -> FoundCaptions:
    """Read captions of photos or clips, in whatever of the known forms they are.

    Args:
        path: a file: COCO's or Karpathy's JSON (also in a zip file), a JSON list or object, a table (`.csv`, `.tsv`,
            `.txt`, `.token`), JSON Lines, a Parquet file or a shard (`.tar`); or a folder that has such a file, Hugging
            Face's `metadata` files, shards, or captions beside its photos.
        columns: names of a table's columns, by `image`, `caption` and `split`, where others than the usual ones count.

    Raises:
        DataError: there are none, it is not plain which of several files has them, or they cannot be read.
    """
    if path.is_dir():
        return _in_folder(path, columns)
    if not path.exists():
        raise DataError(f"{path}: cannot be read (No such file or directory).")
    suffix = path.suffix.lower()
    if suffix == ".tar":
        found = read_captions_beside(path)
        if found is None:
            raise DataError(f"{path}: no photo in it has captions beside it, as 0001.jpg has in 0001.txt or 0001.json.")
        return found
    if plain_suffix(path) in TABLES:
        return read_table_captions(path, columns)
    return read_json_captions(path, columns)


def _in_folder(folder: Path, columns: Mapping[str, str] | None) -> FoundCaptions:
    """The captions in a folder."""
    files, passed_over = _files(folder), list[str]()
    metadata = [file for file in files if file.stem == "metadata"]
    candidates = [file for file in files if file.stem != "metadata"]
    written = [file for file in candidates if os.path.exists(f"{file}.made")]  # by this program
    by_people = [file for file in candidates if file not in written]
    for some in (metadata, by_people, None, written):
        if some is None:
            beside = read_captions_beside(folder)
            if beside is not None:
                return beside
            continue
        found = [each for file in some if (each := _tried(file, folder, columns, passed_over)) is not None]
        if found:
            whole = found[0] if len(found) == 1 else _joined(folder, found)
            # that a README is no captions goes without saying
            return replace(whole, problems=[*whole.problems, *passed_over]) if some is metadata else whole
    why = f" These are no captions: {' '.join(passed_over[:3])}" if passed_over else ""
    raise DataError(
        f"{folder}: no captions here; they are looked for in JSON (COCO's, Karpathy's), tables (.csv, .tsv, .txt, "
        f".jsonl, .parquet), shards (.tar), and .txt, .caption or .json files beside the photos.{why}"
    )


def _files(folder: Path) -> list[Path]:
    """Files that may hold captions of many photos, those of the folder itself first."""
    found: list[Path] = []
    for root, folders, names in os.walk(folder):
        depth = len(Path(root).parts) - len(folder.parts)
        folders[:] = sorted(
            name for name in folders if name.lower() not in LEFT_OUT and name[:1] != "." and depth < _DEEPEST
        )
        media = [name for name in names if is_media(name)]
        alone = {*media, *(name.rpartition(".")[0] for name in media)}
        here = [
            Path(root, name)
            for name in sorted(names)
            if name.lower().endswith(_SUFFIXES)
            and not name.startswith((".", *_OTHER_COCO))
            and "lemma" not in name  # Flickr8k's captions again, reduced to stems
            and not (name.lower().endswith(TEXTS) and name.rpartition(".")[0] in alone)
        ]
        many = len(here) > _MANY or depth > 0
        found += [file for file in here if not many or _TELLING.search(file.name.lower())]
    return found


def _tried(file: Path, folder: Path, columns: Mapping[str, str] | None, passed_over: list[str]) -> FoundCaptions | None:
    """The captions in a file, its photos' names below the folder that is searched; None if it has none."""
    try:
        found = find_captions(file, columns)
    except DataError as error:
        passed_over.append(str(error))
        return None
    inner = file.parent.relative_to(folder)
    words = [SPLITS[part.lower()] for part in inner.parts if part.lower() in SPLITS]
    split = words[0] if words else split_in(file.name.partition(".")[0])
    prefix = f"{inner.as_posix()}/" if file.stem == "metadata" and inner.parts else ""
    entries = [replace(entry, name=f"{prefix}{entry.name}", split=entry.split or split) for entry in found.entries]
    return replace(found, entries=entries)


def _joined(folder: Path, found: Sequence[FoundCaptions]) -> FoundCaptions:
    """Captions of several files, each of which is a split.

    Raises:
        DataError: they are not.
    """
    splits = [{entry.split for entry in each.entries} for each in found]
    names = [str(Path(each.source).relative_to(folder)) for each in found]
    together = all(Path(each.source).stem == "metadata" for each in found)
    if not together and (any(None in each for each in splits) or len(set.union(*splits)) < len(found)):
        raise DataError(f"{folder}: {first_few(names)} all hold captions; name the one that is meant.")
    entries = [replace(entry, id=None) for each in found for entry in each.entries]  # ids are of one file only
    details = dict.fromkeys(detail for each in found for detail in each.details)
    problems = [problem for each in found for problem in each.problems]
    return FoundCaptions(folder, f"{found[0].form} in {first_few(names)}", entries, list(details), problems)
