"""Captions in JSON files, also packed: COCO's, Karpathy's, and lists and objects of photos with their captions."""

import contextlib
import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast, get_args

from captioner.data.caption_forms.columns import entries_of, file_name, find_columns, is_media, texts_in
from captioner.data.caption_forms.entries import Entry, FoundCaptions
from captioner.data.files import read_member, read_unpacked
from captioner.data.ids import ImageId, image_id
from captioner.data.names import first_few
from captioner.data.splits import Split
from captioner.data.tables import parse_json, table_of
from captioner.errors import DataError


def read_json_captions(path: Path, wanted: Mapping[str, str] | None = None) -> FoundCaptions:
    """Captions in a JSON file, or in the only JSON file inside a zip file.

    Args:
        path: COCO captions, Karpathy's `dataset_*.json`, a list of objects with a photo and captions, or an object of
            captions by photos' names.
        wanted: keys of a list's objects, as `columns.find_columns` takes them.

    Raises:
        DataError: the file is missing, cut short, or holds something else.
    """
    content = read_json(path)
    if is_karpathy(content):
        karpathy = read_karpathy(content["images"], path)
        entries = [Entry(name, tuple(texts), split, number) for number, name, split, texts in karpathy]
        return FoundCaptions(path, "Karpathy's JSON", entries)
    if isinstance(content, list) and content and all(isinstance(row, dict) for row in content):
        table = table_of(content, path)
        columns = find_columns(table.columns, wanted)
        if columns is not None and columns.image != "image_id":  # which results have
            entries, problems = entries_of(table, columns, path)
            return FoundCaptions(path, "a list of photos with captions", entries, [str(columns)], problems)
    elif isinstance(content, dict) and content and all(is_media(name) and texts_in(content[name]) for name in content):
        entries = [Entry(file_name(name), tuple(texts_in(texts))) for name, texts in content.items()]
        return FoundCaptions(path, "captions by photos' names", entries)
    coco = read_coco(content, path)
    entries = [
        Entry(image["file_name"], tuple(entry["caption"] for entry in coco.imgToAnns[number]), None, number)
        for number, image in coco.imgs.items()
    ]
    return FoundCaptions(path, "COCO captions", entries)


def is_karpathy(content: Any) -> bool:
    """Whether parsed JSON has the form of Karpathy's split files."""
    images = content.get("images") if isinstance(content, dict) else None
    return isinstance(images, list) and bool(images) and isinstance(images[0], dict) and "sentences" in images[0]


def read_json(path: Path) -> Any:
    """Parse a JSON file, possibly gzipped, or the only JSON file inside a zip file.

    Raises:
        DataError: it is missing, not JSON (perhaps cut short), unpacks to too much, or is a zip file with no or several
            JSON files.
    """
    try:
        if not zipfile.is_zipfile(path):
            return parse_json(read_unpacked(path))
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".json") and "__MACOSX" not in name]
            if len(names) != 1:
                inside = f"{len(names)} JSON files ({', '.join(names[:5])})" if names else "no JSON file"
                raise DataError(f"{path}: holds {inside}, not one; unpack it and name the captions file.")
            return parse_json(read_member(archive, names[0]))
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
        raise DataError(f"{path}: annotations name image ids that images does not list: {first_few(strangers)}.")
    return coco


def _check_coco(content: Any, path: Path) -> None:
    if isinstance(content, list):
        raise DataError(f"{path}: a list, as COCO results are; captions files hold images and annotations.")
    if not isinstance(content, dict) or not all(isinstance(content.get(k), list) for k in ("images", "annotations")):
        raise DataError(
            f"{path}: neither COCO captions (images and annotations) nor a Karpathy split file, nor a list or object "
            "of photos with their captions."
        )
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


def _brief(entry: Any) -> str:
    text = json.dumps(entry)
    return text if len(text) < 80 else text[:77] + "..."
