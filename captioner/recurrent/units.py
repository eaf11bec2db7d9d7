"""One constructor for every recurrent network here: unit, depth, direction and dropout are configuration.

The units are PyTorch's fused `nn.RNN`, `nn.LSTM` and `nn.GRU`, and the same layers without a recurrent connection; a
whole sequence is one call, with no Python loop over time. Padding never reaches a state: either lengths are given, or
padding comes after everything that is read.
"""

from collections.abc import Callable
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from captioner.errors import ConfigError, DataError

Unit = Literal["mlp", "tanh", "lstm", "gru"]
State = dict[str, Tensor]
Hidden = Tensor | tuple[Tensor, ...]
Sequences = Tensor | PackedSequence

UNITS: tuple[str, ...] = get_args(Unit)
_FUSED: dict[str, Callable[..., nn.RNNBase]] = {"tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
_Run = Callable[[Sequences, Hidden | None], tuple[Sequences, Hidden]]
# where autocast makes a fused network float16 whatever it was asked for (cuDNN's, AutocastRNN.cpp)
_CASTS_TO_FLOAT16 = {"cuda"}
_RUN: dict[str, Callable[..., tuple[Tensor, ...]]] = {"tanh": torch.rnn_tanh, "lstm": torch.lstm, "gru": torch.gru}


class LockedDropout(nn.Module):
    """One dropout mask a sequence, shared by all time steps (variational dropout, Gal and Ghahramani, 2016).

    Args:
        probability: of dropping a channel.
    """

    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, sequences: Tensor) -> Tensor:
        """Drop channels of (..., steps, channels); the mask differs between sequences."""
        if not self.training or self.probability == 0:
            return sequences
        keep = 1 - self.probability
        # a mask over the steps too would cost more than the recurrent network: CPU random numbers are serial
        mask = sequences.new_empty(*sequences.shape[:-2], 1, sequences.shape[-1]).bernoulli_(keep)
        return sequences * (mask / keep)


