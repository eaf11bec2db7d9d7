"""The CNN in 8-bit integers: scales are found on photos, and weights have one a channel (onnxruntime's static way)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from captioner.errors import ImageError, UsageError
from captioner.pipelines.folder.inputs import find_inputs
from captioner.vision.images import SUFFIXES, Pixels, Transform, read_image

PHOTOS = 100  # of which scales are found; more changed nothing that was measured
LEAST = 10


def quantize(encoder: Path, inputs: Sequence[Pixels]) -> None:
    """Replace an encoder by one whose convolutions multiply 8-bit integers.

    Args:
        encoder: the ONNX file, which is replaced.
        inputs: of which scales are found, each (1, height, width, 3).
    """
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    prepared, made = encoder.with_suffix(".prepared"), encoder.with_suffix(".int8")
    quant_pre_process(str(encoder), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(made),
        _Reader(inputs),
        quant_format=QuantFormat.QDQ,
        op_types_to_quantize=["Conv"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        activation_type=QuantType.QUInt8,
    )
    prepared.unlink()
    made.replace(encoder)


def examples(photos: Path, transform: Transform) -> list[Pixels]:
    """Photos evenly spread over a folder, as an encoder sees them.

    Args:
        photos: a folder of photos such as those that will be captioned.
        transform: that makes the encoder's input.

    Raises:
        UsageError: there are too few photos that can be read.
    """
    paths = find_inputs([str(photos)], SUFFIXES).paths
    inputs = []
    for path in paths[:: max(1, len(paths) // PHOTOS)][:PHOTOS]:
        try:
            inputs.append(transform(read_image(path, at_least=transform.at_least))[None])
        except ImageError:
            continue  # there are others
    if len(inputs) < LEAST:
        raise UsageError(f"--int8 {photos}: {len(inputs)} photos here can be read; give a folder of {LEAST} or more.")
    return inputs


class _Reader:
    """Photos one by one, as onnxruntime asks for them."""

    def __init__(self, inputs: Sequence[Pixels]) -> None:
        self._inputs = iter(inputs)

    def get_next(self) -> dict[str, Any] | None:
        """The next photo; None after the last."""
        found = next(self._inputs, None)
        return None if found is None else {"pixels": np.ascontiguousarray(found)}
