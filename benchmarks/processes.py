"""Training by two processes on a CPU against one that has both cores: features, cross-entropy, fine-tuning.

Makes its own photos and captions. Give the machine to it alone:

    python benchmarks/processes.py              # three minutes on two cores
    python benchmarks/processes.py --photos 64  # to try it
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml
from caption_folder import make_photos

PROCESSES = 2
HELD_OUT = 16


def write_config(folder: Path, photos: int, batch_size: int) -> Path:
    """A training of a small captioner of generated photos."""
    stage = {"epochs": 1, "batch_size": batch_size, "captions_per_photo": 5}
    config = {
        "purpose": "captions generated photos",
        "data": {"root": str(folder), "sets": {"generated": {"hold_out": HELD_OUT}}, "min_count": 1, "mirror": False},
        "encoder": {"name": "mobilenetv2_100", "pretrained": False, "size": 224},
        "decoder": {"hidden_size": 512, "embedding_size": 512},
        "workers": 0,
        "stages": {
            "cross_entropy": {**stage, "learning_rate": 0.001, "epochs": 4},
            "fine_tune": {**stage, "learning_rate": 0.0001},
        },
    }
    path = folder / f"{batch_size}.yaml"
    path.write_text(yaml.safe_dump(config))
    return path


def run(config: Path, folder: Path, processes: int) -> dict[str, float]:
    """Train; returns seconds of all and of features, and words a second of each stage."""
    torchrun = ["torch.distributed.run", "--standalone", "--nproc_per_node", str(processes), "-m"]
    launch = torchrun if processes > 1 else []
    command = [sys.executable, "-m", *launch, "captioner", "train", str(config), "--device", "cpu", "-o", str(folder)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(PROCESSES // processes)}
    started = time.perf_counter()
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    if result.returncode:
        raise SystemExit(result.stderr)
    found = {"seconds in all": time.perf_counter() - started}
    (cache,) = (path.parent for path in folder.glob("features/*/key.json"))
    found["seconds of features"] = (cache / "done.npy").stat().st_mtime - (cache / "key.json").stat().st_mtime
    for line in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines()):
        if "words_a_second" in line:
            found[f"words a second, {line['stage']}"] = line["words_a_second"]  # of the last epoch
    return found


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=800)
    photos = parser.parse_args().photos
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, path in enumerate(make_photos(folder / "photos", photos, (320, 240))):
            texts = [f"photo {number % 7} shows {what} number {number % 11}" for what in ("a dog", "cats", "one bus")]
            Path(path).with_suffix(".txt").write_text("\n".join(texts))
        one = run(write_config(folder, photos, 2 * 16), folder / "one", 1)
        several = run(write_config(folder, photos, 16), folder / "several", PROCESSES)
    print(f"{photos} photos; one process with {PROCESSES} threads, {PROCESSES} processes with one each")
    for what, value in one.items():
        gain = value / several[what] if what.startswith("seconds") else several[what] / value
        print(f"{what}: {value:,.1f}, {several[what]:,.1f}: {gain:.2f} times as fast")


if __name__ == "__main__":
    main()
