"""Speed and memory of captioning a folder, next to what its parts take alone.

Makes its own photos, variations of examples/photos, and prints one table. Give the machine to it alone:

    python benchmarks/caption_folder.py
"""

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

os.environ["OMP_WAIT_POLICY"] = "PASSIVE"  # as the command does, before torch is imported

import cv2
import numpy as np
import torch
from rich.console import Console

from captioner.models.base import load
from captioner.models.caption import Captioner
from captioner.pipelines.caption.work import CPU_BATCH, caption_folder
from captioner.pipelines.folder.outputs import JsonRows, Outputs
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.vision.images import read

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "photos"
CORES = os.cpu_count() or 1
SMALL, LARGE = (640, 480), (4000, 3000)


def make_photos(folder: Path, count: int, size: tuple[int, int]) -> list[str]:
    """Crops, mirror images and other exposures of the example photos as JPEG files."""
    folder.mkdir()
    originals = [cv2.imread(str(path)) for path in sorted(EXAMPLES.glob("*.jpg"))]
    rng = np.random.default_rng(0)
    paths = []
    for number in range(count):
        photo = originals[number % len(originals)]
        height, width = (int(side * rng.uniform(0.7, 1)) for side in photo.shape[:2])
        top, left = rng.integers(photo.shape[0] - height + 1), rng.integers(photo.shape[1] - width + 1)
        photo = photo[top : top + height, left : left + width][:, :: rng.choice([-1, 1])]
        photo = cv2.resize(photo, size, interpolation=cv2.INTER_CUBIC).astype(np.float32) * rng.uniform(0.7, 1.2)
        photo += rng.normal(0, 3, (*photo.shape[:2], 1))  # the grain of a sensor, without which files are too small
        paths.append(str(folder / f"{number:05}.jpg"))
        cv2.imwrite(paths[-1], photo.clip(0, 255).astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 90])
    return paths


def speed(work: Callable[[], object], images: int, repeats: int = 3) -> float:
    """Images a second, the median of some repeats."""
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return images / sorted(times)[len(times) // 2]


def end_to_end(model: Captioner, paths: Sequence[str], folder: Path) -> None:
    outputs = Outputs([JsonRows(str(folder / "out.jsonl"), overwrite=True)])
    search = model.config.search
    with Meter(len(paths), "images", Console(stderr=True), quiet=True) as meter:
        caption_folder(paths, model, outputs, search, meter, Summary(), workers=CORES)
    outputs.close()


def plain(model: Captioner, path: str) -> None:
    """A full decode and resize, as most programs do."""
    image = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR_RGB)
    cv2.resize(image, model.transform.size[::-1], interpolation=cv2.INTER_AREA)


def reduced(model: Captioner, path: str) -> None:
    model.transform(read(path, at_least=model.transform.at_least).pixels)


def on_all_cores(work: Callable[[Any], object], items: Sequence[Any]) -> None:
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(work, items))


def parts(model: Captioner, paths: Sequence[str]) -> dict[str, float]:
    """Images a second of the CNN, the search and the decoding, each alone."""
    pixels = np.stack([model.transform(read(path, at_least=model.transform.at_least).pixels) for path in paths[:256]])
    batches = [pixels[start : start + CPU_BATCH] for start in range(0, len(pixels), CPU_BATCH)]
    features = [model.encode(batch) for batch in batches]
    search = model.config.search
    works: dict[str, tuple[Callable[[Any], object], Sequence[Any]]] = {
        "CNN alone": (partial(model.encode, parallel=False), batches),
        "search alone": (partial(model.generate, options=search), features),
        "decoding alone": (partial(reduced, model), paths[:256]),
    }
    return {name: speed(partial(on_all_cores, *work), 256) for name, work in works.items()}


def peak_memory(model: str, folder: Path) -> float:
    """Peak MB of `captioner caption` on a folder, in a process of its own."""
    command = [sys.executable, "-P", "-m", "captioner.pipelines.cli", "caption", folder, "--model", model, "--quiet"]
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True); "
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"
    )
    output = ["-o", f"{folder}.jsonl"]
    done = subprocess.run([sys.executable, "-c", code, *command, *output], check=True, capture_output=True, text=True)
    return float(done.stdout)


def first_caption(model: str, photo: str) -> float:
    """Seconds from Enter to the first caption."""
    command = [sys.executable, "-P", "-m", "captioner.pipelines.cli", "caption", photo, "--model", model, "--quiet"]
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="photos")
    parser.add_argument("--small", type=int, default=1000, help="photos of 640x480")
    parser.add_argument("--large", type=int, default=40, help="photos of 12 megapixels")
    parser.add_argument("--many", type=int, default=10_000, help="photos of the second memory measurement")
    options = parser.parse_args()

    def say(what: str, value: str) -> None:
        print(f"{what:<58} {value:>14}", flush=True)

    print(f"{platform.machine()}, {CORES} cores, torch {torch.__version__}, model {options.model} with its own search")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        small = make_photos(folder / "small", options.small, SMALL)
        large = make_photos(folder / "large", options.large, LARGE)
        first_caption(options.model, small[0])  # fills caches, as any earlier use does
        say("first caption, from Enter", f"{min(first_caption(options.model, small[0]) for _ in range(3)):.1f} s")

        model = load(options.model, "cpu")
        torch.set_num_threads(1)  # as the command does: as many workers as there are cores, each on one thread
        end_to_end(model, small[:CPU_BATCH], folder)
        alone = parts(model, small)
        whole = speed(lambda: end_to_end(model, small, folder), len(small))
        for what, value in alone.items():
            say(f"640x480, {what}", f"{value:.1f} images/s")
        say(f"640x480, {len(small)} photos end to end", f"{whole:.1f} images/s")
        say("640x480, end to end / CNN alone", f"{whole / alone['CNN alone']:.0%}")
        ideal = 1 / sum(1 / value for value in alone.values())
        say("640x480, end to end / its parts one after another", f"{whole / ideal:.0%}")

        full = speed(lambda: [plain(model, path) for path in large], len(large))
        ours = speed(lambda: [reduced(model, path) for path in large], len(large))
        say("12 megapixels, full decode and resize, one thread", f"{full:.1f} images/s")
        say("12 megapixels, decode at reduced scale, one thread", f"{ours:.1f} images/s")
        say("12 megapixels, reduced / full", f"{ours / full:.1f} x")
        say("12 megapixels, end to end", f"{speed(lambda: end_to_end(model, large, folder), len(large)):.1f} images/s")

        memory = peak_memory(options.model, folder / "small")
        say(f"peak memory, {len(small)} photos", f"{memory:.0f} MB")
        (folder / "many").mkdir()
        for number in range(options.many):
            os.link(small[number % len(small)], folder / "many" / f"{number:06}.jpg")
        more = peak_memory(options.model, folder / "many")
        say(f"peak memory, {options.many} photos", f"{more:.0f} MB")
        say("peak memory, ratio", f"{more / memory:.2f}")


if __name__ == "__main__":
    main()
