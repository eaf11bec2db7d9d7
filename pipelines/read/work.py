"""Read every line of a folder on all cores, with bounded memory.

Each worker takes some files and does everything with them: it decodes, prepares, runs the CNN on one line after the
other, and the recurrent network on all lines of one width together.
"""

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial

from captioner.decoding.ctc import Beam
from captioner.errors import ImageError
from captioner.models.read import Reader
from captioner.models.text_lines import PreparedLine, TextLine
from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.photos import read_photo
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.stages import defer_sigint, halve_on_oom, ordered_parallel_map
from captioner.pipelines.gallery.lines import LineCard, line_card
from captioner.processor import one_thread_each
from captioner.vision.images import MAX_PIXELS

FIRST = 16  # lines of the first groups, so that somebody who waits soon sees texts
GROUP = 256  # enough that many lines of a group have the same width


def read_folder(
    paths: Sequence[str],
    model: Reader,
    outputs: Outputs,
    meter: Meter,
    summary: Summary,
    *,
    beam: Beam | None = None,
    batch_size: int | None = None,
    workers: int = 2,
    max_pixels: int = MAX_PIXELS,
    pictures: bool = False,
) -> None:
    """Read lines and write a record of each, in order.

    Args:
        paths: of the pictures.
        model: the reader.
        outputs: where records go.
        meter: is told of every group.
        summary: counts what has been written, also when this is interrupted.
        beam: how to search for texts.
        batch_size: the most lines that a worker takes at a time.
        workers: threads, each with lines of its own; they take turns on a GPU.
        max_pixels: larger pictures are refused.
        pictures: add to the records what a gallery shows besides.

    Raises:
        WriteError: an output can no longer be written.
    """
    started = time.monotonic()
    on_cpu = model.device.type == "cpu"
    turn = nullcontext() if on_cpu else threading.Lock()
    load = partial(_load, model=model, max_pixels=max_pixels, pictures=pictures)

    def work(group: Sequence[str]) -> Iterator[list[Record]]:
        items = [load(path) for path in group]
        with turn:
            yield _read(items, model, beam)

    groups = _groups(paths, batch_size or GROUP, workers)
    try:
        # a reader's products are too small to share
        with one_thread_each(on_cpu), closing(ordered_parallel_map(work, groups, workers=workers)) as read_groups:
            for records in read_groups:
                with defer_sigint():
                    outputs.write(records)
                    meter.advance(len(records), summary.add(records))
    finally:
        summary.seconds = time.monotonic() - started


@dataclass(frozen=True)
class _Item:
    """A picture ready for the network, or the reason why it is not."""

    path: str
    line: PreparedLine | None = None
    error: str | None = None
    warning: str | None = None
    card: LineCard | None = None


def _groups(paths: Sequence[str], size: int, workers: int) -> Iterator[Sequence[str]]:
    """Neighbours among the files: few at first, and at last as many for each worker."""
    first, wanted = 0, min(FIRST, size)
    while first < len(paths):
        for _ in range(workers):
            count = min(wanted, math.ceil((len(paths) - first) / workers))
            if count:
                yield paths[first : first + count]
            first += count
        wanted = min(2 * wanted, size)


def _load(path: str, model: Reader, max_pixels: int, pictures: bool) -> _Item:
    """Read, decode and prepare one picture; what is wrong with it becomes part of the result."""
    try:
        decoded = read_photo(path, max_pixels=max_pixels)
        line = model.prepare(decoded.pixels)
    except ImageError as error:
        return _Item(path, error=str(error).removeprefix(f"{path}: "))
    except MemoryError:
        return _Item(path, error="too large for this machine's memory")
    return _Item(path, line, warning=decoded.warning, card=line_card(decoded.pixels) if pictures else None)


def _read(items: Sequence[_Item], model: Reader, beam: Beam | None) -> list[Record]:
    """The records of some pictures."""
    lines = [item.line for item in items if item.line is not None]
    read_lines = partial(model.read_prepared, beam=beam, parallel=False)
    texts = iter([text for several in halve_on_oom(read_lines, lines) for text in several] if lines else [])
    return [Record(item.path, error=item.error) if item.line is None else _record(item, next(texts)) for item in items]


def _record(item: _Item, text: TextLine) -> Record:
    warning = "; ".join(filter(None, [item.warning, text.warning])) or None
    fields = {"text": text.text, "score": round(text.score, 4)}
    card = None if item.card is None else item.card.with_text(text)
    return Record(item.path, fields, warning=warning, picture=card)
