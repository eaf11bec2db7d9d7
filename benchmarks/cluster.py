"""Photos a second and memory of `captioner caption --cluster local`, beside the command without it, over tar shards.

Makes its own photos, variations of examples/photos. Give the machine to it alone:

    python benchmarks/cluster.py                                # 5,000 photos: speeds, also with an S3 server
    python benchmarks/cluster.py --photos 2000 --only cluster   # and with 20000: memory must not grow
    TMPDIR=/dev/shm python benchmarks/cluster.py --listing 1000000    # memory of listing so many empty files
"""

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import psutil
from caption_folder import make_photos

SHARD = 250  # photos
VARIANTS = 500  # that are drawn; more photos repeat them
WORKERS = 2


def make_shards(folder: Path, count: int) -> list[Path]:
    """Tar files of photos."""
    folder.mkdir()
    photos = make_photos(folder / "photos", min(count, VARIANTS), (640, 480))
    shards = []
    for start in range(0, count, SHARD):
        shards.append(folder / f"part-{start // SHARD:04}.tar")
        with tarfile.open(shards[-1], "w") as tar:
            for number in range(start, min(start + SHARD, count)):
                tar.add(photos[number % len(photos)], f"{number:06}.jpg")
    shutil.rmtree(folder / "photos")
    return shards


def run(*arguments: str | Path) -> tuple[float, dict[str, float]]:
    """Run `captioner caption`; returns its seconds, and the largest memory of each kind of process in MB."""
    command = [sys.executable, "-m", "captioner", "caption", *map(str, arguments), "--quiet"]
    started = time.perf_counter()
    process = subprocess.Popen(command)
    peaks: defaultdict[str, float] = defaultdict(float)
    ended = threading.Event()

    def watch() -> None:
        root = psutil.Process(process.pid)
        while not ended.wait(0.5):
            try:
                for each in [root, *root.children(recursive=True)]:
                    name = "driver" if each == root else " ".join(each.cmdline()[:1])
                    kind = "worker" if name.startswith("ray::") else name if each == root else "Ray's own"
                    peaks[kind] = max(peaks[kind], each.memory_info().rss / 1e6)
            except psutil.NoSuchProcess:
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    status = process.wait()
    ended.set()
    thread.join()
    if status:
        raise SystemExit(f"status {status} of: {' '.join(command)}")
    return time.perf_counter() - started, dict(peaks)


def report(name: str, photos: int, seconds: float, peaks: dict[str, float], beside: float | None = None) -> None:
    """Print a line."""
    share = f", {beside / seconds:.0%} of the command without --cluster" if beside else ""
    memory = ", ".join(f"{kind} {peak:.0f} MB" for kind, peak in peaks.items())
    print(f"{name}: {photos / seconds:.1f} photos a second in {seconds:.1f} s{share}; largest: {memory}", flush=True)


def speeds(folder: Path, photos: int, only: str | None) -> None:
    """Both commands over the same shards, from start to end."""
    shards = make_shards(folder / "shards", photos)
    cluster = ("--cluster", "local", "--workers", str(WORKERS))
    plain = None
    if only in (None, "plain"):
        plain, peaks = run(*shards, "-o", folder / "plain.jsonl", "--workers", str(WORKERS))
        report("without --cluster", photos, plain, peaks)
    if only in (None, "cluster"):
        seconds, peaks = run(*shards, "-o", folder / "out", *cluster)
        report("--cluster local", photos, seconds, peaks, plain)
        rows = sorted(line for path in (folder / "out").glob("*.jsonl") for line in path.read_text().splitlines())
        if plain:
            same = rows == sorted((folder / "plain.jsonl").read_text().splitlines())
            print(f"rows are {'the same' if same else 'NOT the same'}: {len(rows)}")
        seconds, _ = run(*shards, "-o", folder / "out", *cluster)
        print(f"nothing to do: {seconds:.1f} s")
    if only in (None, "s3"):
        with_s3(shards, photos, cluster, plain)


def with_s3(shards: list[Path], photos: int, cluster: tuple[str, ...], plain: float | None) -> None:
    """The cluster reading from and writing to moto's S3 server, which takes its share of the same cores."""
    import s3fs

    server = subprocess.Popen(
        [sys.executable, "-c", "from moto.server import main; main(['-H', '127.0.0.1', '-p', '5995'])"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        os.environ |= {
            "AWS_ENDPOINT_URL": "http://127.0.0.1:5995",
            "AWS_ACCESS_KEY_ID": "anybody",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        time.sleep(5)
        system = s3fs.S3FileSystem()
        system.mkdir("bench")
        for path in shards:
            system.put_file(str(path), f"bench/shards/{path.name}")
        seconds, peaks = run("s3://bench/shards", "-o", "s3://bench/out", *cluster)
        report("--cluster local, S3", photos, seconds, peaks, plain)
    finally:
        server.terminate()
        server.wait()


def listing(folder: Path, count: int) -> None:
    """Memory and time of finding and planning so many files."""
    for start in range(0, count, 10_000):
        (folder / f"{start:08}").mkdir()
        for number in range(start, min(start + 10_000, count)):
            os.mknod(folder / f"{start:08}" / f"{number:08}.jpg")
    code = f"""
import resource, time
from captioner.pipelines.cluster.inputs import find_shards
from captioner.pipelines.cluster.plan import ResultFolder
from captioner.pipelines.folder.inputs import find_inputs
from captioner.vision.images import SUFFIXES
started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
found = find_shards([{str(folder)!r}], SUFFIXES, find_inputs, kind="images")
plan = ResultFolder({str(folder / "out")!r}, ".jsonl", {{}}, overwrite=False).plan(found, 1000, (), retry=False)
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(f"{{len(found.files):,}} files, {{len(plan.todo):,}} shards in {{time.perf_counter() - started:.1f}} s; "
      f"{{after / 1e3:.0f}} MB, {{(after - before) / 1e3:.0f}} MB of them for the names")
"""
    subprocess.run([sys.executable, "-c", code], check=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--only", choices=["plain", "cluster", "s3"])
    parser.add_argument("--listing", type=int, help="files to list, instead of captioning")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.listing:
            listing(Path(folder), options.listing)
        else:
            speeds(Path(folder), options.photos, options.only)


if __name__ == "__main__":
    main()
