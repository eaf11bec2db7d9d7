"""Speed, size and memory of a search among many photos.

    python benchmarks/search.py [--photos 10000] [--looked 1000]

Makes photos of its own, crops of examples/photos in other colours. `captioner search` and `captioner caption` look at
some of them (`--looked`), which gives photos a second; the index is then filled up to `--photos` with links to these
photos and vectors a little beside theirs, and queries are timed: from starting the command to its end, and in one
process. Give the machine to it alone: three minutes on two cores.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from captioner.pipelines.folder.made import name_and_digest, stamp_of
from captioner.pipelines.folder.records import Record
from captioner.pipelines.search.index import Index
from captioner.pipelines.search.moments import Seen
from captioner.pipelines.search.options import SearchOptions
from captioner.pipelines.search.work import FRAMES

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "photos"
QUERIES = ["a dog catching a frisbee on grass", "a cup of coffee on a table", "two people on a beach", "a man in a hat"]
COMMAND = [sys.executable, "-m", "captioner"]


def make_photos(folder: Path, count: int) -> None:
    """Write photos of 640 x 480 pixels, each a crop of an example in other colours."""
    examples = [cv2.imread(str(path)) for path in sorted(EXAMPLES.glob("*.jpg"))]
    for number in range(count):
        draw = np.random.default_rng(number)
        photo = examples[number % len(examples)]
        height, width = photo.shape[:2]
        top, left = int(draw.integers(0, height // 3)), int(draw.integers(0, width // 3))
        crop = cv2.resize(photo[top : top + 2 * height // 3, left : left + 2 * width // 3], (640, 480))
        cv2.imwrite(str(folder / f"{number:06}.jpg"), cv2.convertScaleAbs(crop, alpha=draw.uniform(0.7, 1.2)))


def fill(path: Path, photos: Path, count: int) -> None:
    """Fill an index up with links to the photos that it knows."""
    index = Index(str(path), {"model": name_and_digest("photos")[1], "every": SearchOptions.every, "frames": FRAMES})
    known = index.moments([str(photo) for photo in sorted(photos.iterdir())])
    draws = np.random.default_rng(0)
    records = []
    for number in range(len(known), count):
        place = number % len(known)
        copy = photos / f"{number:06}.jpg"
        os.link(known.paths[place], copy)
        vector = known.vectors[place] + draws.normal(0, 0.02, known.vectors.shape[1])
        packed = index.packed([int(known.ids[place])])[0]
        seen = Seen(None, None, vector.astype(np.float16).tobytes(), packed)
        records.append(Record(str(copy), picture=[seen], stamp=stamp_of(str(copy))))
    index.write(records)
    index.close()


def run(*arguments: str, typed: str = "") -> tuple[float, float, int]:
    """Wall and processor time of a command in seconds, and its most memory in MB."""
    started = time.perf_counter()
    with subprocess.Popen([*COMMAND, *arguments], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        process.stdin.write(typed.encode())
        process.stdin.close()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0, arguments
    return time.perf_counter() - started, used.ru_utime + used.ru_stime, used.ru_maxrss // 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=10_000)
    parser.add_argument("--looked", type=int, default=1000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as root:
        photos, index = Path(root) / "photos", Path(root) / "photos.index"
        photos.mkdir()
        make_photos(photos, options.looked)
        within = [str(photos), "--index", str(index), "--quiet"]
        wall, _, memory = run("caption", str(photos), "-o", f"{root}/rows.jsonl", "--quiet")
        print(f"captioner caption: {options.looked / wall:.1f} photos a second, {memory} MB", flush=True)
        wall, _, memory = run("search", QUERIES[0], *within)
        print(f"building the index: {options.looked / wall:.1f} photos a second, {memory} MB", flush=True)
        fill(index, photos, options.photos)
        size = os.path.getsize(index) / options.photos
        print(f"index of {options.photos} photos: {size:.0f} bytes a photo", flush=True)
        first = [run("search", query, *within) for query in QUERIES]
        middle = statistics.median(each[0] for each in first)
        print(
            f"first answer: {middle:.2f} s after Enter (median of {len(first)} processes), "
            f"{statistics.median(each[1] for each in first):.2f} s of processor time, {first[0][2]} MB"
        )
        one = run("search", "--queries", "-", *within, typed=QUERIES[0])
        many = run("search", "--queries", "-", *within, typed="\n".join(QUERIES * 5))
        later = [(all_ - first_) / (len(QUERIES) * 5 - 1) for all_, first_ in zip(many[:2], one[:2], strict=True)]
        print(f"later answers in one process: {later[0]:.3f} s, {later[1]:.3f} s of processor time")


if __name__ == "__main__":
    main()
