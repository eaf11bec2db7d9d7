"""How often `captioner classify --labels` tells the right label, of photos and of clips that nobody trained it for.

    python benchmarks/labels.py COCO.zip [--clips CLIPS.tsv]

COCO.zip holds photos with five captions each. A photo is of a noun if at least four captions name it and none names
another of the twenty below, which were fixed before anything was measured. `photos` learnt from most of these photos,
but not from the 100 that its training held out, which are told apart. Printed are accuracies, the confusion matrix, and
how often `none fits` is said where the right noun is among the labels and where it is not.

CLIPS.tsv names clips of UT-Interaction, a path and a label a line, relative to its folder.
"""

import argparse
import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from captioner import load
from captioner.data.captions import CaptionedImage, CaptionSet, ImageStore
from captioner.models.base import find
from captioner.models.label import Labelled, Labeller
from captioner.models.search import Finder
from captioner.pipelines.media import FRAMES, ClipOptions, load_media
from captioner.vision.images import MAX_PIXELS, decode_image

NOUNS = {
    "dog": "dog dogs puppy puppies",
    "cat": "cat cats kitten kittens",
    "horse": "horse horses",
    "bird": "bird birds",
    "elephant": "elephant elephants",
    "giraffe": "giraffe giraffes",
    "zebra": "zebra zebras",
    "cow": "cow cows",
    "sheep": "sheep",
    "bear": "bear bears",
    "train": "train trains",
    "bus": "bus buses",
    "motorcycle": "motorcycle motorcycles motorbike motorbikes",
    "bicycle": "bicycle bicycles bike bikes",
    "airplane": "airplane airplanes plane planes jet jets",
    "boat": "boat boats",
    "pizza": "pizza pizzas",
    "cake": "cake cakes",
    "clock": "clock clocks",
    "toilet": "toilet toilets",
}
ACTIONS = {
    "hand_shaking": "two people shaking hands",
    "hugging": "two people hugging",
    "kicking": "a man kicking another man",
    "pointing": "a man pointing",
    "punching": "a man punching another man",
    "pushing": "a man pushing another man",
}
HELD_OUT = 100  # as configs/photos.yaml holds them out
BATCH = 32


def noun_of(image: CaptionedImage) -> str | None:
    """The one noun that a photo is of."""
    words = [set(tokens) for tokens in image.tokens]
    counts = {noun: sum(bool(each & set(forms.split())) for each in words) for noun, forms in NOUNS.items()}
    named = [noun for noun, count in counts.items() if count]
    return named[0] if len(named) == 1 and counts[named[0]] >= 4 else None


def show(labels: Sequence[str], right: Sequence[str], told: Sequence[str]) -> None:
    """Print the confusion matrix: a row for what is right, a column for what was told."""
    width = max(map(len, labels))
    print(" " * (width + 1) + " ".join(label[:5].rjust(5) for label in labels))
    for label in labels:
        row = [told[place] for place, each in enumerate(right) if each == label]
        print(label.ljust(width + 1) + " ".join(str(row.count(other) or ".").rjust(5) for other in labels))


def best(labeller: Labeller, judged: Sequence[Labelled]) -> list[str]:
    return [labeller.labels[int(each.probabilities.argmax())] for each in judged]


def photos(finder: Finder, archive: Path) -> None:
    captioner = finder.captioner
    store = ImageStore([archive])
    chosen = [(image, noun) for image in CaptionSet.read(archive).hold_out(HELD_OUT) if (noun := noun_of(image))]
    grids = []
    for first in range(0, len(chosen), BATCH):
        names = [image.file_name for image, _ in chosen[first : first + BATCH]]
        pixels = [decode_image(store.read(name), name) for name in names]
        grids.append(captioner.encode(np.stack([captioner.transform(each) for each in pixels])).grid)
    labeller = Labeller(finder, list(NOUNS))
    judged = [each for grid in grids for each in labeller.judge(grid)]
    told, right = best(labeller, judged), [noun for _, noun in chosen]
    hits = np.array([one == other for one, other in zip(told, right, strict=True)])
    held = np.array([image.split == "val" for image, _ in chosen])
    for name, part in (("all", held | True), ("learnt from", ~held), ("held out", held)):
        print(f"{name}: {hits[part].mean():.3f} of {part.sum()} photos")
    show(list(NOUNS), right, told)
    margins = np.array([each.margin for each in judged])
    for name, part in (("all", held | True), ("held out", held)):
        print(f"not said to fit none, the noun being there, {name}: {(margins[part] >= 0).mean():.3f}")
    refused = []
    for part in (list(NOUNS)[:10], list(NOUNS)[10:]):  # the noun is left out with nine others
        other = Labeller(finder, [noun for noun in NOUNS if noun not in part])
        place = 0
        for grid in grids:
            rows = [row for row in range(len(grid)) if right[place + row] in part]
            refused += [each.margin < 0 for each in other.judge(grid[rows])] if rows else []
            place += len(grid)
    print(f"said to fit none, the noun not being there: {np.mean(refused):.3f}")


def clips(finder: Finder, table: Path) -> None:
    labeller = Labeller(finder, list(ACTIONS.values()), ["{}"])
    names = {sentence: name for name, sentence in ACTIONS.items()}
    right, told = [], []
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.reader(file, delimiter="\t") if len(row) > 1 and row[1] in ACTIONS]
    for path, label, *_ in rows:
        options = ClipOptions(FRAMES)
        (item,) = load_media(
            str(table.parent / path), finder.captioner.transform, options, max_pixels=MAX_PIXELS, pictures=False
        )
        grid = finder.captioner.encode(item.pixels).grid.mean(0, keepdim=True)
        right.append(label)
        told += [names[each] for each in best(labeller, labeller.judge(grid))]
    hits = [one == other for one, other in zip(told, right, strict=True)]
    print(f"clips: {sum(hits)} of {len(hits)}")
    show(list(ACTIONS), right, told)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--clips", type=Path)
    options = parser.parse_args()
    finder = Finder.load(find("photos"), load("photos"))
    photos(finder, options.photos)
    if options.clips is not None:
        clips(finder, options.clips)


if __name__ == "__main__":
    main()
