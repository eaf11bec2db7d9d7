"""Time `captioner evaluate` against pycocoevalcap with Java on the same files, and CIDEr-D as a training reward.

    python benchmarks/evaluate.py [CAPTIONS]

CAPTIONS is a folder with Multi30k's `train.1.en.gz` to `train.5.en.gz`, five captions a photo line by line.
The official scorer needs the `java` extra and a Java runtime; its times include Java's start as ours include Python's.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from captioner.metrics.cider import CiderD
from captioner.metrics.scores import Scorer
from captioner.metrics.significance import bootstrap
from captioner.text import ptb

IMAGES = 5000
REWARDS = 20_000  # captions scored as a training reward, in batches as self-critical training makes them
BATCH = 320
TOLERANCE = 1e-9

OFFICIAL = """
import contextlib, json, sys
from pycocoevalcap.bleu.bleu import Bleu
from pycocoevalcap.cider.cider import Cider
from pycocoevalcap.rouge.rouge import Rouge
from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer
from pycocotools.coco import COCO
with contextlib.redirect_stdout(sys.stderr):
    coco = COCO(sys.argv[1])
    found = coco.loadRes(sys.argv[2])
    references = PTBTokenizer().tokenize({i: coco.imgToAnns[i] for i in coco.getImgIds()})
    captions = PTBTokenizer().tokenize({i: found.imgToAnns[i] for i in coco.getImgIds()})
    bleu, _ = Bleu(4).compute_score(references, captions)
    scores = {f"Bleu_{n + 1}": float(score) for n, score in enumerate(bleu)}
    scores["ROUGE_L"] = float(Rouge().compute_score(references, captions)[0])
    scores["CIDEr"] = float(Cider().compute_score(references, captions)[0])
print(json.dumps(scores))
"""


def read_captions(folder: Path) -> list[list[str]]:
    """Five captions of each photo."""
    files = [gzip.decompress((folder / f"train.{number}.en.gz").read_bytes()) for number in range(1, 6)]
    return [list(lines) for lines in zip(*(file.decode().splitlines() for file in files), strict=True)]


def write_files(captions: Sequence[Sequence[str]], folder: Path) -> tuple[Path, Path]:
    """COCO annotations, and results: a caption of each photo with every fourth word taken from another photo."""
    annotations = {
        "images": [{"id": image, "file_name": f"{image}.jpg"} for image in range(len(captions))],
        "annotations": [
            {"id": 5 * image + number, "image_id": image, "caption": text}
            for image, texts in enumerate(captions)
            for number, text in enumerate(texts)
        ],
    }
    results = []
    for image, texts in enumerate(captions):
        words, others = texts[0].split(), captions[image - 1][1].split()
        words[::4] = (others * len(words))[: len(words[::4])]
        results.append({"image_id": image, "caption": " ".join(words)})
    paths = folder / "annotations.json", folder / "results.json"
    for path, content in zip(paths, (annotations, results), strict=True):
        path.write_text(json.dumps(content), encoding="utf-8")
    return paths


def run(command: Sequence[str]) -> tuple[dict[str, float], float, float]:
    """What a program prints, its seconds, and the peak memory of its own process in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        sys.exit(f"{command[1:3]} failed; for the official scorer: pip install 'captioner[java]' and Java.")
    return json.loads(printed), time.perf_counter() - started, usage.ru_maxrss / 1024


def compare_programs(annotations: Path, results: Path, repeats: int) -> None:
    ours = [
        sys.executable,
        "-P",
        "-m",
        "captioner.pipelines.cli",
        "evaluate",
        "-a",
        str(annotations),
        "-r",
        str(results),
    ]
    programs = {
        "captioner evaluate": [*ours, "--json", "-"],
        "pycocoevalcap, Java": [sys.executable, "-c", OFFICIAL, str(annotations), str(results)],
    }
    runs = {name: [run(command) for _ in range(repeats)] for name, command in programs.items()}
    print(f"{'':22}{'seconds':>9}{'peak MB':>9}   BLEU-4, ROUGE-L, CIDEr-D; best of {repeats}")
    for name, found in runs.items():
        scores = ", ".join(f"{found[0][0][metric]:.6f}" for metric in ("Bleu_4", "ROUGE_L", "CIDEr"))
        print(f"{name:22}{min(each[1] for each in found):9.2f}{max(each[2] for each in found):9.0f}   {scores}")
    first, second = ([each[1] for each in found] for found in runs.values())
    print(f"{min(second) / min(first):.1f} times as fast, with intervals from 1,000 resamples, which the other lacks")
    a, b = (found[0][0] for found in runs.values())
    largest = max(abs(a[metric] - score) for metric, score in b.items())
    print(f"largest difference between the scores: {largest:.1e}")
    assert largest < TOLERANCE


def time_bootstrap(annotations: Path, results: Path) -> None:
    references: dict[int, list[str]] = {}
    for entry in json.loads(annotations.read_bytes())["annotations"]:
        references.setdefault(entry["image_id"], []).append(entry["caption"])
    captions = {entry["image_id"]: entry["caption"] for entry in json.loads(results.read_bytes())}
    started = time.perf_counter()
    scores = Scorer(references).score(captions)
    scored = time.perf_counter()
    bootstrap(scores)
    seconds = scored - started, time.perf_counter() - scored
    print(
        f"scoring {seconds[0]:.2f} s, bootstrap of 1,000 resamples {seconds[1]:.2f} s: "
        f"{seconds[1] / seconds[0]:.2f} times"
    )


def time_reward(captions: Sequence[Sequence[str]]) -> None:
    references = {image: [ptb.tokenize(text) for text in texts] for image, texts in enumerate(captions)}
    reward = CiderD(references)
    ids = [number * 7 % len(captions) for number in range(REWARDS)]
    hypotheses = [references[(image + 1) % len(captions)][0] for image in ids]
    started = time.perf_counter()
    for first in range(0, REWARDS, BATCH):
        reward.scores(ids[first : first + BATCH], hypotheses[first : first + BATCH])
    seconds = time.perf_counter() - started
    print(f"CIDEr-D as a reward, {BATCH} captions at a time: {REWARDS / seconds:,.0f} captions a second")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("captions", nargs="?", type=Path, default=Path("../shared/data/multi30k/captions"))
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    captions = read_captions(arguments.captions)[:IMAGES]
    with tempfile.TemporaryDirectory() as folder:
        annotations, results = write_files(captions, Path(folder))
        compare_programs(annotations, results, arguments.repeats)
        time_bootstrap(annotations, results)
    time_reward(captions)


if __name__ == "__main__":
    main()
