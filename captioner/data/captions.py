"""Captioned photos: COCO's and Karpathy's JSON files, plain or zipped, as one kind of data set."""

import contextlib
import dataclasses
import io
import json
import logging
import random
import zipfile
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

from captioner.data.files import read_member
from captioner.data.ids import ImageId, image_id
from captioner.data.photos import ImageStore
from captioner.errors import DataError
from captioner.text.ptb import tokenize

__all__ = ["CaptionSet", "CaptionedImage", "ImageStore", "Split", "assemble", "read_coco", "read_json", "read_karpathy"]

Split = Literal["train", "val", "test"]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptionedImage:
    """One photo and what people wrote about it.

    Attributes:
        id: the annotation file's number or name for the photo; unique in one file only, as `file_name` is everywhere.
        file_name: as the annotation file says, with its folder if given.
        split: the part of the data set it belongs to.
        captions: as written, none of zero words.
        tokens: the PTB tokens of each caption.
    """

    id: ImageId
    file_name: str
    split: Split
    captions: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]


class CaptionSet:
    """Captioned photos with their splits, in the order of their file.

    Args:
        images: the photos.
        source: where they come from, for messages.

    Raises:
        DataError: two photos have the same file name.
    """

    def __init__(self, images: Iterable[CaptionedImage], source: str) -> None:
        self.images = tuple(images)
        self.source = source
        counts = Counter(image.file_name for image in self.images)
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise DataError(f"{source}: {_list(twice, 'photo')} listed more than once; keep one entry each.")

    @classmethod
    def read(cls, path: Path, split: Split = "train") -> "CaptionSet":
        """Read a captions file.

        Args:
            path: COCO captions or Karpathy's `dataset_*.json`, or a zip file that holds one such JSON file.
            split: the split of a COCO file's photos; Karpathy's files say their own (`restval` counts as `train`).

        Raises:
            DataError: the file is missing, cut short, or holds something else than captions.
        """
        content = read_json(path)
        images = content.get("images") if isinstance(content, dict) else None
        if isinstance(images, list) and images and isinstance(images[0], dict) and "sentences" in images[0]:
            return assemble(read_karpathy(images, path), path)
        return assemble(_read_coco(content, path, split), path)

    @classmethod
    def join(cls, sets: Sequence["CaptionSet"]) -> "CaptionSet":
        """One set of several, in their order; `DataError` where two hold the same file name."""
        return cls((image for each in sets for image in each), ", ".join(each.source for each in sets))

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[CaptionedImage]:
        return iter(self.images)

    def __getitem__(self, index: int) -> CaptionedImage:
        return self.images[index]

    def split(self, name: Split) -> "CaptionSet":
        """The photos of one split.

        Raises:
            DataError: it is empty.
        """
        chosen = [image for image in self.images if image.split == name]
        if not chosen:
            sizes = Counter(image.split for image in self.images)
            there = ", ".join(f"{sizes[part]} in {part}" for part in get_args(Split) if sizes[part]) or "none at all"
            raise DataError(f"{self.source}: no photo in the {name} split ({there}); check the splits in this file.")
        return CaptionSet(chosen, self.source)

    def hold_out(self, count: int, split: Split = "val", seed: int = 0) -> "CaptionSet":
        """Move `count` of the training photos to another split; the same seed chooses the same photos.

        Raises:
            DataError: this would leave no training photo.
        """
        names = sorted(image.file_name for image in self.images if image.split == "train")
        if not 0 <= count < len(names):
            raise DataError(f"{self.source}: cannot keep {count} of {len(names)} training photos for {split}.")
        chosen = set(random.Random(seed).sample(names, count))
        return CaptionSet(
            (dataclasses.replace(image, split=split) if image.file_name in chosen else image for image in self.images),
            self.source,
        )

    def without(self, names: Collection[str]) -> "CaptionSet":
        """The other photos; there may be none."""
        return CaptionSet((image for image in self.images if image.file_name not in names), self.source)

    def with_photos(self, store: ImageStore, allow_missing: bool = False) -> "CaptionSet":
        """Check that every photo is there.

        Args:
            store: where the photos lie.
            allow_missing: drop the photos that are not there, and say how many, instead of refusing.

        Raises:
            DataError: photos are missing and `allow_missing` is off, or all are missing.
        """
        missing = [image.file_name for image in self.images if image.file_name not in store]
        if not missing:
            return self
        found = f"{_list(missing, 'photo')} of {len(self)} not found in {', '.join(map(str, store.paths))}"
        if not allow_missing or len(missing) == len(self):
            raise DataError(f"{self.source}: {found}; add them, or set data.allow_missing=true to train without them.")
        _log.warning("%s: %s; going on without.", self.source, found)
        return self.without(set(missing))


def read_json(path: Path) -> Any:
    """Parse a JSON file, or the only JSON file inside a zip file.

    Raises:
        DataError: it is missing, not JSON (perhaps cut short), or a zip file with no or several JSON files.
    """
    try:
        if not zipfile.is_zipfile(path):
            return json.loads(Path(path).read_bytes())
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".json") and "__MACOSX" not in name]
            if len(names) != 1:
                inside = f"{len(names)} JSON files ({', '.join(names[:5])})" if names else "no JSON file"
                raise DataError(f"{path}: holds {inside}, not one; unpack it and name the captions file.")
            return json.loads(read_member(archive, names[0]))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except RecursionError:
        raise DataError(f"{path}: nested too deeply for JSON with captions; fetch or write it again.") from None
    except (ValueError, zipfile.BadZipFile) as error:
        raise DataError(f"{path}: not JSON, or cut short ({error}); fetch or write it again.") from error


