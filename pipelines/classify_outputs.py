"""Outputs that only classes have: the terminal's table, a row a window, and a gallery with a few frames a clip."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2

from captioner.vision.images import resize
from captioner.vision.video import Frame

from .caption_outputs import TerminalTable, time_span
from .gallery import Film, FilmFrame, Gallery
from .outputs import CsvRows, Record

SHOWN = 4  # frames of a clip in the gallery
_HEIGHT = 120  # pixels of each
_QUALITY = 70


def label_columns(top_k: int) -> list[str]:
    """Columns for the surest classes."""
    return [f"{name}{suffix}" for suffix in ("", *(f"_{place}" for place in range(2, top_k + 1))) for name in _GUESS]


_GUESS = ("label", "score")


class LabelTable(TerminalTable):
    """Classes as rows on a terminal, printed as they come; with windows, a row for each."""

    def lines(self, record: Record) -> list[tuple[str, float]]:
        """Classes with their probabilities."""
        if record.error is not None:
            return []
        if "segments" not in record.fields:
            return [(guess["label"], guess["score"]) for guess in record.fields["top"]]
        return [(f"{time_span(each)}  {each['label']}", each["score"]) for each in record.fields["segments"]]


class WindowRows(CsvRows):
    """Comma-separated rows, one for each window of a clip.

    Args:
        path: of the file.
        columns: what each window has besides its times.
        overwrite: start afresh.

    Raises:
        UsageError: the file cannot be written, or has other columns.
    """

    def __init__(self, path: str, columns: Sequence[str], *, overwrite: bool) -> None:
        super().__init__(path, ["path", "window", "windows", "start", "end", *columns], overwrite=overwrite)

    def rows(self, record: Record) -> list[Mapping[str, Any]]:
        """The windows, counted, so that a file tells whether a clip's rows are all there."""
        segments = record.fields.get("segments", [record.fields])
        whole = {key: value for key, value in record.as_json().items() if key in ("path", "warning", "error")}
        return [
            {**whole, "window": place, "windows": len(segments), **segment} for place, segment in enumerate(segments, 1)
        ]

    def is_last(self, row: Mapping[str, str]) -> bool:
        """Whether this is the clip's last window."""
        return row["window"] == row["windows"]


def film_frame(frame: Frame) -> FilmFrame:
    """A small copy of a frame."""
    height, width = frame.pixels.shape[:2]
    small = resize(frame.pixels, _HEIGHT, max(1, round(width * _HEIGHT / height)))
    jpeg = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    return jpeg.tobytes(), frame.time


def few(frames: Sequence[FilmFrame], count: int = SHOWN) -> list[FilmFrame]:
    """Some of a clip's frames, evenly spread."""
    count = min(count, len(frames))
    return [frames[(2 * place + 1) * len(frames) // (2 * count)] for place in range(count)]


class ClipGallery(Gallery):
    """Writes `name.html`: for each clip a few frames, its classes, and what happens when."""

    template = "clip_gallery.html"

    def row(self, record: Record) -> Mapping[str, Any]:
        """The record with its frames."""
        row = record.as_json()
        if record.picture is not None:
            row["frames"] = Film(record.picture, (0, 0)).rows()
        return row
