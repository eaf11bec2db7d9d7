"""The HTML gallery: photos, captions, and where the model looked for each word, in files that open offline.

A page holds its photos as rows of JSON between a head and a tail, so that it is a whole page after every write and can
be continued like any other output. Everything that is shown is made from those rows by the script in `gallery.html`.
"""

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from numpy.typing import NDArray

from captioner.vision.images import Pixels, resize

from .caption_outputs import captions_of
from .inputs import identity
from .outputs import JsonRows, Record, Writer, to_json

if TYPE_CHECKING:  # importing it takes seconds
    from captioner.models.caption import Caption

PAGE_BYTES = 100_000_000
"""A page that would pass this size is followed by another."""

THUMBNAIL = 320  # pixels of the longer side
_QUALITY = 74  # of the thumbnails' JPEG, some 12 kB each


@dataclass(frozen=True)
class Thumbnail:
    """A small copy of a photo.

    Attributes:
        jpeg: the file.
        size: (height, width) of the photo itself.
        window: top, left, bottom, right of the part that the model saw, as shares of the photo.
    """

    jpeg: bytes
    size: tuple[int, int]
    window: tuple[float, float, float, float]


def thumbnail(pixels: Pixels, window: tuple[float, float, float, float]) -> Thumbnail:
    """A thumbnail of RGB pixels (height, width, 3)."""
    height, width = pixels.shape[:2]
    scale = min(1.0, THUMBNAIL / max(height, width))
    small = resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
    _, jpeg = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return Thumbnail(jpeg.tobytes(), (height, width), window)


def word_spans(text: str, tokens: Sequence[str]) -> list[tuple[int, int] | None]:
    """Where each token stands in the sentence made of them; None for one that is written otherwise, such as `-lrb-`."""
    spans: list[tuple[int, int] | None] = []
    lower, position = text.lower(), 0
    for token in tokens:
        start = lower.find(token.lower(), position)
        if start < 0:
            spans.append(None)
        else:
            position = start + len(token)
            spans.append((start, position))
    return spans


def attention_bytes(attention: NDArray[np.float32]) -> str:
    """Attention (tokens, rows, columns) as base64 of one byte a cell, 255 for the greatest of each token."""
    scaled = attention / np.maximum(attention.max(axis=(1, 2), keepdims=True), 1e-12)
    return base64.b64encode((scaled * 255).round().astype(np.uint8).tobytes()).decode()


@dataclass(frozen=True)
class Picture:
    """What a gallery shows of a photo besides its record: a thumbnail, and the captions with their attention."""

    thumbnail: Thumbnail
    captions: "Sequence[Caption]"


FilmFrame = tuple[bytes, float]
"""A small copy of a clip's frame as a JPEG file, and when it is shown, in seconds."""


@dataclass(frozen=True)
class Film:
    """What a gallery shows of a clip besides its record.

    Attributes:
        frames: a few.
        size: (height, width) of the clip.
    """

    frames: Sequence[FilmFrame]
    size: tuple[int, int]

    def rows(self) -> list[dict[str, Any]]:
        """The frames for a page's script."""
        return [{"image": base64.b64encode(jpeg).decode(), "time": round(time, 2)} for jpeg, time in self.frames]


