"""`captioner serve` under load: photos a second and waiting times, beside `captioner caption` on the same photos.

    python benchmarks/serve.py [PHOTOS] [--clients 32] [--seconds 120] [--mixed]

PHOTOS is a folder; without it, 200 drawn ones of 640 x 480. `--mixed` also posts files that are damaged, no photos or
too large, and wrong requests, and prints memory every minute: a soak test with `--seconds 1200`. Printed are photos a
second of both, median and 95th percentile of the waits for good answers, memory, and how requests were answered.
"""

import argparse
import asyncio
import io
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from captioner.vision.images import SUFFIXES


def draw(folder: Path, count: int) -> None:
    for number in range(count):
        draws = np.random.default_rng(number)
        picture = Image.fromarray(draws.integers(0, 256, (12, 16, 3), np.uint8)).resize(
            (640, 480), Image.Resampling.BICUBIC
        )
        noisy = np.asarray(picture, np.int16) + draws.integers(-9, 10, (480, 640, 3))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:04}.jpg", quality=88)


def form(content: bytes) -> bytes:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n'
    return head + content + b"\r\n--x--\r\n"


def request(body: bytes, kind: str = "multipart/form-data; boundary=x", path: str = "/v1/caption") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def wrong(photos: list[bytes]) -> list[tuple[bytes, int]]:
    """Requests that are to be refused, with their statuses."""
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "png")
    return [
        (request(form(b"no photo")), 422),
        (request(form(photos[0][:300])), 422),
        (request(form(bomb.getvalue())), 422),
        (request(b"{}", "application/json"), 422),
        (request(b"{", "application/json"), 400),
        (request(b"x", "text/plain"), 415),
        (request(form(photos[0]), path="/v1/nothing"), 404),
    ]


async def client(port: int, choose, until: float, waits: list[float], told: Counter) -> None:
    reader = writer = None
    while time.monotonic() < until:
        if writer is None:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        sent, expected = choose()
        started = time.monotonic()
        try:
            writer.write(sent)
            head = await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(int(re.search(rb"(?i)content-length: (\d+)", head)[1]))
        except (OSError, asyncio.IncompleteReadError):
            told["broken"] += 1
            writer = None
            continue
        status = int(head.split()[1])
        told["as expected" if status == expected else f"status {status}, expected {expected}"] += 1
        if expected == status == 200:
            waits.append(time.monotonic() - started)
        if b"connection: close" in head.lower():
            writer.close()
            writer = None


async def load(port: int, clients: int, seconds: float, choose, server: psutil.Process, watch: bool) -> None:
    waits: list[float] = []
    told: Counter = Counter()
    memory: list[int] = []

    async def measure() -> None:
        while True:
            memory.append(server.memory_info().rss)
            if watch and len(memory) % 60 == 1:
                print(
                    f"  {len(memory) // 60} min: {memory[-1] / 1e6:.0f} MB, {sum(told.values())} requests", flush=True
                )
            await asyncio.sleep(1)

    measuring = asyncio.create_task(measure())
    started = time.monotonic()
    await asyncio.gather(*(client(port, choose, started + seconds, waits, told) for _ in range(clients)))
    taken = time.monotonic() - started
    measuring.cancel()
    p95 = statistics.quantiles(waits, n=20)[-1]
    print(f"serve: {len(waits) / taken:.1f} photos a second, median {statistics.median(waits):.2f} s, p95 {p95:.2f} s")
    first, most, last = (f"{each / 1e6:.0f} MB" for each in (memory[0], max(memory), memory[-1]))
    print(f"memory: {first} at first, {most} at most, {last} at last")
    print(f"answers: {dict(told)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", nargs="?", type=Path)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--mixed", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.photos or Path(scratch)
        if options.photos is None:
            draw(folder, 200)
        photos = [path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix.lower() in SUFFIXES]
        command = [sys.executable, "-m", "captioner"]
        done = subprocess.run(
            [*command, "caption", str(folder), "-o", f"{scratch}/rows.jsonl"], capture_output=True, text=True
        )
        print("caption:", next(line for line in done.stderr.splitlines() if "a second" in line and "done" in line))
        server = subprocess.Popen([*command, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True)
        port = int(re.search(r":(\d+)$", server.stderr.readline().strip())[1])
        while "startup complete" not in json.loads(server.stderr.readline())["message"]:
            pass
        drain = subprocess.Popen(["cat"], stdin=server.stderr, stdout=subprocess.DEVNULL)
        good, bad = [(request(form(photo)), 200) for photo in photos], wrong(photos)
        draws = random.Random(0)

        def choose():
            return draws.choice(bad if options.mixed and draws.random() < 0.3 else good)

        try:
            watched = psutil.Process(server.pid)
            asyncio.run(load(port, options.clients, options.seconds, choose, watched, options.mixed))
        finally:
            server.terminate()
            print(f"ended with status {server.wait(60)}")
            drain.wait(10)


if __name__ == "__main__":
    main()
