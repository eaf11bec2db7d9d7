"""Outputs that only captions have: the terminal's table, COCO results, and a text file beside each photo."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.outputs import JsonRows, Record, Writer
from captioner.pipelines.folder.row_file import WriteError, reason
from captioner.pipelines.folder.tables import TerminalTable, time_span
from captioner.pipelines.gallery.rows import captions_of

_COCO_NAME = re.compile(r"(?:^|_)(\d{12})\.[^.]+$")


class CaptionTable(TerminalTable):
    """Captions as rows on a terminal, printed as they come; a row for each segment of a clip."""

    def lines(self, record: Record) -> list[tuple[str, float]]:
        """What was found, with scores; nothing if the record failed."""
        if "segments" in record.fields:
            return [(f"{time_span(each)}  {each['caption']}", each["score"]) for each in record.fields["segments"]]
        return [(caption["caption"], caption["score"]) for caption in captions_of(record)]


class CocoResults(JsonRows):
    """A COCO results file, `[{"image_id": 42, "caption": "..."}, ...]`; images that failed are not in it.

    Args:
        path: of the file.
        images: the inputs.
        annotations: a COCO captions file that gives the ids of file names; without it names such as
            `COCO_val2014_000000000042.jpg` or `000000000042.jpg` say their own.
        overwrite: start afresh.

    Raises:
        UsageError: an image has no id, or two have the same.
    """

    def __init__(self, path: str, images: Sequence[str], annotations: str | None, *, overwrite: bool) -> None:
        self.ids = coco_ids(images, annotations)
        self.images = {number: image for image, number in self.ids.items()}
        super().__init__(path, overwrite=overwrite, head=b"[\n", between=b",\n", tail=b"\n]\n")

    def row(self, record: Record) -> Mapping[str, Any] | None:
        """Id and best caption."""
        captions = captions_of(record)
        return {"image_id": self.ids[identity(record.path)], "caption": captions[0]["caption"]} if captions else None

    def key(self, row: Mapping[str, Any]) -> str:
        """The input with this id; one that is not asked for now is kept all the same."""
        return self.images.get(row["image_id"], f"image {row['image_id']}")


def coco_ids(images: Sequence[str], annotations: str | None) -> dict[str, int]:
    """Each image's COCO id, by `identity`; see `CocoResults`."""
    named = {} if annotations is None else _annotated_ids(annotations)
    ids: dict[str, int] = {}
    owners: dict[int, str] = {}
    unknown = []
    for image in images:
        name = os.path.basename(image)
        match = _COCO_NAME.search(name) if annotations is None else None
        number = int(match[1]) if match else named.get(name)
        if number is None:
            unknown.append(shown(image))
        elif number in owners:
            raise UsageError(
                f"{shown(owners[number])} and {shown(image)} have the same image id {number}; leave one of them out."
            )
        else:
            ids[identity(image)] = number
            owners[number] = image
    if unknown:
        remedy = "--annotations FILE.json gives ids" if annotations is None else f"{shown(annotations)} lacks this name"
        raise UsageError(
            f"{unknown[0]}: no COCO image id ({len(unknown)} of {len(images)} images); {remedy}, and .jsonl needs none."
        )
    return ids


def _annotated_ids(path: str) -> dict[str, int]:
    try:
        images = json.loads(Path(path).read_bytes())["images"]
        return {os.path.basename(image["file_name"]): int(image["id"]) for image in images}
    except OSError as error:
        raise UsageError(f"{shown(path)}: cannot be read ({reason(error)}).") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{shown(path)}: not a COCO captions file with images, ids and file names.") from error


class Sidecars(Writer):
    """A `.txt` beside each image with its captions, one a line; an image that failed gets none.

    Args:
        images: the inputs.
        overwrite: replace text files that exist.

    Raises:
        UsageError: a folder cannot be written, or two images would share a text file.
    """

    def __init__(self, images: Sequence[str], *, overwrite: bool) -> None:
        super().__init__()
        owners: dict[str, str] = {}
        for image in images:
            text = sidecar(image)
            other = owners.setdefault(identity(text), image)
            if other != image:
                raise UsageError(f"{shown(other)} and {shown(image)} would share {shown(text)}; rename one of them.")
            # a process killed between making the file and writing it leaves it empty
            if not overwrite and os.path.exists(text) and os.path.getsize(text) > 0:
                self.done[identity(image)] = False
        for folder in sorted({os.path.dirname(image) or "." for image in images}):
            if os.path.isdir(folder) and not os.access(folder, os.W_OK):
                raise UsageError(f"{shown(folder)}: the folder cannot be written, which --sidecar needs; use -o FILE.")

    def write(self, records: Sequence[Record]) -> None:
        """Write the text files."""
        for record in records:
            captions = captions_of(record)
            if not captions:
                continue
            path = sidecar(record.path)
            try:
                with open(path, "wb", buffering=0) as file:
                    file.write("".join(f"{caption['caption']}\n" for caption in captions).encode())
            except OSError as error:
                if os.path.exists(path):
                    os.unlink(path)
                raise WriteError(f"{shown(path)}: cannot be written ({reason(error)}).") from error
            self.done[identity(record.path)] = False


def sidecar(image: str) -> str:
    """The text file beside an image."""
    return os.path.splitext(image)[0] + ".txt"
