"""Outputs that only captions have: the terminal's table, COCO results, and metadata beside the photos."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from captioner.data.ids import ImageId, image_id
from captioner.data.names import Names, below
from captioner.data.packed import split
from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.made import Source
from captioner.pipelines.folder.outputs import JsonRows, Record
from captioner.pipelines.folder.row_file import reason
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

    def note(self, record: Record) -> str:
        """The words that the image shows, if they were asked for."""
        return ", ".join(f"{each['concept']} {each['probability']:.2f}" for each in record.fields.get("concepts", []))


class CocoResults(JsonRows):
    """A COCO results file, `[{"image_id": 42, "caption": "..."}, ...]`; images that failed are not in it.

    Args:
        path: of the file.
        images: the inputs.
        annotations: a COCO captions file that gives the ids of file names; without it names such as
            `COCO_val2014_000000000042.jpg` or `000000000042.jpg` say their own.
        folders: in which the images were looked for.
        options: of `FileRows`.

    Raises:
        UsageError: an image has no id, or two have the same.
    """

    keeps_failures = False

    def __init__(
        self, path: str, images: Sequence[str], annotations: str | None, *, folders: Sequence[str] = (), **options: Any
    ) -> None:
        self.ids = coco_ids(images, annotations, folders)
        self.images = {number: image for image, number in self.ids.items()}
        super().__init__(path, head=b"[\n", between=b",\n", tail=b"\n]\n", **options)

    def row(self, record: Record) -> Mapping[str, Any] | None:
        """Id and best caption."""
        captions = captions_of(record)
        return {"image_id": self.ids[identity(record.path)], "caption": captions[0]["caption"]} if captions else None

    def key(self, row: Mapping[str, Any]) -> str:
        """The input with this id; one that is not asked for now is kept all the same."""
        return self.images.get(row["image_id"], f"image {row['image_id']}")

    def location(self, row: Mapping[str, Any], source: Source | None) -> str:
        """The input that a row is about.

        Raises:
            KeyError: it is about none.
            UsageError: the row is of another image that has the same id.
        """
        image = self.images.get(row["image_id"])
        if source is None or image is None:
            return self.key(row) if source is None else source.location
        if source.location != image and not source.has_moved_to(image):
            raise UsageError(
                f"{shown(self.file.path)}: holds image {row['image_id']} already, which is {shown(source.location)}, "
                f"not {shown(image)}; choose another output, or --overwrite."
            )
        return image


class MetadataRows(JsonRows):
    """A `metadata.jsonl` in the photos' folder, `{"file_name": "a/1.jpg", "text": "..."}`, as Hugging Face's
    imagefolder reads it; photos that failed are not in it.

    Args:
        path: of the file.
        images: the inputs.
        options: of `FileRows`.

    Raises:
        UsageError: an image does not lie below the file's folder.
    """

    keeps_failures = False

    def __init__(self, path: str, images: Sequence[str], **options: Any) -> None:
        self.folder = os.path.dirname(identity(path))
        for image in images:
            if split(image) is not None or os.path.commonpath([identity(image), self.folder]) != self.folder:
                raise UsageError(
                    f"{shown(path)}: a metadata.jsonl is of the photos below its folder, where {shown(image)} is not; "
                    "put it beside the photos, or take another name."
                )
        super().__init__(path, **options)

    def row(self, record: Record) -> Mapping[str, Any] | None:
        """Name and best caption."""
        captions = captions_of(record)
        name = os.path.relpath(identity(record.path), self.folder).replace(os.sep, "/")
        return {"file_name": name, "text": captions[0]["caption"]} if captions else None

    def key(self, row: Mapping[str, Any]) -> str:
        """The photo of this name."""
        return identity(os.path.join(self.folder, row["file_name"]))


def coco_ids(images: Sequence[str], annotations: str | None, folders: Sequence[str] = ()) -> dict[str, ImageId]:
    """Each image's COCO id, by `identity`; see `CocoResults`."""
    files = {} if annotations is None else _annotated(annotations)
    names = Names(files)
    ids: dict[str, ImageId] = {}
    owners: dict[ImageId, str] = {}
    unknown = []
    for image in images:
        if annotations is None:
            match = _COCO_NAME.search(os.path.basename(image))
            numbers: list[ImageId] = [int(match[1])] if match else []
        else:
            numbers = names.find(identity(image), below(image, folders))
        if not numbers:
            unknown.append(shown(image))
        elif len(numbers) > 1:
            fits = " or ".join(f"{files[number]} ({number})" for number in numbers[:2])
            raise UsageError(f"{shown(image)}: may be {fits} in {shown(str(annotations))}; give it with its folder.")
        elif numbers[0] in owners:
            raise UsageError(
                f"{shown(owners[numbers[0]])} and {shown(image)} have the same image id {numbers[0]}; leave one of "
                "them out."
            )
        else:
            ids[identity(image)] = numbers[0]
            owners[numbers[0]] = image
    if unknown:
        remedy = "--annotations FILE.json gives ids" if annotations is None else f"{shown(annotations)} lacks this name"
        raise UsageError(
            f"{unknown[0]}: no COCO image id ({len(unknown)} of {len(images)} images); {remedy}, and .jsonl needs none."
        )
    return ids


def _annotated(path: str) -> dict[ImageId, str]:
    try:
        images = json.loads(Path(path).read_bytes())["images"]
        # results name an image as its annotations do, also where that is a text
        return {image["id"]: str(image["file_name"]) for image in images if image_id(image["id"]) is not None}
    except OSError as error:
        raise UsageError(f"{shown(path)}: cannot be read ({reason(error)}).") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError(f"{shown(path)}: not a COCO captions file with images, ids and file names.") from error
