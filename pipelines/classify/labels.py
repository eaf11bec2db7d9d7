"""`captioner classify --labels`: photos and clips, told by labels in free words."""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from captioner.data.tables import lines_of, read_texts
from captioner.errors import DataError, UsageError
from captioner.pipelines.folder.inputs import shown
from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.gallery.thumbnails import FilmFrame, evenly_spaced
from captioner.pipelines.media import ClipOptions, MediaItem
from captioner.pipelines.media_work import work_through
from captioner.vision.images import MAX_PIXELS

if TYPE_CHECKING:
    from captioner.models.label import Labelled, Labeller

NONE = "none fits"
TOO_FEW = "give at least two different labels, such as 'cat, dog'."


def read_labels(given: str) -> list[str]:
    """Labels from a text with commas, or from a file with one a line.

    Raises:
        UsageError: the file cannot be read, or there are fewer than two different labels.
    """
    if os.path.isfile(given):
        try:
            parts = lines_of(read_texts(Path(given)))
        except DataError as error:
            raise UsageError(f"--labels {error}") from error
    else:
        parts = written_labels(given)
    labels = different(parts)
    if len(labels) < 2:
        if parts == [given] and (os.path.dirname(given) or os.path.splitext(given)[1]):
            raise UsageError(f"--labels {shown(given)}: there is no such file; name one, or write 'cat, dog'.")
        raise UsageError(f"--labels {shown(given)}: {TOO_FEW}")
    return labels


def written_labels(text: str) -> list[str]:
    """Labels in a text, with commas or line breaks between them."""
    return re.split(r"[,\r\n]", text)


def different(parts: Iterable[str]) -> list[str]:
    """Labels without spaces around them, each once."""
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def label_files(
    paths: Sequence[str],
    labeller: "Labeller",
    outputs: Outputs,
    meter: Meter,
    summary: Summary,
    *,
    top_k: int,
    every: float | None = None,
    batch_size: int | None = None,
    workers: int = 2,
    max_pixels: int = MAX_PIXELS,
    pictures: bool = False,
) -> None:
    """Tell the labels of photos and clips and write a record of each, in order; see `work_through`.

    Args:
        paths: of the files.
        labeller: what tells.
        outputs: where records go.
        meter: is told of every batch.
        summary: counts what has been written.
        top_k: how many labels to give.
        every: also tell the labels of each so many seconds of a clip.
        batch_size: photos and windows at a time.
        workers: threads.
        max_pixels: larger photos, and clips with larger frames, are refused.
        pictures: add to the records what a gallery shows besides.

    Raises:
        WriteError: an output can no longer be written.
    """

    def record(judged: "Sequence[tuple[MediaItem, Labelled]]") -> Record:
        lengths = np.array([_length(item) for item, _ in judged])
        weights = lengths / lengths.sum()
        whole = sum(weight * result.probabilities for weight, (_, result) in zip(weights, judged, strict=True))
        margin = sum(weight * result.margin for weight, (_, result) in zip(weights, judged, strict=True))
        fields = _told(labeller.labels, np.asarray(whole), float(margin), top_k)
        if every is not None and judged[0][0].span is not None:
            fields["segments"] = [
                {"start": round(item.span[0], 3), "end": round(item.span[1], 3)}
                | _told(labeller.labels, result.probabilities, result.margin, top_k)
                for item, result in judged
                if item.span is not None
            ]
        return Record(judged[0][0].path, fields, picture=_frames([item for item, _ in judged]) or None)

    work_through(
        paths,
        labeller.finder.captioner,
        labeller.judge,
        record,
        outputs,
        meter,
        summary,
        clips=ClipOptions.of(None, every, scenes=False),
        batch_size=batch_size,
        workers=workers,
        max_pixels=max_pixels,
        pictures=pictures,
    )


def _told(labels: Sequence[str], probabilities: Any, margin: float, top_k: int) -> dict[str, Any]:
    """The fields of a row; where none fits, that is the label, and `top` says which came nearest."""
    order = np.argsort(-probabilities, kind="stable")[:top_k]
    top = [{"label": labels[place], "score": round(float(probabilities[place]), 4)} for place in order]
    first = top[0] if margin >= 0 else {"label": NONE, "score": top[0]["score"]}
    return {**first, "margin": round(margin, 3), "top": top}


def _length(item: MediaItem) -> float:
    return 1.0 if item.span is None else max(item.span[1] - item.span[0], 1e-3)


def _frames(items: Sequence[MediaItem]) -> list[FilmFrame]:
    """What a gallery shows: the photo, or a few frames."""
    photos = [(item.thumbnail.jpeg, 0.0) for item in items if item.thumbnail is not None]
    return photos or evenly_spaced([frame for item in items for frame in item.film])
