"""A trained recurrent network one step at a time, for searches, where each step is a call of its own.

PyTorch's fused networks are made for whole sequences: for one step of many short states most of their time is in
preparing weights. Here a step is one product and the unit's own equations, and what the inputs contribute is computed
beforehand, since a search's inputs are the rows of one embedding.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from captioner.recurrent.units import Recurrent, State


class Cells:
    """Steps a one-directional `tanh`, `lstm` or `gru` network; nothing is trained through it.

    Args:
        recurrent: the network; its weights are shared.
        inputs: (rows, input_size), every input that will ever be read.
    """

    def __init__(self, recurrent: Recurrent, inputs: Tensor) -> None:
        network = recurrent.network
        assert isinstance(network, nn.RNNBase)
        self._cell = _CELLS[recurrent.unit]
        self._weights = network.all_weights
        weight, _, bias, _ = self._weights[0]
        self._projected = linear(inputs, weight, bias)

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
        for layer, (weight, recurrent_weight, bias, recurrent_bias) in enumerate(self._weights):
            if layer:
                projected = linear(made["h"][-1], weight, bias)
            old = [value[:, layer] for value in state.values()]
            product = linear(old[0], recurrent_weight, recurrent_bias)
            for name, value in zip(state, self._cell(projected, product, *old), strict=True):
                made[name].append(value)
        return made["h"][-1], {name: torch.stack(values, dim=1) for name, values in made.items()}


def _tanh(inputs: Tensor, product: Tensor, _: Tensor) -> tuple[Tensor]:
    return ((inputs + product).tanh(),)


def _lstm(inputs: Tensor, product: Tensor, _: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    enter, forget, candidate, leave = (inputs + product).chunk(4, dim=-1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * candidate.tanh()
    return leave.sigmoid() * cell.tanh(), cell


def _gru(inputs: Tensor, product: Tensor, hidden: Tensor) -> tuple[Tensor]:
    (reset, update, candidate), (of_reset, of_update, of_candidate) = inputs.chunk(3, -1), product.chunk(3, -1)
    update = (update + of_update).sigmoid()
    candidate = (candidate + (reset + of_reset).sigmoid() * of_candidate).tanh()
    return (candidate + update * (hidden - candidate),)


_CELLS: dict[str, Callable[..., tuple[Tensor, ...]]] = {"tanh": _tanh, "lstm": _lstm, "gru": _gru}
