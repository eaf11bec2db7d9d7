"""A trained recurrent network one step at a time, for searches, where each step is a call of its own.

PyTorch's fused networks are made for whole sequences: for one step of many short states most of their time is in
preparing weights. Here a step is one product and the unit's own equations, and what the inputs contribute is computed
beforehand, since a search's inputs are the rows of one embedding.
"""

import logging
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from captioner.recurrent.units import Recurrent, State

_log = logging.getLogger(__name__)

_ROWS = 128  # rows for which weights are reordered; any other number works too


class StepwiseRNN:
    """Steps a one-directional `tanh`, `lstm` or `gru` network; nothing is trained through it.

    Args:
        recurrent: the network; its weights are shared.
        inputs: (rows, input_size), every input that will ever be read.
    """

    def __init__(self, recurrent: Recurrent, inputs: Tensor) -> None:
        network = recurrent.network
        assert isinstance(network, nn.RNNBase)
        self._cell = CELLS[recurrent.unit]
        weight, _, bias, _ = network.all_weights[0]
        self._projected = linear(inputs, weight, bias)
        self._layers = [
            (prepacked_linear(weight, bias), prepacked_linear(recurrent_weight, recurrent_bias))
            for weight, recurrent_weight, bias, recurrent_bias in network.all_weights
        ]

    def step(self, rows: Tensor, state: State) -> tuple[Tensor, State]:
        """One step.

        Args:
            rows: (batch,), which input each sequence reads.
            state: `h` (and `c` for an LSTM), each (batch, layers, hidden_size).

        Returns:
            the last layer's states (batch, hidden_size), and the new state.
        """
        projected = self._projected.index_select(0, rows)
        made: dict[str, list[Tensor]] = {name: [] for name in state}
        for layer, (project, recur) in enumerate(self._layers):
            if layer:
                projected = project(made["h"][-1])
            old = [value[:, layer] for value in state.values()]
            product = recur(old[0])
            for name, value in zip(state, self._cell(projected, product, *old), strict=True):
                made[name].append(value)
        return made["h"][-1], {name: torch.stack(values, dim=1) for name, values in made.items()}


def prepacked_linear(weight: Tensor, bias: Tensor | None) -> Callable[[Tensor], Tensor]:
    """A linear layer made for many calls with few rows.

    In every call PyTorch reorders bfloat16 weights for the CPU's matrix instructions, which with a hundred rows takes
    as long as the product itself. Here they are reordered once, by the operators that `torch.compile` uses for this.
    """
    plain = partial(linear, weight=weight, bias=bias)
    if weight.dtype != torch.bfloat16 or weight.is_cuda:
        return plain
    try:
        reordered = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), _ROWS)
        multiply, added = torch.ops.mkldnn._linear_pointwise, None if bias is None else bias.detach()

        def prepacked(inputs: Tensor) -> Tensor:
            return multiply(inputs, reordered, added, "none", [], "")

        prepacked(weight.new_zeros(1, weight.shape[1]))  # no public operators, so another PyTorch may have others
    except Exception as error:  # a PyTorch without oneDNN or with other operators, or a CPU without the instructions
        _log.info("bfloat16 weights are not laid out beforehand (%s), so searches take longer", error)
        return plain
    return prepacked


def tanh(values: Tensor) -> Tensor:
    """On a CPU, for bfloat16, by the logistic function in float32, which takes a quarter of the time of its own tanh.

    Exact to 1e-7, so that all but the smallest values, below 0.00002, round to the same.
    """
    if values.dtype != torch.bfloat16 or values.device.type != "cpu":
        return values.tanh()
    return values.float().mul_(2).sigmoid_().mul_(2).sub_(1).to(values.dtype)


def _tanh(inputs: Tensor, product: Tensor, _: Tensor) -> tuple[Tensor]:
    return (tanh(inputs + product),)


def _lstm(inputs: Tensor, product: Tensor, _: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    enter, forget, candidate, leave = (inputs + product).chunk(4, dim=-1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * tanh(candidate)
    return leave.sigmoid() * tanh(cell), cell


def _gru(inputs: Tensor, product: Tensor, hidden: Tensor) -> tuple[Tensor]:
    (reset, update, candidate), (reset_hh, update_hh, candidate_hh) = inputs.chunk(3, -1), product.chunk(3, -1)
    update = (update + update_hh).sigmoid()
    candidate = tanh(candidate + (reset + reset_hh).sigmoid() * candidate_hh)
    return (candidate + update * (hidden - candidate),)


CELLS: dict[str, Callable[..., tuple[Tensor, ...]]] = {"tanh": _tanh, "lstm": _lstm, "gru": _gru}
"""The equations of one step: what input and state contribute, both with their biases, and the old state, to the new."""
