"""Classify every clip of a folder: decoding and the CNN overlap, and memory does not grow with a clip's length."""

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import Any

from captioner.errors import VideoError
from captioner.models.classify import Guess, VideoClassifier
from captioner.pipelines.folder.made import Stamp, stamp_of
from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.stages import defer_sigint, halve_on_oom, in_threads, prefetch
from captioner.pipelines.gallery.thumbnails import SHOWN, FilmFrame, evenly_spaced, film_frame
from captioner.vision.clip_features import FrameSample
from captioner.vision.images import MAX_PIXELS
from captioner.vision.video import Frame, Video, windows

CPU_BATCH = 2  # clips; the frames of one keep a CPU busy
GPU_BATCH = 16


def classify_clips(
    paths: Sequence[str],
    model: VideoClassifier,
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
    """Classify clips and write a record of each, in order.

    Args:
        paths: of the clips.
        model: the classifier.
        outputs: where records go.
        meter: is told of every batch.
        summary: counts what has been written, also when this is interrupted.
        top_k: how many classes to give.
        every: give a class to each so many seconds of a clip too.
        batch_size: clips (or parts of clips) at a time; by default the model's device decides.
        workers: clips that are decoded side by side; parts of one clip are decoded one after the other.
        max_pixels: clips with larger frames are refused.
        pictures: add to the records what a gallery shows besides.

    Raises:
        WriteError: an output can no longer be written.
    """
    started = time.monotonic()
    size = batch_size or (CPU_BATCH if model.device.type == "cpu" else GPU_BATCH)
    look = partial(_look, model=model, max_pixels=max_pixels, pictures=pictures)
    if every is None:
        parts = in_threads(look, paths, workers=workers, waiting=workers + size)
    else:
        walk = partial(_walk, model=model, every=every, max_pixels=max_pixels, pictures=pictures)
        parts = prefetch((part for path in paths for part in walk(path)), waiting=size)
    try:
        open_parts: list[_Part] = []
        with closing(parts):
            for batch in _batches(parts, size):
                _judge(batch, model)
                records = []
                for part in batch:
                    open_parts.append(part)
                    if part.last:
                        records.append(_record(open_parts, top_k, segments=every is not None))
                        open_parts = []
                if records:
                    with defer_sigint():
                        outputs.write(records)
                        meter.advance(len(records), summary.add(records))
    finally:
        summary.seconds = time.monotonic() - started


@dataclass
class _Part:
    """A part of a clip, from reading to its classes, or the reason why the clip cannot be read."""

    path: str
    last: bool = True
    span: tuple[float, float] = (0.0, 0.0)
    seen: FrameSample | None = None
    film: list[FilmFrame] = field(default_factory=list)
    warning: str | None = None
    error: str | None = None
    guesses: tuple[Guess, ...] = ()
    stamp: Stamp | None = None


def _look(path: str, model: VideoClassifier, max_pixels: int, pictures: bool) -> _Part:
    """A whole clip."""
    return next(_walk(path, model, None, max_pixels, pictures))


def _walk(
    path: str, model: VideoClassifier, every: float | None, max_pixels: int, pictures: bool
) -> Iterator[_Part]:
    """The parts of a clip in order."""
    stamp = stamp_of(path)
    try:
        with Video(path, max_pixels=max_pixels) as video:
            spans = windows(video.duration, every or max(video.duration, 1e-3))
            for place, span in enumerate(spans, 1):
                film: list[FilmFrame] = []
                seen = model.see(video, *span, partial(_keep, film) if pictures else None)
                kept = evenly_spaced(film, SHOWN if len(spans) == 1 else 1)
                yield _Part(path, place == len(spans), span, seen, kept, video.warning, stamp=stamp)
    except VideoError as error:
        yield _Part(path, error=str(error).removeprefix(f"{path}: "), stamp=stamp)
    except MemoryError:
        yield _Part(path, error="too large for this machine's memory", stamp=stamp)


def _keep(film: list[FilmFrame], frame: Frame) -> None:
    film.append(film_frame(frame))


def _batches(parts: Iterable[_Part], size: int) -> Iterator[list[_Part]]:
    """Parts in order, each list with at most `size` that were read."""
    batch: list[_Part] = []
    for part in parts:
        batch.append(part)
        if sum(each.seen is not None for each in batch) == size or len(batch) == 4 * size:
            yield batch
            batch = []
    if batch:
        yield batch


def _judge(batch: Sequence[_Part], model: VideoClassifier) -> None:
    """Classify what was read; the frames are let go."""
    read = [part for part in batch if part.seen is not None]
    if read:
        judged = chain.from_iterable(halve_on_oom(model.judge, [part.seen for part in read]))
        for part, guesses in zip(read, judged, strict=True):
            part.guesses, part.seen = guesses, None


def _record(parts: Sequence[_Part], top_k: int, segments: bool) -> Record:
    """What all parts of one clip say together: the mean of their probabilities, weighted by their lengths."""
    failed = next((part.error for part in parts if part.error is not None), None)
    if failed is not None:
        return Record(parts[0].path, error=failed, stamp=parts[0].stamp)
    sums: defaultdict[str, float] = defaultdict(float)
    total = sum(map(_length, parts))
    for part in parts:
        for guess in part.guesses:
            sums[guess.label] += guess.score * _length(part) / total
    ranked = sorted(sums.items(), key=lambda pair: -pair[1])
    top = [{"label": label, "score": round(score, 4)} for label, score in ranked[:top_k]]
    fields: dict[str, Any] = {**top[0], "top": top}
    if segments:
        fields["segments"] = [_segment(part, top_k) for part in parts]
    film = evenly_spaced([frame for part in parts for frame in part.film])
    return Record(parts[0].path, fields, warning=parts[-1].warning, picture=film or None, stamp=parts[0].stamp)


def _length(part: _Part) -> float:
    return max(part.span[1] - part.span[0], 1e-3)  # a single frame lasts no time, but counts


def _segment(part: _Part, top_k: int) -> dict[str, Any]:
    top = [{"label": guess.label, "score": round(guess.score, 4)} for guess in part.guesses[:top_k]]
    return {"start": round(part.span[0], 3), "end": round(part.span[1], 3), **top[0], "top": top}
