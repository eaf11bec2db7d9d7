"""The HTML gallery: photos, captions, and where the model looked for each word, in files that open offline.

A page holds its photos as rows of JSON between a head and a tail, so that it is a whole page after every write and can
be continued like any other output. Everything that is shown is made from those rows by the script in `photos.html`.
"""

import os
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from captioner.pipelines.folder.inputs import identity
from captioner.pipelines.folder.outputs import JsonRows, Record, Writer, to_json
from captioner.pipelines.gallery.rows import caption_row
from captioner.pipelines.gallery.thumbnails import Film

if TYPE_CHECKING:  # importing it takes seconds
    pass

PAGE_BYTES = 100_000_000
"""A page that would pass this size is followed by another."""


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

    template = "photos.html"

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
        return caption_row(record)

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
    """What stands before and behind the rows of a page; all galleries share the style of `photos.html`."""
    folder = files("captioner.pipelines.gallery")
    style = folder.joinpath("photos.html").read_bytes().partition(b"<style>\n")[2].partition(b"</style>")[0]
    head, _, tail = folder.joinpath(name).read_bytes().replace(b"/* STYLE */\n", style).partition(b"<!--ROWS-->")
    return head.rstrip(b"\n") + b"\n", tail


def _escaped(row: bytes) -> bytes:
    """JSON that cannot close the element it stands in."""
    return row.replace(b"<", b"\\u003c")


class ClipGallery(Gallery):
    """Writes `name.html`: for each clip a few frames, its classes, and what happens when."""

    template = "clips.html"

    def row(self, record: Record) -> Mapping[str, Any]:
        """The record with its frames."""
        row = record.as_json()
        if record.picture is not None:
            row["frames"] = Film(record.picture, (0, 0)).rows()
        return row
