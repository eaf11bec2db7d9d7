"""The HTML gallery: photos, captions, and where the model looked for each word, in files that open offline.

A page holds its photos as rows of JSON between a head and a tail, so that it is a whole page after every write and can
be continued like any other output. Everything that is shown is made from those rows by the scripts `page.js`, which all
galleries share, and `photos.js`, `clips.js` and so on.
"""

import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.resources import files
from typing import Any

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import identity, shown
from captioner.pipelines.folder.outputs import JsonRows, Record, Writer, to_json
from captioner.pipelines.gallery.rows import caption_row
from captioner.pipelines.gallery.thumbnails import Film

PAGE_BYTES = 100_000_000
"""A page that would pass this size is followed by another."""


class Gallery(Writer):
    """Writes `name.html`, and `name-2.html` and so on when a page would grow too large.

    Args:
        path: of the first page.
        title: its heading.
        overwrite: start afresh.
        page_bytes: the most a page may hold.
        options: of `FileRows`.

    Raises:
        UsageError: a page cannot be written, or is no gallery of this version.
    """

    kind = "photos"
    """Of the gallery, whose style and script are in files of this name."""

    def __init__(self, path: str, title: str, *, overwrite: bool, page_bytes: int = PAGE_BYTES, **options: Any) -> None:
        super().__init__()
        self._head, self._tail = _template(self.kind)
        self.path, self.title, self.page_bytes, self.options = path, title, page_bytes, options
        self.pages: list[_Page] = []
        self._begun = False
        self._later = self._later_pages()
        self._add(overwrite)
        if not overwrite:
            for _ in self._later:
                self._add(overwrite)

    @property
    def changed(self) -> int:
        """Inputs that the pages held, but whose files have changed."""
        return sum(page.changed for page in self.pages)

    def holds(self, path: str) -> bool | None:
        """Whether an input failed; None if the pages lack it, or are to get it anew."""
        state = next((state for page in self.pages if (state := page.holds(path)) is not None), None)
        if state is None:
            self.done.pop(identity(path), None)
        else:
            self.done[identity(path)] = state
        return state

    def notes(self) -> list[str]:
        """What people should know of the pages that are there."""
        return [note for page in self.pages for note in page.notes()]

    def write(self, records: Sequence[Record]) -> None:
        """Append records."""
        self._begin()
        batch: list[tuple[Record, Mapping[str, Any], bytes]] = []
        size = self.pages[-1].file.size
        for record in records:
            fields = self.row(record)
            row = _escaped(to_json(fields))
            if size + len(row) > self.page_bytes and (batch or self.pages[-1].file.rows):
                self._append(batch)
                self._add(overwrite=True)
                self._say_pages()
                batch, size = [], self.pages[-1].file.size
            batch.append((record, fields, row))
            size += len(row) + 2
        self._append(batch)

    def row(self, record: Record) -> Mapping[str, Any]:
        """What the page's script reads of a record."""
        return caption_row(record)

    def close(self) -> None:
        """Write through to the disk."""
        self._begin()
        for page in self.pages:
            page.close()

    def _begin(self) -> None:
        """Make the pages ready for rows, once: the later ones of a gallery that starts afresh go."""
        if self._begun:
            return
        self._begun = True
        for name in self._later[len(self.pages) - 1 :]:
            os.unlink(name)
            with suppress(FileNotFoundError):
                os.unlink(f"{name}.made")
        for page in self.pages:
            page.begin()
        self._say_pages()

    def _append(self, batch: Sequence[tuple[Record, Mapping[str, Any], bytes]]) -> None:
        self.pages[-1].append(batch)
        self.done.update({identity(record.path): record.error is not None for record, _, _ in batch})

    def _add(self, overwrite: bool) -> None:
        name = self._name(len(self.pages))
        self.pages.append(_Page(name, self._head, self._tail, overwrite=overwrite, **self.options))
        self.done.update(self.pages[-1].done)
        if self._begun:
            self.pages[-1].begin()

    def _name(self, place: int) -> str:
        stem, suffix = os.path.splitext(self.path)
        return f"{stem}-{place + 1}{suffix}" if place else self.path

    def _say_pages(self) -> None:
        """Tell every page of all the others."""
        names = [os.path.basename(self._name(place)) for place in range(len(self.pages))]
        for place, page in enumerate(self.pages, 1):
            about = {"title": self.title, "page": place, "pages": names}
            page.file.change_tail(self._tail.replace(b"<!--ABOUT-->", _escaped(to_json(about))))

    def _later_pages(self) -> list[str]:
        """The names of the pages that follow the first one.

        Raises:
            UsageError: the name of one is taken by something else.
        """
        names: list[str] = []
        while os.path.lexists(name := self._name(len(names) + 1)):
            try:
                with open(name, "rb") as file:
                    ours = self._head.startswith(file.read(len(self._head)))
            except OSError:
                ours = False
            if not ours:
                raise UsageError(
                    f"{shown(name)}: is no page of {shown(self.path)}, which may need that name; choose another output."
                )
            names.append(name)
        return names


class _Page(JsonRows):
    def __init__(self, path: str, head: bytes, tail: bytes, *, overwrite: bool, **options: Any) -> None:
        super().__init__(path, overwrite=overwrite, head=head, between=b",\n", tail=tail, **options)


def style() -> bytes:
    """The style sheet that all galleries share."""
    return files("captioner.pipelines.gallery").joinpath("page.css").read_bytes()


def page_style() -> bytes:
    """The style sheet of pages that take files, the galleries' included."""
    return style() + files("captioner.pipelines.gallery").joinpath("drop.css").read_bytes()


def look() -> bytes:
    """The part of a page's script that writes captions and shows where the model looked."""
    return files("captioner.pipelines.gallery").joinpath("look.js").read_bytes()


def _template(kind: str) -> tuple[bytes, bytes]:
    """What stands before and behind the rows of a page: what all kinds share, with the style and script of one."""
    folder = files("captioner.pipelines.gallery")
    page = folder.joinpath("page.html").read_bytes()
    styles, scripts = ("page.css", f"{kind}.css"), ("look.js", "page.js", f"{kind}.js")
    for place, names in ((b"/* STYLE */\n", styles), (b"/* SCRIPT */\n", scripts)):
        parts = [folder.joinpath(name) for name in names]
        page = page.replace(place, b"".join(part.read_bytes() for part in parts if part.is_file()))
    head, _, tail = page.partition(b"<!--ROWS-->")
    return head.rstrip(b"\n") + b"\n", tail


def _escaped(row: bytes) -> bytes:
    """JSON that cannot close the element it stands in."""
    return row.replace(b"<", b"\\u003c")


def whole_page(title: str, records: Sequence[Record]) -> bytes:
    """A page of photos and clips that is written once and not continued."""
    head, tail = _template(Gallery.kind)
    about = {"title": title, "page": 1, "pages": [""]}
    rows = b",\n".join(_escaped(to_json(caption_row(record))) for record in records)
    return head + rows + tail.replace(b"<!--ABOUT-->", _escaped(to_json(about)))


class ClipGallery(Gallery):
    """Writes `name.html`: for each clip a few frames, its classes, and what happens when."""

    kind = "clips"

    def row(self, record: Record) -> Mapping[str, Any]:
        """The record with its frames."""
        row = record.as_json()
        if record.picture is not None:
            row["frames"] = Film(record.picture, (0, 0)).rows()
        return row
