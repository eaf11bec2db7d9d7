"""Where answers go: a terminal, a pipe, or files that are written once all queries are answered."""

import csv
import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from captioner.errors import UsageError
from captioner.models.packed import PackedShape
from captioner.pipelines.folder.inputs import shown
from captioner.pipelines.folder.records import Record, to_json
from captioner.pipelines.folder.row_file import WriteError, reason, replace_file
from captioner.pipelines.folder.tables import time_span
from captioner.pipelines.gallery.pages import whole_page
from captioner.pipelines.gallery.rows import PhotoCard
from captioner.pipelines.gallery.thumbnails import Film, evenly_spaced
from captioner.pipelines.media import ClipOptions, MediaItem, load_media
from captioner.pipelines.search.fetched import on_this_machine
from captioner.pipelines.search.find import Hit
from captioner.pipelines.search.query import Query
from captioner.pipelines.search.work import FRAMES
from captioner.text.english import to_sentence
from captioner.vision.images import MAX_PIXELS, Transform

_SUFFIXES = (".jsonl", ".csv", ".html")
_COLUMNS = ("query", "path", "start", "end", "score", "caption")


@dataclass(frozen=True)
class Answer:
    """What was found for a query.

    Attributes:
        query: the sentence; None for the photo `like`.
        asked: the sentence or the photo as it was typed.
        hits: best first.
        captions: of each.
    """

    query: Query | None
    asked: str
    hits: Sequence[Hit]
    captions: Sequence[str]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each hit."""
        return [
            {
                "query": self.asked,
                "path": hit.path,
                **({} if hit.span is None else {"start": round(hit.span[0], 3), "end": round(hit.span[1], 3)}),
                "score": round(hit.score, 4),
                "caption": caption,
            }
            for hit, caption in zip(self.hits, self.captions, strict=True)
        ]


def check_outputs(paths: Sequence[str], overwrite: bool) -> None:
    """See that files can be written, before any work.

    Raises:
        UsageError: a suffix is none of ours, or a file is there already.
    """
    for path in paths:
        if os.path.splitext(path)[1].lower() not in _SUFFIXES:
            raise UsageError(f"{shown(path)}: an output of a search ends in one of {' '.join(_SUFFIXES)}.")
        if not Path(path).absolute().parent.is_dir():
            raise UsageError(f"{shown(path)}: there is no folder {shown(str(Path(path).parent))} to write to.")
        if os.path.lexists(path) and not overwrite:
            raise UsageError(f"{shown(path)}: is there already; choose another output, or --overwrite.")


def print_answer(answer: Answer, console: Console, several: bool) -> None:
    """Print an answer: a table on a terminal, JSON Lines on a pipe."""
    if console.stderr:
        sys.stdout.buffer.write(b"".join(to_json(row) + b"\n" for row in answer.rows()))
        sys.stdout.buffer.flush()
        return
    if several:
        console.print(Text(answer.asked, style="bold"))
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", style="dim")
    table.add_column(overflow="fold", style="cyan", ratio=2)
    table.add_column(overflow="fold", ratio=3)
    for row in answer.rows():
        where = shown(row["path"]) + (f"  {time_span(row)}" if "start" in row else "")
        table.add_row(f"{row['score']:.2f}", Text(where), Text(row["caption"]))
    console.print(table if answer.hits else Text("nothing was found", style="dim"))


def write_answers(
    path: str, answers: Sequence[Answer], shape: PackedShape | None, transform: Transform, every: float
) -> None:
    """Write answers into a file, whole or not at all.

    Raises:
        WriteError: it cannot be written.
    """
    suffix = os.path.splitext(path)[1].lower()
    rows = [row for answer in answers for row in answer.rows()]
    if suffix == ".jsonl":
        content = b"".join(to_json(row) + b"\n" for row in rows)
    elif suffix == ".csv":
        content = _table(rows)
    else:
        title = answers[0].asked if len(answers) == 1 else f"{len(answers)} searches"
        records = [record for answer in answers for record in _cards(answer, shape, transform, every)]
        content = whole_page(shown(title), records)
    try:
        replace_file(path, [content])
    except OSError as error:
        raise WriteError(f"{shown(path)}: cannot be written ({reason(error)}).") from error


def _table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    writer.writerows([[row.get(column, "") for column in _COLUMNS] for row in rows])
    return text.getvalue().replace("\r\n", "\n").encode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class _Sentence:
    """What a page shows under a photo."""

    text: str
    tokens: tuple[str, ...]
    attention: NDArray[np.float32] | None = None


def _cards(answer: Answer, shape: PackedShape | None, transform: Transform, every: float) -> list[Record]:
    """What a page shows of an answer: the query with where its words fit, and the captions."""
    records = []
    for hit, caption in zip(answer.hits, answer.captions, strict=True):
        said = [_Sentence(caption, ())]
        fields: list[dict[str, Any]] = [{"caption": caption}]
        if answer.query is not None:
            looked = None
            if hit.attention is not None and shape is not None:
                looked = hit.attention.reshape(-1, shape.rows, shape.columns)
            said.insert(0, _Sentence(to_sentence(answer.query.tokens), answer.query.tokens, looked))
            fields.insert(0, {"caption": said[0].text, "score": round(hit.score, 4)})
        else:
            fields[0]["score"] = round(hit.score, 4)
        with on_this_machine(hit.path) as path:
            items = list(load_media(path, transform, ClipOptions(FRAMES, every), max_pixels=MAX_PIXELS, pictures=True))
        picture = _picture(items, hit, said)
        if picture is not None:
            when = "" if hit.span is None else " " + time_span({"start": hit.span[0], "end": hit.span[1]})
            records.append(Record(hit.path + when, {"captions": fields}, picture=picture))
    return records


def _picture(items: Sequence[MediaItem], hit: Hit, said: Sequence[_Sentence]) -> PhotoCard | Film | None:
    """A photo's thumbnail or a moment's frames; None if the file is no longer to be read."""
    if hit.span is None:
        small = items[0].thumbnail
        return None if small is None else PhotoCard(small, said)
    start, end = hit.span
    inside = [item for item in items if item.span and start - 1e-3 <= item.span[0] and item.span[1] <= end + 1e-3]
    frames = [frame for item in inside for frame in item.film]
    return Film(evenly_spaced(frames), inside[0].size) if frames else None
