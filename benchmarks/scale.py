"""How long 10^6, 10^8 and 10^10 photos take on a cluster, simulated from service times, and what is the limit.

Each shard is handed out by the driver, brought from the storage, captioned by a worker, and its results are put. The
driver serves one shard at a time, the storage so many requests and bytes a second; workers bring files ahead while they
caption. Prints a table and draws a curve:

    python benchmarks/scale.py --figure docs/images/scale.png
"""

import argparse
import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

WORKERS = (1, 10, 100, 1_000, 10_000, 100_000)
PLANS = ((10**6, 1_000), (10**8, 1_000), (10**10, 10_000))  # photos, and photos a shard


@dataclass(frozen=True)
class Service:
    """Service times.

    Attributes:
        photo: seconds of a worker for a photo.
        start: seconds until a worker has loaded its model.
        driver: seconds of the driver for a shard.
        photo_bytes: of a photo in its archive.
        request: seconds until a request of the storage is answered.
        worker_bytes: a second that a worker gets from the storage.
        storage_bytes: a second that the storage gives to all.
        storage_requests: a second that the storage answers.
        spread: standard deviation of a shard's time, as a share of it.
    """

    photo: float
    start: float
    driver: float
    photo_bytes: float = 100e3
    request: float = 0.05
    worker_bytes: float = 50e6
    storage_bytes: float = 12.5e9
    storage_requests: float = 5_500
    spread: float = 0.1


def simulate(shards: int, photos: int, workers: int, service: Service, seed: int = 0) -> float:
    """Seconds until all shards of so many photos each are done."""
    draw = random.Random(seed)
    free = [service.start] * min(workers, shards)  # when each worker can take its next shard
    driver = storage = end = 0.0
    size = photos * service.photo_bytes
    # of what the storage has to do for all, whichever takes longer: bytes, or requests of 8 MiB and one of the results
    shared = max(size / service.storage_bytes, (size / (8 << 20) + 2) / service.storage_requests)
    for _ in range(shards):
        ready = heapq.heappop(free)
        driver = max(driver, ready - service.start) + service.driver  # two tasks wait at each worker
        begun = max(ready, driver)
        storage = max(storage, begun) + shared
        brought = max(storage - shared, begun) + service.request + size / service.worker_bytes
        captioned = begun + photos * service.photo * max(0.5, draw.gauss(1, service.spread))
        done = max(brought, captioned, storage) + 2 * service.request
        end = max(end, done)
        heapq.heappush(free, done)
    return end


def limit(photos: int, workers: int, service: Service) -> str:
    """What a long run is limited by, from the rates of each part alone."""
    size = photos * service.photo_bytes
    rates = {
        "workers": workers / (photos * service.photo),
        "workers' network": workers / (size / service.worker_bytes),
        "driver": 1 / service.driver,
        "storage's bytes": service.storage_bytes / size,
        "storage's requests": service.storage_requests / (size / (8 << 20) + 2),
    }
    return min(rates, key=lambda name: rates[name])


def table(service: Service, most: int) -> list[tuple[int, int, float, str]]:
    """Photos, workers, hours and the limit of each plan; a part of long runs is simulated, the rest in proportion."""
    rows = []
    for photos, per_shard in PLANS:
        for workers in WORKERS:
            shards = photos // per_shard
            if workers > shards:
                continue
            part = min(shards, max(most, 5 * workers))
            seconds = simulate(part, per_shard, workers, service) - service.start
            hours = (service.start + seconds * shards / part) / 3600
            rows.append((photos, workers, hours, limit(per_shard, workers, service)))
    return rows


def draw(plans: Sequence[tuple[str, list[tuple[int, int, float, str]]]], path: Path) -> None:
    """Hours over workers."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4))
    for (name, rows), style in zip(plans, ("-o", "--s"), strict=False):
        for number, (photos, _) in enumerate(PLANS):
            points = [(workers, hours) for count, workers, hours, _ in rows if count == photos]
            label = f"$10^{{{len(str(photos)) - 1}}}$ photos, {name}"
            axes.loglog(*zip(*points, strict=True), style, color=f"C{number}", label=label, markersize=4)
    axes.axhline(24, color="grey", linewidth=0.8)
    axes.text(1, 26, "a day", color="grey", fontsize=8)
    axes.set_xlabel("workers")
    axes.set_ylabel("hours")
    axes.legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def main() -> None:
    """Simulate, print and draw."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photo", type=float, default=0.019, help="seconds of a core for a photo")
    parser.add_argument("--start", type=float, default=8, help="seconds until a worker has loaded its model")
    parser.add_argument("--driver", type=float, default=0.02, help="seconds of the driver for a shard")
    parser.add_argument("--most", type=int, default=20_000, help="shards that are simulated of each plan")
    parser.add_argument("--figure", type=Path, help="draw the curve into this file")
    options = parser.parse_args()
    cpu = Service(options.photo, options.start, options.driver)
    faster = replace(cpu, photo=cpu.photo / 50)
    plans = [("a core each", table(cpu, options.most)), ("50 times as fast", table(faster, options.most))]
    for name, rows in plans:
        print(f"workers: {name}")
        for photos, workers, hours, reason in rows:
            print(f"{photos:>14,} photos {workers:>7,} workers {hours:>12,.2f} h  limit: {reason}")
    if options.figure:
        draw(plans, options.figure)


if __name__ == "__main__":
    main()
