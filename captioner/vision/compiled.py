"""A CNN as OpenVINO runs it, kept on disk, because converting a network takes seconds and reading it back takes none.

The files lie in `$XDG_CACHE_HOME/captioner` (by default `~/.cache/captioner`), each named by a digest of everything it
was made from, so that none is ever stale. They may be deleted at any time.
"""

import functools
import hashlib
import json
import logging
import os
import shutil
import sys
import tempfile
import threading
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from captioner import __version__
from captioner.user_cache import cache_folder
from captioner.vision.images import Pixels

log = logging.getLogger(__name__)

_TELEMETRY = "openvino_telemetry"
_KEPT, _BYTES = 8, 2_000_000_000  # networks, the latest used, and their size; one is kept whatever its size
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}
_one_core = threading.Lock()
_hints: dict[str, Any] = {"PERFORMANCE_HINT": "THROUGHPUT"}


def share_cores(threads: int) -> None:
    """Let networks that are compiled from now on run on so many threads, on whichever cores other processes leave free.

    Else OpenVINO binds a stream to each core, and where several processes do that, two of them wait for one core while
    another is idle.
    """
    _hints.update(NUM_STREAMS=threads, INFERENCE_NUM_THREADS=threads, ENABLE_CPU_PINNING=False)


class Network:
    """A CNN in OpenVINO's form.

    Attributes:
        grid: rows and columns of its last feature map.
        channels: width of its features.
    """

    def __init__(self, model: Any, grid: tuple[int, int], channels: int) -> None:
        self.model, self.grid, self.channels = model, grid, channels

    def compile(self, precision: Literal["float32", "bfloat16"]) -> "Streams":
        """Compile for this machine's CPU."""
        return Streams(self, precision)


