"""Speed, size and memory of a search among many photos.

Makes its own photos, variations of examples/photos, builds an index with `captioner search`, and times queries: the
first, from starting the command, and later ones in one process. Give the machine to it alone:

    python benchmarks/search.py --photos 10000
"""

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

EXAMPLES = Path(__file__).resolve().parent.parent / "examples" / "photos"
QUERIES = ["a dog catching a frisbee on grass", "a cup of coffee on a table", "two people on a beach", "a rocket"]


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=10_000)
    count = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as root:
        photos, index = Path(root) / "photos", Path(root) / "photos.index"
        photos.mkdir()
        make_photos(photos, count)
        search = [sys.executable, "-m", "captioner", "search", "--index", str(index)]

        def run(*arguments: str, typed: str = "") -> float:
            started = time.perf_counter()
            subprocess.run([*search, *arguments], input=typed.encode(), stdout=subprocess.DEVNULL, check=True)
            return time.perf_counter() - started

        built = run(QUERIES[0], str(photos))
        size = os.path.getsize(index) / count
        print(f"index of {count} photos: {count / built:.1f} photos a second, {size:.0f} bytes a photo")
        first = min(run(query, str(photos)) for query in QUERIES[1:])
        session = "\n".join(QUERIES * 5)
        both = run("--queries", "-", str(photos), typed=session), run("--queries", "-", str(photos), typed=QUERIES[0])
        later = (both[0] - both[1]) / (len(QUERIES) * 5 - 1)
        print(f"first answer {first:.2f} s after Enter, later ones {later:.3f} s")
        captioned = time.perf_counter()
        rows = [sys.executable, "-m", "captioner", "caption", str(photos), "-o", f"{root}/rows.jsonl", "--quiet"]
        subprocess.run(rows, check=True)
        print(f"captioner caption: {count / (time.perf_counter() - captioned):.1f} photos a second")
        print(f"most memory of a process: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