def read_coco(content: Any, path: Path) -> Any:
    """Index COCO captions with pycocotools, without its printing.

    Args:
        content: the parsed JSON.
        path: its file, for messages.

    Returns:
        a `pycocotools.coco.COCO`.

    Raises:
        DataError: this is not a COCO captions file.
    """
    from pycocotools.coco import COCO

    _check_coco(content, path)
    coco = COCO()
    coco.dataset = content
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    if len(coco.imgs) < len(content["images"]):
        raise DataError(f"{path}: some image ids occur twice in images; each image has one entry.")
    strangers = [str(image) for image in coco.imgToAnns if image not in coco.imgs]
    if strangers:
        raise DataError(f"{path}: annotations name {_list(strangers, 'image id')} that images does not list.")
    return coco


def _check_coco(content: Any, path: Path) -> None:
    if isinstance(content, list):
        raise DataError(f"{path}: a list, as COCO results are; captions files hold images and annotations.")
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        raise DataError(f"{path}: neither COCO captions (images and annotations) nor a Karpathy split file.")
    numbered = all(isinstance(entry, dict) and "id" in entry for entry in content["annotations"])
    for entry in content["images"]:
        if not isinstance(entry, dict) or not isinstance(entry.get("file_name"), str) or _id_in(entry, "id") is None:
            raise DataError(f"{path}: every image needs an id and a file_name; found {_brief(entry)}.")
    for number, entry in enumerate(content["annotations"]):
        if not isinstance(entry, dict) or _id_in(entry, "image_id") is None:
            raise DataError(f"{path}: every annotation needs an image_id; found {_brief(entry)}.")
        if not numbered:  # nothing refers to them
            entry["id"] = number
        if not isinstance(entry.get("caption"), str):
            raise DataError(
                f"{path}: annotation {entry['id']} has no caption but {', '.join(sorted(entry))}; this is another kind "
                "of COCO file. Give a captions_*.json."
            )


def _id_in(entry: dict[str, Any], key: str) -> ImageId | None:
    """An entry's id, which it has in one form from now on."""
    found = image_id(entry.get(key))
    if found is not None:
        entry[key] = found
    return found


def _read_coco(content: Any, path: Path, split: Split) -> Iterator[tuple[ImageId, str, Split, list[str]]]:
    coco = read_coco(content, path)
    for number, image in coco.imgs.items():
        yield number, image["file_name"], split, [entry["caption"] for entry in coco.imgToAnns[number]]


def read_karpathy(images: list[Any], path: Path) -> Iterator[tuple[ImageId, str, Split, list[str]]]:
    """Read the images of Karpathy's JSON: id, file name, split and captions as written.

    Raises:
        DataError: an image is not such an entry.
    """
    for number, image in enumerate(images):
        try:
            name = image["filename"]
            if image.get("filepath"):
                name = f"{image['filepath']}/{name}"
            split = "train" if image["split"] == "restval" else image["split"]
            captions = [sentence["raw"] for sentence in image["sentences"]]
            given = image_id(image.get("cocoid", image.get("imgid", number)))
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise DataError(
                f"{path}: image {number} is not a Karpathy entry, which has filename, split and sentences with raw "
                f"({type(error).__name__}: {error})."
            ) from error
        if not all(isinstance(caption, str) for caption in captions):
            raise DataError(f"{path}: image {number} has a raw caption that is not a text.")
        if split not in get_args(Split):
            raise DataError(f"{path}: image {number} has split {split!r}; known are train, restval, val and test.")
        yield number if given is None else given, name, cast(Split, split), captions


def assemble(entries: Iterable[tuple[ImageId, str, Split, list[str]]], path: Path) -> CaptionSet:
    """A set of (id, file name, split, captions as written): tokenises them, and leaves out what holds no word.

    Raises:
        DataError: nothing is left.
    """
    images = []
    wordless: list[str] = []
    bare: list[str] = []
    for number, name, split, written in entries:
        pairs = [(caption.strip(), tuple(tokenize(caption))) for caption in written]
        kept = [(caption, tokens) for caption, tokens in pairs if tokens]
        wordless += [name] * (len(pairs) - len(kept))
        if kept:
            images.append(CaptionedImage(number, name, split, *map(tuple, zip(*kept, strict=True))))
        else:
            bare.append(name)
    if not images:
        raise DataError(f"{path}: no photo with a caption of at least one word.")
    if wordless:
        _log.warning("%s: %s have no words and are left out.", path, _list(wordless, "caption"))
    if bare:
        _log.warning("%s: %s left without a caption and not used.", path, _list(bare, "photo"))
    return CaptionSet(images, str(path))


def _list(names: Sequence[str], noun: str) -> str:
    """`3 photos (a.jpg, b.jpg, ...)`."""
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} {noun}{'s' if len(names) > 1 else ''} ({shown})"


def _brief(entry: Any) -> str:
    text = json.dumps(entry)
    return text if len(text) < 80 else text[:77] + "..."
