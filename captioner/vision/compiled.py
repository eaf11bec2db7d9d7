"""A CNN as OpenVINO runs it, kept on disk, because converting a network takes seconds and reading it back takes none.

The files lie in `$XDG_CACHE_HOME/captioner` (by default `~/.cache/captioner`), each named by a digest of everything it
was made from, so that none is ever stale. They may be deleted at any time.
"""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor

from captioner.vision.images import Pixels

if TYPE_CHECKING:
    from captioner.vision.encoder import Encoder

log = logging.getLogger(__name__)

_KEPT = 8  # networks, the latest used
_PRECISIONS = {"float32": "f32", "bfloat16": "bf16"}


class Network:
    """A CNN in OpenVINO's form.

    Attributes:
        grid: rows and columns of its last feature map.
        channels: width of its features.
    """

    def __init__(self, model: Any, grid: tuple[int, int], channels: int) -> None:
        self.model, self.grid, self.channels = model, grid, channels

    def compile(self, precision: Literal["float32", "bfloat16"]) -> Callable[[Pixels], Tensor]:
        """What runs it here: uint8 RGB pixels (images, height, width, 3) to a grid (images, regions, channels)."""
        import openvino

        hints = {"INFERENCE_PRECISION_HINT": _PRECISIONS[precision], "PERFORMANCE_HINT": "LATENCY"}
        compiled = openvino.compile_model(self.model, "CPU", hints)
        return lambda pixels: torch.from_numpy(compiled(np.ascontiguousarray(pixels))[0])


def available() -> bool:
    """Whether OpenVINO is installed; says so once where it is not."""
    try:
        import openvino  # noqa: F401
    except ImportError:
        log.warning("OpenVINO is not installed, so the CNN runs in PyTorch, several times slower: pip install openvino")
        return False
    return True


def digest(description: Mapping[str, Any], weights: Mapping[str, Tensor]) -> str:
    """What identifies a converted network: its name and transform, its weights, and the libraries that convert it."""
    libraries = {name: version(name) for name in ("captioner", "openvino", "timm", "torch")}
    found = hashlib.blake2b(json.dumps([description, libraries], sort_keys=True).encode(), digest_size=16)
    for name in sorted(weights):
        found.update(name.encode())
        found.update(np.ascontiguousarray(weights[name].numpy()).data)
    return found.hexdigest()


def find(key: str) -> Network | None:
    """A network converted before, or None."""
    import openvino

    folder = cache_folder() / key
    try:
        about = json.loads((folder / "about.json").read_bytes())
        model = openvino.Core().read_model(folder / "cnn.xml", folder / "cnn.bin")
        os.utime(folder)
        return Network(model, tuple(about["grid"]), about["channels"])
    except (OSError, RuntimeError, ValueError, KeyError):  # none, or damaged: it is made again
        return None


def convert(encoder: "Encoder", key: str | None = None) -> Network:
    """Convert an encoder, and keep the result under `key`.

    Args:
        encoder: on the CPU, in float32.
        key: its `digest`; None keeps nothing.
    """
    import openvino

    height, width = encoder.transform.size
    example = torch.zeros(1, height, width, 3, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OpenVINO still traces with torch.jit, which torch says is deprecated
        traced = torch.jit.trace(encoder, example, check_trace=False)
        model = openvino.convert_model(traced, example_input=example, input=[-1, height, width, 3])
    network = Network(model, encoder.grid_shape(), encoder.channels)
    if key is not None:
        _keep(network, key)
    return network


def cache_folder() -> Path:
    """Where converted networks are kept."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "captioner"


def _keep(network: Network, key: str) -> None:
    """Write a network's folder, whole or not at all; a place that cannot be written costs only time."""
    import openvino

    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        new = Path(tempfile.mkdtemp(dir=cache_folder(), prefix="new-"))
        try:
            openvino.save_model(network.model, new / "cnn.xml", compress_to_fp16=False)
            (new / "about.json").write_text(json.dumps({"grid": network.grid, "channels": network.channels}))
            shutil.rmtree(cache_folder() / key, ignore_errors=True)  # a damaged one
            new.rename(cache_folder() / key)
        finally:
            shutil.rmtree(new, ignore_errors=True)
        kept = sorted(cache_folder().iterdir(), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in kept[_KEPT:]:
            shutil.rmtree(folder, ignore_errors=True)
    except (OSError, RuntimeError) as error:
        log.info("%s: a converted network could not be kept (%s)", cache_folder(), error)
