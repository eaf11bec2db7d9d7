"""How many text lines a second `captioner read` reads, beside one line after the other and beside its CNN alone.

    python benchmarks/read.py [LINES] [--model fraktur] [--count 512] [--workers 2]

LINES is a folder of pictures; without it lines are drawn from a font that comes with matplotlib.
"""

import argparse
import tempfile
import time
from pathlib import Path

import matplotlib
import torch
from PIL import Image, ImageDraw, ImageFont
from rich.console import Console

from captioner.models.base import load
from captioner.pipelines.folder.outputs import Outputs, Writer
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.read.work import read_folder
from captioner.vision.images import SUFFIXES, read_image

WORDS = "es war einmal ein alter König der hatte drei Töchter und die jüngste war so schön daß die Sonne sich wunderte"


class Nowhere(Writer):
    """An output that keeps nothing."""

    def write(self, records):
        """Forget records."""


def draw_lines(folder, count):
    font = ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSerif.ttf"), 28)
    words = WORDS.split()
    for place in range(count):
        text = " ".join(words[(place + step) % len(words)] for step in range(3 + place % 9))
        image = Image.new("L", (int(font.getlength(text)) + 20, 40), 255)
        ImageDraw.Draw(image).text((10, 2), text, 0, font=font)
        image.save(folder / f"{place:05}.png")


def speed(work, count):
    """Inputs a second, the better of two times."""
    best = float("inf")
    for _ in range(2):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return count / best


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("lines", nargs="?", type=Path)
    parser.add_argument("--model", default="fraktur")
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.lines or Path(temporary)
        if options.lines is None:
            draw_lines(folder, options.count)
        paths = sorted(str(path) for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)[: options.count]
        torch.set_num_threads(options.workers)
        model = load(options.model, "cpu")
        lines = [model.prepare(read_image(path)).pixels for path in paths]
        columns = sum(line.shape[1] for line in lines) / len(lines)
        model.encode(lines[:8])
        quiet = Console(quiet=True)

        def in_batches():
            meter = Meter(len(paths), "lines", quiet, quiet=True)
            read_folder(paths, model, Outputs([Nowhere()]), meter, Summary(), workers=options.workers)

        def one_by_one():
            for path in paths:
                model.read([path])

        batches, single = speed(in_batches, len(paths)), speed(one_by_one, len(paths))
        print(f"{len(paths)} lines of {columns:.0f} pixels on average, {model.name}, {options.workers} threads")
        print(f"captioner read      {batches:7.1f} lines a second")
        print(f"one by one          {single:7.1f} lines a second, {batches / single:.1f} times fewer")
        print(f"the CNN alone       {speed(lambda: model.encode(lines), len(paths)):7.1f} lines a second")


if __name__ == "__main__":
    main()
