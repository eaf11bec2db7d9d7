"""Outputs that only captions have: the terminal's table, COCO results, and a text file beside each photo."""

import errno
import json
import os
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from captioner.data.ids import ImageId, image_id
from captioner.data.names import Names, below
from captioner.data.packed import split
from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.made import Source
from captioner.pipelines.folder.outputs import JsonRows, Record, Writer
from captioner.pipelines.folder.row_file import WriteError, reason, replace_file
from captioner.pipelines.folder.tables import TerminalTable, time_span
from captioner.pipelines.gallery.rows import captions_of
from captioner.vision.images import SUFFIXES
from captioner.vision.video import VIDEO_SUFFIXES

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


_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors after which no other file can be written either."""


class Sidecars(Writer):
    """A text file beside each image with its captions, one a line; an image that failed gets none.

    The file of `a.jpg` is `a.txt`, or `a.jpg.txt` where another image or clip in its folder would want `a.txt` too. A
    text that exists is kept, whoever wrote it.

    Args:
        images: the inputs.
        overwrite: replace text files that exist.

    Raises:
        UsageError: a folder cannot be written, or two images would share a text file.
    """

    keeps_failures = False

    def __init__(self, images: Sequence[str], *, overwrite: bool) -> None:
        super().__init__()
        packed = next((image for image in images if split(image) is not None), None)
        if packed is not None:
            raise UsageError(f"{shown(packed)}: --sidecar cannot write into an archive; use -o FILE.")
        self.texts = sidecars(images)
        owners: dict[str, str] = {}
        self._older = 0
        for image, text in self.texts.items():
            other = owners.setdefault(identity(text), image)
            if other != image:
                raise UsageError(f"{shown(other)} and {shown(image)} would share {shown(text)}; rename one of them.")
            # a process killed between making the file and writing it leaves it empty
            if not overwrite and os.path.isfile(text) and os.path.getsize(text) > 0:
                self.done[identity(image)] = False
                self._older += os.path.exists(image) and os.path.getmtime(image) > os.path.getmtime(text)
        self._before = len(self.done)
        for folder in sorted({os.path.dirname(image) or "." for image in images}):
            if os.path.isdir(folder) and not os.access(folder, os.W_OK):
                raise UsageError(f"{shown(folder)}: the folder cannot be written, which --sidecar needs; use -o FILE.")

    def write(self, records: Sequence[Record]) -> None:
        """Write the text files; one that cannot be written stays as it is, and the others are written.

        Raises:
            WriteError: the disk is full.
        """
        for record in records:
            captions = captions_of(record)
            if not captions:
                continue
            path = self.texts[record.path]
            try:
                replace_file(path, ["".join(f"{caption['caption']}\n" for caption in captions).encode()])
            except OSError as error:
                if error.errno in _FULL:
                    raise WriteError(f"{shown(path)}: cannot be written ({reason(error)}).") from error
                self.problems.append((path, f"cannot be written ({reason(error)})"))
            else:
                self.done[identity(record.path)] = False

    def notes(self) -> list[str]:
        """Nobody knows what made the texts that were there; they may be a person's."""
        if not self._before:
            return []
        older = f", {self._older} of them older than what they are of" if self._older else ""
        texts = "text was" if self._before == 1 else "texts were"
        return [f"{self._before} {texts} there already{older}; --overwrite writes them anew"]


def sidecars(images: Sequence[str]) -> dict[str, str]:
    """The text file of each image."""
    wanted: Counter[tuple[str, str]] = Counter()
    names_in: defaultdict[str, set[str]] = defaultdict(set)
    for image in images:
        names_in[os.path.dirname(image)].add(os.path.basename(image))
    for folder, names in names_in.items():
        with suppress(OSError):
            names.update(name for name in os.listdir(folder or ".") if _suffix(name) in SUFFIXES | VIDEO_SUFFIXES)
        wanted.update((folder, _stem(name)) for name in names)
    alone = {image: wanted[os.path.dirname(image), _stem(os.path.basename(image))] == 1 for image in images}
    return {image: (os.path.splitext(image)[0] if alone[image] else image) + ".txt" for image in images}


def _stem(name: str) -> str:
    """A name as a system that knows no capitals and one Unicode form sees it, without its suffix."""
    return unicodedata.normalize("NFC", os.path.splitext(name)[0]).casefold()


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower()
