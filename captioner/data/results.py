"""What an evaluation reads: annotated references, and COCO results files, `[{"image_id": 42, "caption": "..."}, ...]`.

Annotations stay as written and in the order of their file, as the official scorer takes them.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

from captioner.data.caption_forms import Entry, FoundCaptions, find_captions
from captioner.data.caption_forms.columns import refuse_swallowed
from captioner.data.caption_forms.json_files import read_json
from captioner.data.files import plain_suffix
from captioner.data.ids import ImageId, image_id
from captioner.data.names import Names, parts_of
from captioner.data.splits import Split
from captioner.data.tables import Table, even, read_json_lines, read_parquet, read_texts, split_rows
from captioner.errors import DataError, UsageError

_ROW_COLUMNS = ("path", "caption", "captions", "error")


@dataclass(frozen=True)
class Annotations:
    """The annotated images to be captioned.

    Attributes:
        source: the annotation file.
        captions: the references of each image by its id, as written.
        files: the file name of each image.
        split: the part of a Karpathy file, or None.
        missing: images left out because there is no caption for them.
        training: the captions of a Karpathy file's training part, or None.
    """

    source: Path
    captions: Mapping[ImageId, Sequence[str]]
    files: Mapping[ImageId, str]
    split: str | None = None
    missing: int = 0
    training: Sequence[str] | None = field(default=None, repr=False)

    def matched(self, results: Mapping[ImageId, str], source: object, *, allow_missing: bool = False) -> "Annotations":
        """The references of the images in `results`.

        Args:
            results: the caption of each image.
            source: where they come from, for messages.
            allow_missing: go on without the annotated images that have no caption.

        Raises:
            DataError: results name images that are not annotated, or lack some that are and `allow_missing` is off.
        """
        part = f"the {self.split} split of {self.source}" if self.split else str(self.source)
        strangers = [image for image in results if image not in self.captions]
        if strangers:
            raise DataError(
                f"{source}: {some(strangers)} not annotated in {part}; give the annotations that these results are of."
            )
        missing = [image for image in self.captions if image not in results]
        if not missing:
            return self
        if not allow_missing:
            raise DataError(
                f"{source}: no caption for {some(missing)} of {len(self.captions)} in {part}; caption them too, or "
                "score what is there with --allow-missing, which the signature will say."
            )
        kept = {image: texts for image, texts in self.captions.items() if image in results}
        return replace(self, captions=kept, missing=len(missing))


def read_annotations(path: Path, split: str | None = None) -> Annotations:
    """Read annotations.

    Args:
        path: a file or folder in one of the forms that `caption_forms.find_captions` knows, such as COCO captions and
            Karpathy's `dataset_*.json`, also gzipped or zipped. Images that have no id there are known by their
            names.
        split: the part of captions that say their splits, as Karpathy's files do; test by default.

    Raises:
        DataError: the file is missing, cut short, or holds something else than captions.
        UsageError: there is no such split.
    """
    found = find_captions(path)
    parted = any(entry.split for entry in found.taken())
    if parted and split not in (None, *get_args(Split)):
        raise UsageError(f"--split {split}: choose {', '.join(get_args(Split))}.")
    if split is not None and not parted:
        raise UsageError(f"{path}: {found.form} without splits; leave --split {split} out.")
    part = (split or "test") if parted else None
    entries = [entry for entry in found.entries if entry.split == part and entry.captions]
    if not entries and part is not None:
        sizes = Counter(entry.split for entry in found.entries)
        there = ", ".join(f"{count} in {name or 'none'}" for name, count in sizes.items())
        raise DataError(f"{path}: no captioned image in the {part} split ({there}); choose another --split.")
    if not entries:
        raise DataError(f"{path}: no image has a caption; there is nothing to score against.")
    twice = _twice(_id(entry) for entry in entries)
    if twice:
        raise DataError(f"{path}: {some(twice)} listed more than once; keep one entry each.")
    training = _training(found)
    return Annotations(
        path,
        {_id(entry): list(entry.captions) for entry in entries},
        {_id(entry): entry.name for entry in entries},
        part,
        training=training if part not in (None, "train") and training else None,
    )


def read_training(path: Path) -> list[str]:
    """The captions to learn from: of the training part where the source says splits, otherwise all.

    Raises:
        DataError: the file is missing, cut short, or holds something else than captions.
    """
    return _training(find_captions(path))


def _training(found: FoundCaptions) -> list[str]:
    part = "train" if any(entry.split for entry in found.entries) else None
    return [text for entry in found.entries if entry.split == part for text in entry.captions]


def _id(entry: Entry) -> ImageId:
    return entry.name if entry.id is None else entry.id


def read_results(path: Path, references: Annotations | None = None) -> dict[ImageId, str]:
    """Read captions by image id: a COCO results file, or rows of paths and captions in JSON Lines, CSV or Parquet.

    Args:
        path: of the file; `.jsonl`, `.csv`, `.tsv` and `.parquet` are rows as `captioner caption` writes them;
            texts may be gzipped.
        references: the annotated images, whose names tell which image a path is; rows need them, and so do results
            that name images by their files.

    Raises:
        DataError: it is missing, cut short, empty, or holds something else or an image twice.
    """
    if plain_suffix(path) in (".jsonl", ".csv", ".tsv", ".parquet"):
        return _from_rows(path, references)
    content = read_json(path)
    if isinstance(content, dict) and "annotations" in content:
        raise DataError(f"{path}: annotations, not results, which are a list of image_id and caption.")
    if not isinstance(content, list):
        raise DataError(f"{path}: not COCO results, which are a list of image_id and caption.")
    if not content:
        raise DataError(f"{path}: an empty list; there is no caption to score.")
    pairs = []
    for number, entry in enumerate(content):
        if not isinstance(entry, dict) or "image_id" not in entry or "caption" not in entry:
            keys = ", ".join(entry) if isinstance(entry, dict) else type(entry).__name__
            raise DataError(f"{path}: entry {number} has no image_id and caption, but {keys}; these are other results.")
        image, caption = image_id(entry["image_id"]), entry["caption"]
        if image is None:
            raise DataError(
                f"{path}: entry {number} has image_id {entry['image_id']!r}, which is neither a whole number nor a "
                "text."
            )
        if not isinstance(caption, str):
            raise DataError(f"{path}: the caption of image {image} is {caption!r}, which is not a text.")
        pairs.append((image, caption))
    return _once(_by_name(pairs, references, path), path)


def _by_name(
    pairs: Sequence[tuple[ImageId, str]], references: Annotations | None, path: Path
) -> Sequence[tuple[ImageId, str]]:
    """Results that name images by their files, by the ids of these; others are as they were."""
    if references is None or any(image in references.captions for image, _ in pairs):
        return pairs
    names = Names(references.files)
    found = [(_find(names, str(image), references.files, path), caption) for image, caption in pairs]
    return [(images[0], caption) for images, caption in found] if all(images for images, _ in found) else pairs


def _find(names: Names[ImageId], name: str, files: Mapping[ImageId, str], path: Path) -> list[ImageId]:
    """The image that a name is of; none, or one."""
    images = names.find(name, name) or names.find(name, parts_of(name)[-1] if parts_of(name) else name)
    if len(images) > 1:
        raise DataError(f"{path}: {name} may be {files[images[0]]} or {files[images[1]]}; give it with its folder.")
    return images


def _once(pairs: Sequence[tuple[ImageId, str]], path: Path) -> dict[ImageId, str]:
    twice = _twice(image for image, _ in pairs)
    if twice:
        raise DataError(f"{path}: {some(twice)} captioned more than once; keep one caption each.")
    return dict(pairs)


def _from_rows(path: Path, references: Annotations | None) -> dict[ImageId, str]:
    """Captions of the annotated images among rows; rows without a caption failed, and other images do not count."""
    files = {} if references is None else references.files
    names = Names(files)
    pairs = []
    for name, caption in _rows(path):
        pairs += [(image, caption) for image in _find(names, name, files, path)]
    if not pairs:
        raise DataError(f"{path}: no row has a caption of an annotated image; give the annotations of these photos.")
    return _once(pairs, path)


def _rows(path: Path) -> Iterator[tuple[str, str]]:
    """Paths and best captions."""
    table = _read_table(path)
    if table.broken:
        raise DataError(
            f"{path}: row {table.broken[0]} has too many cells or too few; quote captions that hold the separator."
        )
    for number, cells in enumerate(table.rows, 1):
        row = dict(zip(table.columns, cells, strict=True))
        if not isinstance(row.get("path"), str):
            raise DataError(f"{path}: row {number} has no path; rows have path and caption.")
        several = row.get("captions")
        best = several[0] if isinstance(several, list) and several and isinstance(several[0], dict) else row
        if isinstance(best.get("caption"), str) and not row.get("error"):
            yield row["path"], best["caption"]


def _read_table(path: Path) -> Table:
    suffix = plain_suffix(path)
    if suffix == ".jsonl":
        return read_json_lines(path)
    if suffix == ".parquet":
        return read_parquet(path, lambda names: [name for name in names if name in _ROW_COLUMNS])
    delimiter = "\t" if suffix == ".tsv" else ","
    rows = split_rows(read_texts(path, "surrogateescape"), delimiter, path) or [[]]
    if "path" not in rows[0]:
        raise DataError(f"{path}: no column path; rows have path and caption.")
    refuse_swallowed(rows, delimiter, path)
    last = rows[0].index("caption") if "caption" in rows[0] else len(rows[0]) - 1
    return even(rows[1:], rows[0], last, delimiter)


def some(images: Sequence[ImageId]) -> str:
    """`3 images (1, 2, 3)`, or the first three of more."""
    shown = ", ".join(map(str, images[:3])) + (", ..." if len(images) > 3 else "")
    return f"{len(images)} image{'s' if len(images) > 1 else ''} ({shown})"


def _twice(images: Iterable[ImageId]) -> list[ImageId]:
    return [image for image, count in Counter(images).items() if count > 1]
