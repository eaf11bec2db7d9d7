"""One constructor for every recurrent network here: unit, depth, direction and dropout are configuration.

The units are PyTorch's fused `nn.RNN`, `nn.LSTM` and `nn.GRU`; a whole sequence is one call, with no Python loop over
time. Padding never reaches a state: either lengths are given, or padding comes after everything that is read.
"""

from collections.abc import Callable
from typing import Literal

from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from captioner.errors import ConfigError

Unit = Literal["tanh", "lstm", "gru"]
State = dict[str, Tensor]

UNITS: dict[str, Callable[..., nn.RNNBase]] = {"tanh": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


class LockedDropout(nn.Module):
    """Dropout with one mask for all steps of a sequence (Gal and Ghahramani, 2016), so that no step restores a channel.

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
        unit: `tanh` (Elman, 1990), `lstm` (Hochreiter and Schmidhuber, 1997) or `gru` (Cho et al., 2014).
        input_size: width of each input.
        hidden_size: width of each state.
        layers: how many networks are stacked, at least 1.
        dropout: between layers.

    Raises:
        ConfigError: unknown unit, or sizes or layers below 1.
    """

    def __init__(self, unit: str, input_size: int, hidden_size: int, layers: int = 1, dropout: float = 0.0) -> None:
        super().__init__()
        if unit not in UNITS:
            raise ConfigError(f"unit: {unit!r} is none of {', '.join(UNITS)}.")
        if min(input_size, hidden_size, layers) < 1:
            raise ConfigError(f"sizes and layers must be at least 1, not {input_size}, {hidden_size} and {layers}.")
        self.unit = unit
        self.hidden_size = hidden_size
        self.network = UNITS[unit](
            input_size, hidden_size, layers, batch_first=True, dropout=dropout if layers > 1 else 0.0
        )
        self._initialise()

    def _initialise(self) -> None:
        """Orthogonal recurrent weights keep early gradients alive, and so does an LSTM that begins by remembering."""
        for name, value in self.network.named_parameters():
            if name.startswith("weight_hh"):
                for gate in value.split(self.hidden_size):
                    nn.init.orthogonal_(gate)
            elif name.startswith("weight_ih"):
                for gate in value.split(self.hidden_size):
                    nn.init.xavier_uniform_(gate)
            else:
                nn.init.zeros_(value)
                if self.unit == "lstm" and name.startswith("bias_ih"):
                    # forget gate bias 1 (Jozefowicz et al., 2015); PyTorch orders the gates i, f, g, o
                    nn.init.ones_(value[self.hidden_size : 2 * self.hidden_size])

    def initial_state(self, *batch: int, like: Tensor) -> State:
        """Zero states (*batch, layers, hidden_size), one tensor for each name, on the device and type of `like`."""
        names = ("h", "c") if self.unit == "lstm" else ("h",)
        return {name: like.new_zeros(*batch, self.network.num_layers, self.hidden_size) for name in names}

    def forward(
        self, inputs: Tensor, state: State | None = None, lengths: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run over whole sequences.

        Args:
            inputs: (batch, steps, input_size).
            state: to start from, as returned; zeros if None.
            lengths: (batch,) real steps of each sequence; without it every step is taken for real, which is right
                where padding comes last and only earlier outputs are used.

        Returns:
            The last layer's states (batch, steps, hidden_size), zero on padding, and the state after the last real
            step: `h` (and `c` for an LSTM), each (batch, layers, hidden_size).
        """
        hidden = None if state is None else self._to_torch(state)
        if lengths is None:
            outputs, hidden = self.network(inputs, hidden)
        else:
            packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
            packed_outputs, hidden = self.network(packed, hidden)
            outputs, _ = pad_packed_sequence(packed_outputs, batch_first=True, total_length=inputs.shape[1])
        return outputs, self._from_torch(hidden)

    def _to_torch(self, state: State) -> Tensor | tuple[Tensor, ...]:
        tensors = tuple(value.transpose(0, 1).contiguous() for value in state.values())
        return tensors if self.unit == "lstm" else tensors[0]

    def _from_torch(self, hidden: Tensor | tuple[Tensor, ...] | None) -> State:
        tensors = hidden if isinstance(hidden, tuple) else (hidden,)
        return {name: value.transpose(0, 1) for name, value in zip(("h", "c"), tensors, strict=False)}  # type: ignore[union-attr]
