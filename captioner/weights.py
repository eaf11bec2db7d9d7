"""Tensors in files and under names: reading, checking, choosing and writing them. Stands below all networks."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from captioner.errors import ModelError

if TYPE_CHECKING:  # importing it takes longer than a search of ten thousand photos
    from torch import Tensor

Weights: TypeAlias = dict[str, "Tensor"]
Arrays = dict[str, NDArray[np.float32]]


def read_tensors(path: Path) -> Weights:
    """All tensors of a safetensors file.

    Raises:
        ModelError: the file is missing, cut or not a safetensors file.
    """
    from safetensors.torch import load_file

    return _read(path, load_file)


def read_arrays(path: Path) -> Arrays:
    """All tensors of a safetensors file as arrays of float32, without PyTorch.

    Raises:
        ModelError: the file is missing, cut or not a safetensors file.
    """
    from safetensors.numpy import load_file

    return {name: value.astype(np.float32) for name, value in _read(path, load_file).items()}


def _read(path: Path, load: Callable[[Path], dict[str, Any]]) -> dict[str, Any]:
    from safetensors import SafetensorError

    if not path.is_file():
        raise ModelError(f"{path}: there is no such weights file.")
    try:
        return load(path)
    except SafetensorError as error:
        raise ModelError(f"{path}: not a complete safetensors file ({error}); copy or download it again.") from error


def check_fit(found: Weights, expected: Weights, path: Path) -> None:
    """Refuse weights that are not exactly those a network has.

    Raises:
        ModelError: a tensor is missing, unknown, or of another shape; the first one is named.
    """
    for name in expected:
        if name not in found:
            raise ModelError(f"{path}: tensor {name} is missing; copy the whole model folder again.")
        if found[name].shape != expected[name].shape:
            raise ModelError(
                f"{path}: tensor {name} has shape {tuple(found[name].shape)}, but config.json makes it "
                f"{tuple(expected[name].shape)}; the two come from different trainings."
            )
    spare = found.keys() - expected.keys()
    if spare:
        raise ModelError(f"{path}: has the tensor {min(spare)}, which config.json has no place for.")


def write_tensors(path: Path, weights: Weights) -> None:
    """Write a safetensors file, floating-point numbers as float16; it appears whole or not at all.

    Raises:
        ModelError: it cannot be written; what stood there stays.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    half = {
        name: value.detach().to("cpu", torch.float16 if value.is_floating_point() else value.dtype).contiguous()
        for name, value in weights.items()
    }
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        save_file(half, temporary, metadata={"format": "pt"})
    except SafetensorError as error:  # as where a disk is full
        temporary.unlink(missing_ok=True)
        raise ModelError(f"{path}: cannot be written ({error}); make room and run the same again.") from error
    temporary.chmod(0o644)  # safetensors makes it unreadable to others, as a package's files must not be
    os.replace(temporary, path)


def write_atomically(path: Path, text: str) -> None:
    """Write a UTF-8 text file, which appears whole or not at all, also where the power fails.

    Raises:
        OSError: it cannot be written; what stood there stays.
    """
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def part_of(weights: Weights, prefix: str) -> Weights:
    """The tensors under a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def named(prefix: str, weights: Weights) -> Weights:
    """Tensors under a prefix, but for the counters of batch normalisation, which model folders do not hold."""
    return {f"{prefix}{name}": value for name, value in weights.items() if not name.endswith("num_batches_tracked")}
