"""Caption every photo and clip of a folder on all cores, with bounded memory.

Each worker takes some files and does everything with them: it decodes, runs the CNN and searches. So while one decodes
another searches, nothing is handed from core to core, and no more threads want to run than there are cores.
"""

import math
import threading
import time
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, nullcontext
from dataclasses import replace
from functools import partial
from itertools import chain, groupby, takewhile
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch

from captioner.decoding.search import DecodingConfig
from captioner.errors import UsageError
from captioner.models.caption import Captioner
from captioner.models.caption_writer import Caption
from captioner.models.concepts import MOST, NO_CONCEPTS, Concept
from captioner.models.translated_captions import translate_captions
from captioner.pipelines.caption.wording import Wording
from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.stages import defer_sigint, halve_on_oom, ordered_parallel_map, prefetch
from captioner.pipelines.gallery.rows import PhotoCard
from captioner.pipelines.gallery.thumbnails import Film, evenly_spaced
from captioner.pipelines.media import ClipOptions, MediaItem, is_clip, load_media
from captioner.vision.encoder import Features
from captioner.vision.images import MAX_PIXELS

if TYPE_CHECKING:
    from captioner.models.translate import Translator
    from captioner.models.video_caption import VideoCaptioner

Result = TypeVar("Result")

FIRST = 32  # images of the first batches, so that somebody who waits soon sees captions
CPU_BATCH = 64  # larger ones gain little on a CPU and need more memory
GPU_BATCH = 256  # halved for as long as the GPU's memory does not hold it


def caption_folder(
    paths: Sequence[str],
    model: "Captioner | VideoCaptioner",
    outputs: Outputs,
    search: DecodingConfig,
    meter: Meter,
    summary: Summary,
    *,
    clips: ClipOptions | None = None,
    batch_size: int | None = None,
    workers: int = 2,
    max_pixels: int = MAX_PIXELS,
    pictures: bool = False,
    concepts: bool = False,
    translator: "Translator | None" = None,
    wording: Wording | None = None,
) -> None:
    """Caption photos and clips and write a record of each, in order.

    Args:
        paths: of the files.
        model: the captioner.
        outputs: where records go.
        search: how to choose words.
        meter: is told of every batch.
        summary: counts what has been written, also when this is interrupted.
        clips: how clips are seen, and whether in segments.
        batch_size: the most images at a time; by default the model's device decides.
        workers: threads, each with images of its own; they take turns on a GPU.
        max_pixels: larger photos are refused.
        pictures: add to the records what a gallery shows besides: thumbnails, and where the model looked.
        concepts: list the words that each image shows too.
        translator: into the language of the captions; None for the model's own.
        wording: how captions are written; None for as the model says them.

    Raises:
        UsageError: the model tells no concept words.
        WriteError: an output can no longer be written.
    """
    started = time.monotonic()
    if concepts and getattr(model, "concept_words", None) is None:
        raise UsageError(f"{model.name}: {NO_CONCEPTS}")
    clips, wording = clips or ClipOptions(), wording or Wording()
    on_cpu = model.device.type == "cpu"
    size = batch_size or (CPU_BATCH if on_cpu else GPU_BATCH)
    load = partial(load_media, transform=model.transform, clips=clips, max_pixels=max_pixels, pictures=pictures)
    turn = nullcontext() if on_cpu else threading.Lock()
    ended = threading.Event()

    few_files = len(paths) < workers  # a long clip perhaps: its frames are read ahead and seen side by side

    def work(group: Sequence[str]) -> Iterator[list[Captioned]]:
        parts = takewhile(lambda _: not ended.is_set(), (part for path in group for part in load(path)))
        with closing(prefetch(parts, waiting=size)) if few_files else nullcontext(parts) as read:
            for batch in _batches(read, size):
                if ended.is_set():
                    return
                with turn:
                    captioned = _caption(batch, model, search, pictures, concepts, few_files, translator)
                yield captioned

    # as many images a worker where all work at once; a GPU's turns are better few and large
    groups = _groups(paths, size, clips, workers, sharing=workers if on_cpu else 1)
    open_parts: list[Captioned] = []
    try:
        with closing(ordered_parallel_map(work, groups, workers=workers, ended=ended)) as captioned:
            for batch in captioned:
                records = []
                for each in batch:
                    open_parts.append(each)
                    if each.part.last:
                        records.append(_record(open_parts, search.num_captions, wording, segmented=clips.segmented))
                        open_parts = []
                if records:
                    with defer_sigint():
                        outputs.write(records)
                        meter.advance(len(records), summary.add(records))
    finally:
        summary.seconds = time.monotonic() - started


def _groups(paths: Iterable[str], size: int, clips: ClipOptions, workers: int, sharing: int) -> Iterator[Sequence[str]]:
    """Neighbours among the files: about `size` images, but fewer at first, and at last as many each of `sharing`."""
    # of a clip with segments too: nobody knows how many there are
    files = deque((path, clips.frames if is_clip(path) else 1) for path in paths)
    left = sum(images for _, images in files)
    wanted = FIRST
    while files:
        room = min(wanted, size, math.ceil(left / sharing))
        for _ in range(workers):
            group: list[str] = []
            count = 0
            while files and (not group or count + files[0][1] <= room):
                path, images = files.popleft()
                group.append(path)
                count += images
            left -= count
            yield group
        wanted *= 2


class Captioned(NamedTuple):
    """What has been said of a photo, a clip or a part of one."""

    part: MediaItem
    captions: Sequence[Caption]
    concepts: Sequence[Concept] = ()