class Recurrent(nn.Module):
    """A stacked recurrent network over sequences.

    Args:
        unit: `mlp` h_t = tanh(W x_t + b), which remembers nothing; `tanh` (Elman, 1990); `lstm` (Hochreiter and
            Schmidhuber, 1997, with the forget gate of Gers et al., 2000); or `gru` (Cho et al., 2014, in cuDNN's
            variant, where the reset gate multiplies W_hh h instead of h).
        input_size: width of each input.
        hidden_size: width of each state, in each direction.
        layers: how many networks are stacked, at least 1.
        dropout: between layers.
        bidirectional: read each sequence forwards and backwards; both states are given side by side.
        locked: keep the dropout between layers the same at all steps of a sequence (Gal and Ghahramani, 2016).
        weight_dropout: probability of dropping a weight of the recurrent matrices, for all steps of a call
            ("DropConnect", Merity et al., 2018).

    Raises:
        ConfigError: unknown unit, sizes or layers below 1, or a probability outside [0, 1).
    """

    def __init__(
        self,
        unit: str,
        input_size: int,
        hidden_size: int,
        layers: int = 1,
        dropout: float = 0.0,
        *,
        bidirectional: bool = False,
        locked: bool = False,
        weight_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if unit not in UNITS:
            raise ConfigError(f"unit: {unit!r} is none of {', '.join(UNITS)}.")
        if min(input_size, hidden_size, layers) < 1:
            raise ConfigError(f"sizes and layers must be at least 1, not {input_size}, {hidden_size} and {layers}.")
        for name, probability in {"dropout": dropout, "weight_dropout": weight_dropout}.items():
            if not 0 <= probability < 1:
                raise ConfigError(f"{name}: {probability} is no probability below 1; use 0 for none.")
        self.unit = unit
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.layers = layers
        self.directions = 2 if bidirectional else 1
        self.weight_dropout = weight_dropout
        self.between = LockedDropout(dropout) if locked else nn.Dropout(dropout)
        self.network: nn.RNNBase | nn.ModuleList
        if unit == "mlp":
            width = hidden_size * self.directions
            self.network = nn.ModuleList(nn.Linear(width if layer else input_size, width) for layer in range(layers))
        else:
            # PyTorch's own dropout draws a mask for every step; locked dropout is applied between layers instead
            self.network = _FUSED[unit](
                input_size,
                hidden_size,
                layers,
                batch_first=True,
                dropout=dropout if layers > 1 and not locked else 0.0,
                bidirectional=bidirectional,
            )
        self._initialise()

    def _initialise(self) -> None:
        """Initialise so that gradients do not vanish at first: orthogonal recurrent weights, forget gate bias 1."""
        for name, value in self.network.named_parameters():
            if "weight" in name:
                begin = nn.init.orthogonal_ if "weight_hh" in name else nn.init.xavier_uniform_
                for gate in value.split(self.hidden_size):
                    begin(gate)
            else:
                nn.init.zeros_(value)
                if self.unit == "lstm" and name.startswith("bias_ih"):
                    # forget gate bias 1 (Jozefowicz et al., 2015); PyTorch orders the gates i, f, g, o
                    nn.init.ones_(value[self.hidden_size : 2 * self.hidden_size])

    def initial_state(self, *batch: int, like: Tensor) -> State:
        """Zero states (*batch, layers * directions, hidden_size) by name, on the device and of the type of `like`."""
        names = ("h", "c") if self.unit == "lstm" else ("h",)
        return {name: like.new_zeros(*batch, self.layers * self.directions, self.hidden_size) for name in names}

    def forward(
        self, inputs: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run over whole sequences.

        Args:
            inputs: (batch, steps, input_size).
            state: to start from, as returned; zeros if None.
            lengths: (batch,) real steps of each sequence; without it every step is taken for real, which is right
                where padding comes last, the network reads forwards, and only earlier outputs are used.

        Returns:
            The last layer's states (batch, steps, hidden_size * directions), zero on padding, and the state after the
            last step that each direction reads: `h` (and `c` for an LSTM), each (batch, layers * directions,
            hidden_size), a layer's directions beside each other.

        Raises:
            DataError: no steps, lengths that do not fit, or values that are not numbers (looked for on a CPU only,
                where that does not wait for a device).
        """
        if inputs.shape[1] == 0:
            raise DataError("a recurrent network cannot read sequences of length 0; leave them out.")
        kind = inputs.device.type
        if kind in _CASTS_TO_FLOAT16 and torch.is_autocast_enabled(kind):
            # without a scaled loss, small gradients would become zero in float16
            with torch.autocast(kind, enabled=False):
                given = None if state is None else {name: value.float() for name, value in state.items()}
                return self(inputs.float(), given, lengths)
        packed = None if lengths is None else _pack(inputs, lengths)
        _check_finite(inputs if packed is None else packed.data)
        if self.unit == "mlp":
            return self._feed_forward(inputs, lengths)
        hidden = None if state is None else self._to_torch(state)
        # PyTorch's modules know neither locked dropout nor weight dropout
        special = self.weight_dropout or (isinstance(self.between, LockedDropout) and self.layers > 1)
        run: _Run = self._layer_by_layer if self.training and special else self.network
        outputs, hidden = run(inputs if packed is None else packed, hidden)
        if isinstance(outputs, PackedSequence):
            outputs, _ = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])
        return outputs, self._from_torch(hidden)

    def _layer_by_layer(self, inputs: Sequences, hidden: Hidden | None) -> tuple[Sequences, Hidden]:
        """Run as `self.network` does, one layer at a time, with locked dropout and weight dropout."""
        assert isinstance(self.network, nn.RNNBase)
        if hidden is None:
            batch = len(inputs) if isinstance(inputs, Tensor) else int(inputs.batch_sizes[0])
            hidden = self._to_torch(self.initial_state(batch, like=inputs.data))
        if isinstance(inputs, PackedSequence):
            hidden = _take(hidden, inputs.sorted_indices)
        ends = []
        for layer in range(self.layers):
            first = layer * self.directions
            # of each direction W_ih, W_hh, b_ih, b_hh
            weights = [
                dropout(weight, self.weight_dropout) if place == 1 else weight
                for direction in self.network.all_weights[first : first + self.directions]
                for place, weight in enumerate(direction)
            ]
            options = (_slice(hidden, first, self.directions), weights, True, 1, 0.0, True, self.directions == 2)
            inputs = self._drop(inputs) if layer else inputs
            if isinstance(inputs, PackedSequence):
                outputs, *end = _RUN[self.unit](inputs.data, inputs.batch_sizes, *options)
                inputs = inputs._replace(data=outputs)
            else:
                inputs, *end = _RUN[self.unit](inputs, *options, True)
            ends.append(end)
        joined = tuple(torch.cat(tensors) for tensors in zip(*ends, strict=True))
        hidden = joined if self.unit == "lstm" else joined[0]
        if isinstance(inputs, PackedSequence):
            hidden = _take(hidden, inputs.unsorted_indices)
        return inputs, hidden

    def _drop(self, inputs: Sequences) -> Sequences:
        if isinstance(inputs, Tensor):
            return self.between(inputs)
        padded, lengths = pad_packed_sequence(inputs, batch_first=True)
        return _pack(self.between(padded), lengths)

    def _feed_forward(self, inputs: Tensor, lengths: Tensor | None) -> tuple[Tensor, State]:
        assert isinstance(self.network, nn.ModuleList)
        steps, padding = inputs.shape[1], None
        last = torch.full((len(inputs),), steps - 1, device=inputs.device)
        if lengths is not None:
            last = lengths.to(inputs.device) - 1
            padding = (torch.arange(steps, device=inputs.device) > last[:, None])[..., None]
            inputs = inputs.masked_fill(padding, 0)
        outputs, ends = inputs, []
        rows = torch.arange(len(inputs), device=inputs.device)
        for place, layer in enumerate(self.network):
            outputs = torch.tanh(layer(self.between(outputs) if place else outputs))
            ends.append(outputs[rows, last, : self.hidden_size])
            if self.directions == 2:
                ends.append(outputs[:, 0, self.hidden_size :])
        return outputs if padding is None else outputs.masked_fill(padding, 0), {"h": torch.stack(ends, 1)}

    def _to_torch(self, state: State) -> Hidden:
        tensors = tuple(value.transpose(0, 1).contiguous() for value in state.values())
        return tensors if self.unit == "lstm" else tensors[0]

    def _from_torch(self, hidden: Hidden) -> State:
        tensors = hidden if isinstance(hidden, tuple) else (hidden,)
        return {name: value.transpose(0, 1) for name, value in zip(("h", "c"), tensors, strict=False)}


def _pack(inputs: Tensor, lengths: Tensor) -> PackedSequence:
    lengths = lengths.cpu()
    batch, steps = inputs.shape[:2]
    if lengths.shape != (batch,):
        raise DataError(f"lengths: {tuple(lengths.shape)} for {batch} sequences; give one length a sequence.")
    if int(lengths.min()) < 1:
        raise DataError(f"lengths: sequence {int(lengths.argmin())} is all padding; leave it out.")
    if int(lengths.max()) > steps:
        raise DataError(
            f"lengths: sequence {int(lengths.argmax())} has {int(lengths.max())} steps, but the inputs have {steps}."
        )
    return pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)


def _check_finite(inputs: Tensor) -> None:
    """Refuse NaN and infinity, at the cost of one sum; not on a GPU, where the check would wait for the device."""
    if inputs.device.type == "cpu" and not inputs.detach().sum().isfinite() and not inputs.isfinite().all():
        raise DataError(
            "the inputs of a recurrent network hold NaN or infinity; look for damaged features or a training that "
            "diverged."
        )


def _take(hidden: Hidden, sequences: Tensor | None) -> Hidden:
    """The states of some sequences, in that order; all if None."""
    if sequences is None:
        return hidden
    if isinstance(hidden, tuple):
        return tuple(value.index_select(1, sequences) for value in hidden)
    return hidden.index_select(1, sequences)


def _slice(hidden: Hidden, first: int, count: int) -> Hidden:
    """The states of some layers."""
    if isinstance(hidden, tuple):
        return tuple(value.narrow(0, first, count) for value in hidden)
    return hidden.narrow(0, first, count)
