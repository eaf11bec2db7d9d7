"""Images a second of the CNN of `photos` in as many processes as there are cores, bound to cores by OpenVINO and not.

Each process asks for one image at a time, as a cluster's worker does; both ways take turns.

    python benchmarks/streams.py
"""

import argparse
import multiprocessing
import os
import time
from multiprocessing.synchronize import Barrier

ROUNDS = 3


def look(shared: bool, images: int, ready: Barrier) -> None:
    """See images, once all processes can."""
    import numpy as np
    import torch

    from captioner import load
    from captioner.vision.compiled import share_cores

    torch.set_num_threads(1)
    if shared:
        share_cores(1)
    model = load("photos", "cpu")
    pixels = np.random.default_rng(0).integers(0, 256, (32, *model.transform.size, 3), np.uint8)
    model.encode(pixels, parallel=False)
    ready.wait()
    for _ in range(images // len(pixels)):
        model.encode(pixels, parallel=False)
    ready.wait()


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=640, help="for each process")
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    options = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    for _ in range(ROUNDS):
        for shared in (False, True):
            ready = context.Barrier(options.processes + 1)
            workers = [
                context.Process(target=look, args=(shared, options.images, ready)) for _ in range(options.processes)
            ]
            for worker in workers:
                worker.start()
            ready.wait()
            started = time.perf_counter()
            ready.wait()
            speed = options.images * options.processes / (time.perf_counter() - started)
            print(f"{'unbound' if shared else 'bound'}: {speed:.1f} images a second", flush=True)
            for worker in workers:
                worker.join()


if __name__ == "__main__":
    main()