class Streams:
    """A network compiled for this machine's CPU, which sees one image at a time in each of several streams.

    One image's feature maps fit into a core's cache and those of a batch do not, so this is faster than batches, and
    streams need not wait for each other after every layer. Several threads may call this at the same time.

    Args:
        network: to be compiled.
        precision: of the arithmetic.
    """

    def __init__(self, network: Network, precision: Literal["float32", "bfloat16"]) -> None:
        self._compiled = compile_model(network.model, precision)
        self._shape = (network.grid[0] * network.grid[1], network.channels)
        self._streams: int = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
        self._idle: list[Any] = []  # requests, which are slow to make, between calls
        # OpenVINO's binding prepares itself in its first call; two first calls at once wait for each other for ever
        sides = [side.get_length() for side in list(network.model.input().partial_shape)[1:]]
        self(np.zeros((1, *sides), np.uint8), parallel=False)

    def __call__(self, pixels: Pixels, *, parallel: bool = True) -> Tensor:
        """The grid (images, regions, channels) of uint8 RGB pixels (images, height, width, 3).

        Args:
            pixels: of the images.
            parallel: use all streams; False for callers of which several are at work, each in a thread of its own.
        """
        pixels = np.ascontiguousarray(pixels)
        grids = np.empty((len(pixels), *self._shape), np.float32)
        images = iter(range(len(pixels)))  # of which each stream takes the next one

        def run(_: object = None) -> None:
            request = self._request()
            for image in images:
                request.infer([pixels[image : image + 1]], share_inputs=True)
                grids[image] = request.get_output_tensor().data[0]
            self._idle.append(request)

        count = min(self._streams, len(pixels)) if parallel else 1
        if count > 1:
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(run, range(count)))
        else:
            run()
        return torch.from_numpy(grids)

    def _request(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self._compiled.create_infer_request()


def available() -> bool:
    """Whether OpenVINO is installed; says so once where it is not."""
    try:
        import_openvino()
    except ImportError:
        log.warning("OpenVINO is not installed, so the CNN runs in PyTorch, several times slower: pip install openvino")
        return False
    return True


def import_openvino() -> Any:
    """OpenVINO without its telemetry package, which would ask Google for an address and write into `~/intel`.

    A program that has imported OpenVINO before this one does has decided on its telemetry itself.
    """
    # OpenVINO takes a stub of its own where the package cannot be imported
    hidden = "openvino" not in sys.modules and sys.modules.setdefault(_TELEMETRY, None) is None  # type: ignore[arg-type]
    try:
        import openvino
    finally:
        if hidden:
            sys.modules.pop(_TELEMETRY, None)
    return openvino


def compile_model(model: Any, precision: Literal["float32", "bfloat16"]) -> Any:
    """Compile a network in OpenVINO's form for this machine's CPU, for several streams."""
    hints = {"INFERENCE_PRECISION_HINT": _PRECISIONS[precision], **_hints}
    with _one_core:
        core = _core()
    return core.compile_model(model, "CPU", hints)


@functools.cache
def _core() -> Any:
    """What compiles all networks, kept until the process ends.

    OpenVINO's CPU plugin gives its thread a stack for signal handlers and frees it with the plugin's last network,
    although the thread may still be told to use it: when an older plugin goes before a newer one, or in another
    thread. The next signal, be it Ctrl-C, would end the process with a segmentation fault.
    """
    return import_openvino().Core()


def digest(description: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """What identifies a converted network: its name and transform, its weights, and the libraries that convert it."""
    libraries = {name: version(name) for name in ("openvino", "timm", "torch")} | {"captioner": __version__}
    found = hashlib.blake2b(json.dumps([description, libraries], sort_keys=True).encode(), digest_size=16)
    for name in sorted(weights):
        found.update(name.encode())
        found.update(np.ascontiguousarray(weights[name].numpy()).data)
    return found.hexdigest()


def find(key: str) -> Network | None:
    """A network converted before, or None."""
    openvino = import_openvino()
    folder = cache_folder() / key
    try:
        about = json.loads((folder / "about.json").read_bytes())
        model = openvino.Core().read_model(folder / "cnn.xml", folder / "cnn.bin")
        with suppress(OSError):  # where the cache may only be read
            os.utime(folder)
        return Network(model, tuple(about["grid"]), about["channels"])
    except (OSError, RuntimeError, ValueError, KeyError):  # none, or damaged: it is made again
        return None


def convert(
    network: nn.Module, size: tuple[int, int], grid: tuple[int, int], channels: int, key: str | None = None
) -> Network:
    """Convert a CNN, and keep the result under `key`.

    Args:
        network: uint8 pixels (images, height, width, 3) to features (images, regions, channels); on the CPU, float32.
        size: height and width of its input in pixels.
        grid: rows and columns of its last feature map.
        channels: width of its features.
        key: its `digest`; None keeps nothing.
    """
    openvino = import_openvino()
    height, width = size
    example = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OpenVINO still traces with torch.jit, which torch says is deprecated
        traced = torch.jit.trace(network, example, check_trace=False)
        model = openvino.convert_model(traced, example_input=example, input=[-1, height, width, 3])
    converted = Network(model, grid, channels)
    if key is not None:
        _keep(converted, key)
    return converted


def _keep(network: Network, key: str) -> None:
    """Write a network's folder, whole or not at all; a place that cannot be written costs only time."""
    openvino = import_openvino()
    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=cache_folder(), prefix="new-"))
        try:
            openvino.save_model(network.model, new / "cnn.xml", compress_to_fp16=False)
            (new / "about.json").write_text(json.dumps({"grid": network.grid, "channels": network.channels}), "ascii")
            shutil.rmtree(cache_folder() / key, ignore_errors=True)  # a damaged one
            new.rename(cache_folder() / key)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        ours = [about.parent for about in cache_folder().glob("*/about.json")]  # what else lies there is no network
        size = 0
        for place, folder in enumerate(sorted(ours, key=lambda folder: folder.stat().st_mtime, reverse=True)):
            size += sum(file.stat().st_size for file in folder.iterdir())
            if place >= _KEPT or (place and size > _BYTES):
                shutil.rmtree(folder, ignore_errors=True)
    except (OSError, RuntimeError) as error:
        log.info("%s: a converted network could not be kept (%s)", cache_folder(), error)