class Gallery(Writer):
    """Writes `name.html`, and `name-2.html` and so on when a page would grow too large.

    Args:
        path: of the first page.
        title: its heading.
        overwrite: start afresh.
        page_bytes: the most a page may hold.

    Raises:
        UsageError: a page cannot be written, or is no gallery of this version.
    """

    template = "gallery.html"

    def __init__(self, path: str, title: str, *, overwrite: bool, page_bytes: int = PAGE_BYTES) -> None:
        super().__init__()
        self._head, self._tail = _template(self.template)
        self.path, self.title, self.page_bytes = path, title, page_bytes
        self.pages: list[_Page] = []
        if overwrite:
            self._remove_later_pages()
        while not self.pages or os.path.exists(self._name(len(self.pages))):
            self._add(overwrite)
        self._say_pages()

    def write(self, records: Sequence[Record]) -> None:
        """Append records."""
        batch: list[tuple[Record, bytes]] = []
        size = self.pages[-1].file.size
        for record in records:
            row = _escaped(to_json(self.row(record)))
            if size + len(row) > self.page_bytes and (batch or self.pages[-1].file.rows):
                self._append(batch)
                self._add(overwrite=True)
                self._say_pages()
                batch, size = [], self.pages[-1].file.size
            batch.append((record, row))
            size += len(row) + 2
        self._append(batch)

    def row(self, record: Record) -> Mapping[str, Any]:
        """What the page's script reads of a record."""
        return _row(record)

    def close(self) -> None:
        """Write through to the disk."""
        for page in self.pages:
            page.close()

    def _append(self, batch: Sequence[tuple[Record, bytes]]) -> None:
        self.pages[-1].file.append([row for _, row in batch])
        self.done.update({identity(record.path): record.error is not None for record, _ in batch})

    def _add(self, overwrite: bool) -> None:
        page = _Page(self._name(len(self.pages)), self._head, self._tail, overwrite=overwrite)
        self.pages.append(page)
        self.done.update(page.done)

    def _name(self, place: int) -> str:
        stem, suffix = os.path.splitext(self.path)
        return f"{stem}-{place + 1}{suffix}" if place else self.path

    def _say_pages(self) -> None:
        """Tell every page of all the others."""
        names = [os.path.basename(self._name(place)) for place in range(len(self.pages))]
        for place, page in enumerate(self.pages, 1):
            about = {"title": self.title, "page": place, "pages": names}
            page.file.change_tail(self._tail.replace(b"<!--ABOUT-->", _escaped(to_json(about))))

    def _remove_later_pages(self) -> None:
        place = 1
        while os.path.exists(name := self._name(place)):
            with open(name, "rb") as file:
                if file.read(len(self._head)) != self._head:
                    break
            os.unlink(name)
            place += 1


class _Page(JsonRows):
    def __init__(self, path: str, head: bytes, tail: bytes, *, overwrite: bool) -> None:
        super().__init__(path, overwrite=overwrite, head=head, between=b",\n", tail=tail)


def _template(name: str) -> tuple[bytes, bytes]:
    """What stands before and behind the rows of a page; all galleries share the style of `gallery.html`."""
    folder = files("captioner.pipelines")
    style = folder.joinpath("gallery.html").read_bytes().partition(b"<style>\n")[2].partition(b"</style>")[0]
    head, _, tail = folder.joinpath(name).read_bytes().replace(b"/* STYLE */\n", style).partition(b"<!--ROWS-->")
    return head.rstrip(b"\n") + b"\n", tail


def _row(record: Record) -> Mapping[str, Any]:
    row = record.as_json()
    if isinstance(record.picture, Film):
        row |= {"frames": record.picture.rows(), "height": record.picture.size[0], "width": record.picture.size[1]}
    elif record.picture is not None:
        picture: Picture = record.picture
        row |= {
            "captions": [
                {**shown_fields, **_words(caption)}
                for shown_fields, caption in zip(captions_of(record), picture.captions, strict=True)
            ],
            "height": picture.thumbnail.size[0],
            "width": picture.thumbnail.size[1],
            "window": [round(edge, 4) for edge in picture.thumbnail.window],
            "image": base64.b64encode(picture.thumbnail.jpeg).decode(),
        }
        attention = picture.captions[0].attention
        if attention is not None:
            row["grid"] = attention.shape[1:]
    return row


def _words(caption: "Caption") -> dict[str, Any]:
    spans = {"spans": word_spans(caption.text, caption.tokens)}
    return spans if caption.attention is None else {**spans, "attention": attention_bytes(caption.attention)}


def _escaped(row: bytes) -> bytes:
    """JSON that cannot close the element it stands in."""
    return row.replace(b"<", b"\\u003c")
