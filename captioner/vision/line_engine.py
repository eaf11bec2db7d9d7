"""Runs a reader's CNN on lines of any width as fast as the device allows: OpenVINO on a CPU, PyTorch on a GPU."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from captioner.vision import compiled
from captioner.vision.encoder import Precision
from captioner.vision.images import Pixels


class LineEngine:
    """Turns lines into columns.

    On a CPU each line is seen on its own, in one of several streams: its feature maps fit into a core's cache, and
    lines of several widths need no padding.

    Args:
        encoder: gives columns (1, columns, features) of a grey line (1, height, width).
        height: of the lines.
        device: `cpu` or a CUDA device.
        precision: of the arithmetic on a CPU; on a GPU it is always bfloat16.
    """

    def __init__(self, encoder: nn.Module, height: int, device: torch.device, precision: Precision) -> None:
        self.device = device
        self.precision = precision
        self.encoder = encoder.eval()
        self._compiled: Any = None
        self._idle: list[Any] = []
        if device.type == "cpu" and compiled.available():
            self._compiled = compiled.compile_model(_convert(encoder, height), precision)
            self._streams: int = self._compiled.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS")
            # OpenVINO's binding prepares itself in its first call; two first calls at once wait for each other for ever
            self([np.zeros((height, height), np.uint8)], parallel=False)

    def __call__(self, lines: Sequence[Pixels], *, parallel: bool = True) -> list[Tensor]:
        """Columns (columns, features) of each line (height, width), float32 on the engine's device.

        Args:
            lines: grey, of any widths.
            parallel: use all streams; False for callers of which several are at work, each in a thread of its own.
        """
        if self._compiled is None:
            return self._run_torch(lines)
        columns: list[Tensor] = [torch.empty(0)] * len(lines)
        places = iter(range(len(lines)))  # of which each stream takes the next one

        def run(_: object = None) -> None:
            request = self._request()
            for place in places:
                request.infer([np.ascontiguousarray(lines[place])[None]], share_inputs=True)
                columns[place] = torch.from_numpy(request.get_output_tensor().data[0].copy())
            self._idle.append(request)

        count = min(self._streams, len(lines)) if parallel else 1
        if count > 1:
            with ThreadPoolExecutor(count) as pool:
                list(pool.map(run, range(count)))
        else:
            run()
        return columns

    def _request(self) -> Any:
        try:
            return self._idle.pop()
        except IndexError:
            return self._compiled.create_infer_request()

    def _run_torch(self, lines: Sequence[Pixels]) -> list[Tensor]:
        """Lines of one width together."""
        widths: dict[int, list[int]] = {}
        for place, line in enumerate(lines):
            widths.setdefault(line.shape[1], []).append(place)
        columns: list[Tensor] = [torch.empty(0)] * len(lines)
        bfloat16 = self.device.type != "cpu" or self.precision == "bfloat16"
        with torch.inference_mode(), torch.autocast(self.device.type, torch.bfloat16, enabled=bfloat16):
            for places in widths.values():
                pixels = torch.from_numpy(np.stack([lines[place] for place in places])).to(self.device)
                for place, found in zip(places, self.encoder(pixels).float(), strict=True):
                    columns[place] = found
        return columns


def _convert(encoder: nn.Module, height: int) -> Any:
    openvino = compiled.import_openvino()
    example = torch.zeros(1, height, 4 * height, dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OpenVINO still traces with torch.jit, which torch says is deprecated
        traced = torch.jit.trace(encoder, example, check_trace=False)
        return openvino.convert_model(traced, example_input=example, input=[1, height, -1])
