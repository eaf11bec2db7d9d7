"""Photos a second and memory of `captioner caption --cluster local`, beside the command without it, over tar shards.

Makes its own photos, variations of examples/photos. Give the machine to it alone:

    python benchmarks/cluster.py                                # 5,000 photos: speeds, also with an S3 server
    python benchmarks/cluster.py --photos 2000 --only cluster   # and with 20000: memory must not grow
    python benchmarks/cluster.py --listing 1000000 --mock             # memory of listing so many names
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
    """Run `captioner caption`; returns its seconds, and the largest memory of each kind of process in MB.

    What a process shares with others, such as libraries and Ray's object store, is counted apart from its own.
    """
    command = [sys.executable, "-m", "captioner", "caption", *map(str, arguments)]
    started = time.perf_counter()
    told = tempfile.TemporaryFile()  # noqa: SIM115 - a pipe that nobody reads would stop the command
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=told)
    peaks: defaultdict[str, float] = defaultdict(float)
    ended = threading.Event()

    def watch() -> None:
        root = psutil.Process(process.pid)
        while not ended.wait(5):  # looking takes a process long enough to slow it
            try:
                for each in [root, *root.children(recursive=True)]:
                    name = "driver" if each == root else " ".join(each.cmdline()[:1])
                    kind = "worker" if name.startswith("ray::") else name if each == root else "Ray's own"
                    memory = each.memory_full_info()
                    peaks[kind] = max(peaks[kind], memory.uss / 1e6)
                    shared = f"{kind}, shared"
                    peaks[shared] = max(peaks[shared], (memory.rss - memory.uss) / 1e6)
            except (psutil.NoSuchProcess, psutil.AccessDenied):  # it has just ended
                continue

    thread = threading.Thread(target=watch)
    thread.start()
    status = process.wait()
    ended.set()
    thread.join()
    if status:
        told.seek(0)
        raise SystemExit(f"status {status} of: {' '.join(command)}\n{told.read().decode(errors='replace')}")
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


LISTING = """
import sys, time
import fsspec
from captioner.pipelines.cluster.inputs import find_shards
from captioner.pipelines.cluster.plan import ResultFolder
from captioner.pipelines.folder.inputs import find_inputs
from captioner.vision.images import SUFFIXES

class Names(fsspec.AbstractFileSystem):  # a storage of names without files, 10,000 a folder
    protocol = "names"

    def info(self, path, **_):
        return {"name": self._strip_protocol(path), "size": 0, "type": "directory"}

    def ls(self, path, detail=True, **_):
        path, count = self._strip_protocol(path), int(path.split("/")[1])
        if "/" in path.partition("/")[2]:
            start = int(path.rpartition("/")[2])
            return [{"name": f"{path}/{number:08}.jpg", "size": 100_000, "type": "file", "ETag": f"{number:032x}"}
                    for number in range(start, min(start + 10_000, count))]
        return [{"name": f"{path}/{start:08}", "size": 0, "type": "directory"} for start in range(0, count, 10_000)]

def peak():  # in MB; what getrusage gives begins with the parent's
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1e3 for line in status if line.startswith("VmHWM"))

fsspec.register_implementation("names", Names)
place, out = sys.argv[1:]
started, before = time.perf_counter(), peak()
found = find_shards([place], SUFFIXES, find_inputs, kind="images")
plan = ResultFolder(out, ".jsonl", {}, overwrite=False).plan(found, 1000, (), retry=False)
print(f"{len(found.files):,} files, {len(plan.todo):,} shards in {time.perf_counter() - started:.1f} s; "
      f"{peak():.0f} MB, {peak() - before:.0f} MB of them for the names")
"""


def listing(folder: Path, count: int, mock: bool) -> None:
    """Memory and time of finding and planning so many files."""
    place = f"names://photos/{count}" if mock else str(folder / "photos")
    for start in range(0, 0 if mock else count, 10_000):
        (folder / "photos" / f"{start:08}").mkdir(parents=True)
        for number in range(start, min(start + 10_000, count)):
            os.mknod(folder / "photos" / f"{start:08}" / f"{number:08}.jpg")
    subprocess.run([sys.executable, "-c", LISTING, place, folder / "out"], check=True)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=int, default=5000)
    parser.add_argument("--only", choices=["plain", "cluster", "s3"])
    parser.add_argument("--listing", type=int, help="files to list, instead of captioning")
    parser.add_argument("--mock", action="store_true", help="list them on a storage that has only names")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if options.listing:
            listing(Path(folder), options.listing, options.mock)
        else:
            speeds(Path(folder), options.photos, options.only)


if __name__ == "__main__":
    main()