def _batches(parts: Iterable[MediaItem], size: int) -> Iterator[list[MediaItem]]:
    """Groups of `size` images or a few more, and what could not be read between them."""
    batch: list[MediaItem] = []
    images = 0
    for part in parts:
        batch.append(part)
        images += 0 if part.pixels is None else len(part.pixels)
        if images >= size or len(batch) == 4 * size:
            yield batch
            batch, images = [], 0
    if batch:
        yield batch


def _joined(features: Sequence[Features]) -> Features:
    if len(features) == 1:
        return features[0]
    return Features(torch.cat([each.grid for each in features]), torch.cat([each.pooled for each in features]))


def _caption(
    batch: list[MediaItem],
    model: "Captioner | VideoCaptioner",
    search: DecodingConfig,
    pictures: bool,
    concepts: bool,
    parallel: bool,
    translator: "Translator | None",
) -> list[Captioned]:
    """Captions of a batch's parts; those with equally many frames are searched together."""
    pixels = [part.pixels for part in batch if part.pixels is not None]
    if not pixels:
        return [Captioned(part, ()) for part in batch]
    features = _joined(halve_on_oom(partial(model.encode, parallel=parallel), np.concatenate(pixels)))
    groups: dict[tuple[int, bool], list[tuple[int, int]]] = defaultdict(list)
    row = 0
    for place, part in enumerate(batch):
        if part.pixels is not None:
            groups[len(part.pixels), part.span is None].append((place, row))
            row += len(part.pixels)
    captions: list[Sequence[Caption]] = [()] * len(batch)
    told: list[Sequence[Concept]] = [()] * len(batch)
    for (frames, photos), members in groups.items():
        grids = features.grid
        if len(groups) > 1:
            rows = torch.tensor([first + frame for _, first in members for frame in range(frames)])
            grids = grids[rows.to(grids.device)]
        grids = grids.unflatten(0, (len(members), frames))
        generate = partial(model.generate, options=search)
        if isinstance(model, Captioner):  # another attends to moments, which no picture shows
            generate = partial(generate, attention=pictures and photos)
        seen = model.of_clips(grids)
        found = chain.from_iterable(halve_on_oom(generate, seen))
        for (place, _), several in zip(members, found, strict=True):
            captions[place] = several
        if concepts and isinstance(model, Captioner):
            for (place, _), words in zip(members, model.tell_concepts(seen), strict=True):
                told[place] = words
    if translator is not None:
        captions = list(translate_captions(captions, translator))
    bare = (replace(part, pixels=None) for part in batch)
    return [Captioned(*each) for each in zip(bare, captions, told, strict=True)]


def _record(captioned: Sequence[Captioned], wanted: int, wording: Wording, segmented: bool) -> Record:
    """What has been said of all parts of a file."""
    first, captions, _ = captioned[0]
    failed = next((each.part.error for each in captioned if each.part.error is not None), None)
    if failed is not None:
        return Record(first.path, error=failed, stamp=first.stamp)
    rows = [{"caption": wording(caption.text), "score": round(caption.score, 4)} for caption in captions]
    fields: dict[str, Any] = {}
    if first.span is not None and segmented:
        captions = [each.captions[0] for each in captioned]
        spoken = _segments(captioned, wording)
        fields["segments"] = spoken
        rows = _longest(spoken)[:wanted]
    fields = {**(rows[0] if wanted == 1 else {"captions": rows}), **fields}
    words = _likeliest(captioned)
    if words:
        fields["concepts"] = words
    picture: Any = None
    if first.thumbnail is not None:
        picture = PhotoCard(first.thumbnail, captions)
    elif first.film:
        picture = Film(evenly_spaced([frame for each in captioned for frame in each.part.film]), first.size)
    warnings = dict.fromkeys([captioned[-1].part.warning, *(caption.warning for caption in captions)])
    warning = "; ".join(filter(None, warnings)) or None
    return Record(first.path, fields, warning=warning, picture=picture, stamp=first.stamp)


def _likeliest(captioned: Sequence[Captioned]) -> list[dict[str, Any]]:
    """The words of all parts of a file, each with its greatest probability, the likeliest first."""
    most: dict[str, float] = {}
    for each in captioned:
        for concept in each.concepts:
            most[concept.word] = max(most.get(concept.word, 0.0), concept.probability)
    likeliest = sorted(most.items(), key=lambda word: -word[1])[:MOST]
    return [{"concept": word, "probability": round(probability, 4)} for word, probability in likeliest]


def _segments(captioned: Sequence[Captioned], wording: Wording) -> list[dict[str, Any]]:
    """The segments of a clip, those that follow each other with the same caption as one."""
    rows = []
    for text, same in groupby(captioned, key=lambda each: each.captions[0].text):
        parts = [(each.part.span or (0.0, 0.0), each.captions[0].score) for each in same]
        lengths = [max(end - start, 1e-3) for (start, end), _ in parts]
        score = sum(length * score for length, (_, score) in zip(lengths, parts, strict=True)) / sum(lengths)
        start, end = parts[0][0][0], parts[-1][0][1]
        span = {"start": round(start, 3), "end": round(end, 3)}
        rows.append({**span, "caption": wording(text), "score": round(score, 4)})
    return rows


def _longest(segments: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Captions by how long they hold, each with the mean of its scores."""
    length: dict[str, float] = defaultdict(float)
    total: dict[str, float] = defaultdict(float)
    for segment in segments:
        seconds = max(segment["end"] - segment["start"], 1e-3)
        length[segment["caption"]] += seconds
        total[segment["caption"]] += seconds * segment["score"]
    longest = sorted(length.items(), key=lambda each: -each[1])
    return [{"caption": text, "score": round(total[text] / seconds, 4)} for text, seconds in longest]
