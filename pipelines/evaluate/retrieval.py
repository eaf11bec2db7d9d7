"""`captioner evaluate --retrieval`: how well captions find their photos, and photos their captions."""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.table import Table

from captioner.data.results import Annotations
from captioner.errors import DataError, ImageError
from captioner.metrics.retrieval import Retrieval
from captioner.pipelines.evaluate.options import EvaluateOptions
from captioner.pipelines.folder.inputs import shown
from captioner.pipelines.folder.progress import Meter
from captioner.pipelines.folder.reports import write_report

if TYPE_CHECKING:
    from captioner.models.search import Finder, Seen

_BATCH = 32
DIRECTIONS = ("sentence to photo", "photo to sentence")


def evaluate_retrieval(
    options: EvaluateOptions, references: Annotations, photos: Mapping[int | str, str], console: Console
) -> dict[str, Any]:
    """Rank the annotated photos for each caption and the captions for each photo.

    Args:
        options: of the command.
        references: captions by photo.
        photos: where each photo lies.
        console: for progress and for photos that cannot be read.

    Returns:
        the report, in JSON's types.

    Raises:
        DataError: no photo can be read, or a caption has no word.
    """
    from captioner.models.base import find, load
    from captioner.models.retrieval import retrieve
    from captioner.models.search import Finder
    from captioner.models.search_config import encode_sentence

    captioner = load(options.model, options.device, ("caption",))
    finder = Finder.load(find(options.model), captioner)
    with Meter(len(photos), "photos", console, verb="looking at", quiet=options.quiet) as meter:
        seen, images = _look(finder, photos, console, meter)
    sentences, owners = [], []
    for place, image in enumerate(images):
        for caption in references.captions[image]:
            sentences.append(encode_sentence(caption, captioner.vocabulary))
            owners.append(place)
    with Meter(len(images), "photos", console, verb="ranking", quiet=options.quiet) as meter:
        found = retrieve(
            finder, seen, sentences, np.array(owners), progress=lambda count: meter.advance(count, 0)
        )
    groups = np.array(owners)
    return {
        "images": len(images),
        "captions": len(sentences),
        "parts": {
            part: {
                direction: _with_intervals(retrieval, groups if direction == DIRECTIONS[0] else None)
                for direction, retrieval in zip(DIRECTIONS, both, strict=True)
            }
            for part, both in found.items()
        },
        "signature": f"retrieval|model:{options.model}|images:{len(images)}|captions:{len(sentences)}"
        + (f"|split:{references.split}" if references.split else ""),
    }


def show(report: Mapping[str, Any], console: Console) -> None:
    """Print a report as a table."""
    parts: Mapping[str, Any] = report["parts"]
    names = list(next(iter(parts.values()))[DIRECTIONS[0]]["totals"])
    table = Table("", "", *names, box=None, header_style="bold", pad_edge=False)
    for direction in DIRECTIONS:
        for part, found in parts.items():
            each = found[direction]
            cells = [_cell(each["totals"][name], each["intervals"][name]) for name in names]
            table.add_row(direction, part, *cells)
    console.print(table)
    console.print(report["signature"], style="dim", markup=False, soft_wrap=True)


def write(report: Mapping[str, Any], target: str) -> None:
    """Write a report as JSON into a file, or print it for `-`."""
    text = json.dumps(report, indent=2)
    if target == "-":
        print(text)
    else:
        write_report(target, text + "\n")


def _look(
    finder: "Finder", photos: Mapping[int | str, str], console: Console, meter: Meter
) -> tuple["Seen", Sequence[int | str]]:
    """What both parts see of the photos that can be read, and which those are."""
    from captioner.models.search import Seen
    from captioner.vision.images import read

    transform, parts, images = finder.captioner.transform, [], []
    names = list(photos.items())
    for first in range(0, len(names), _BATCH):
        pixels = []
        for image, path in names[first : first + _BATCH]:
            try:
                pixels.append(transform(read(path, at_least=transform.at_least).pixels))
                images.append(image)
            except ImageError as error:
                note = shown(f"{error} It is left out.")
                console.print(note, style="red", highlight=False, markup=False, soft_wrap=True)
        if pixels:
            parts.append(finder.look(finder.captioner.encode(np.stack(pixels))))
        meter.advance(len(names[first : first + _BATCH]), 0)
    if not parts:
        raise DataError(f"none of the {len(names)} photos can be read.")
    return Seen.join(parts), images


def _with_intervals(retrieval: Retrieval, groups: Any) -> dict[str, Any]:
    return {
        "totals": retrieval.totals,
        "intervals": {name: list(each) for name, each in retrieval.intervals(groups).items()},
    }


def _cell(total: float, interval: Sequence[float]) -> str:
    digits = 3 if total <= 1 and interval[1] <= 1 else 1
    return f"{total:.{digits}f} ({interval[0]:.{digits}f}-{interval[1]:.{digits}f})"
