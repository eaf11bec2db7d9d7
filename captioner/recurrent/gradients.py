"""How far gradients reach back in time: dh_t/dh_k exactly or estimated, its bound, and dE_t/dW split by k.

After Bengio et al. (1994) and Pascanu et al. (2012). For h_t = W phi(h_{t-1}) + W_x x_t an error at t has

    dE_t/dW = sum over k <= t of dE_t/dh_t dh_t/dh_k d+h_k/dW
    dh_t/dh_k = product over k < j <= t of dh_j/dh_{j-1}

where d+ takes h_{k-1} for fixed. Every factor has norm at most gamma_W gamma_phi, the largest singular value of W times
the largest slope of phi, so that lag t - k costs at worst a power of their product: below 1 gradients must vanish,
above 1 they may explode. LSTM and GRU have no such bound; their products are measured here like any other.

In a stack, a change of one layer's state at k reaches the same layer's state at t through that layer alone, and so it
does in each direction of a bidirectional network. So everything is measured layer by layer, in float64.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from captioner.errors import DataError
from captioner.recurrent.capacity import require_memory
from captioner.recurrent.units import Recurrent, State

GATES = {"mlp": (), "tanh": ("h",), "lstm": ("input", "forget", "cell", "output"), "gru": ("reset", "update", "new")}
_STEEPEST_TANH = 1.0


@dataclass(frozen=True)
class Layer:
    """One layer of a network that reads one way, together with what it reads.

    Attributes:
        name: such as `layer 2` or `layer 1 backward`.
        network: its own one-layer network, a float64 copy.
        inputs: (batch, steps, width), in the order in which they are read.
        lengths: (batch,), the real steps of each sequence.
        begin: the state before the first step, (batch, 1, hidden_size) each.
    """

    name: str
    network: Recurrent
    inputs: Tensor
    lengths: Tensor
    begin: State


@dataclass(frozen=True)
class Norms:
    """Norms of dh_t/dh_k (and, for an LSTM, dc_t/dc_k) from each sequence's last step t, by lag t - k.

    Attributes:
        frobenius: by state `h` or `c`, (batch, steps); NaN for lags beyond a sequence's first step.
        spectral: the same of the largest singular value; None where the norms are estimates.
    """

    frobenius: dict[str, Tensor]
    spectral: dict[str, Tensor] | None


def layers_of(
    network: Recurrent, inputs: Tensor, state: State | None = None, lengths: Tensor | None = None
) -> list[Layer]:
    """Take a network apart, with what each layer reads when the network reads `inputs`.

    Args:
        network: of any unit, depth and direction; what it drops in training is not dropped here.
        inputs: (batch, steps, input_size).
        state: before the first step; zeros if None.
        lengths: (batch,) real steps of each sequence; all if None.

    Raises:
        DataError: as `Recurrent.forward`.
    """
    batch, steps = inputs.shape[:2]
    inputs = inputs.detach().double()
    if lengths is None:
        lengths = torch.full((batch,), steps)
    lengths = lengths.to(inputs.device)
    if state is None:
        state = network.initial_state(batch, like=inputs)
    layers: list[Layer] = []
    for depth in range(network.layers):
        outputs = []
        for direction in range(network.directions):
            name = f"layer {depth + 1}" + (" backward" if direction else " forward" if network.directions == 2 else "")
            single = _single(network, depth, direction, inputs.shape[-1])
            place = slice(len(layers), len(layers) + 1)
            begin = {key: value[:, place].detach().double() for key, value in state.items()}
            read = reverse(inputs, lengths) if direction else inputs
            layers.append(Layer(name, single, read, lengths, begin))
            states = single(read, begin, lengths)[0].detach()
            outputs.append(reverse(states, lengths) if direction else states)
        inputs = torch.cat(outputs, dim=-1)
    return layers


def gradient_norms(layer: Layer, samples: int | None = None, generator: torch.Generator | None = None) -> Norms:
    """Norms of the Jacobian from each sequence's last state back to every earlier one.

    Args:
        layer: as `layers_of` gives it.
        samples: None computes whole Jacobians. A number estimates Frobenius norms from as many random combinations of
            the last state's components, each pulled back through time like one gradient.
        generator: of the random combinations.

    Raises:
        DataError: memory does not suffice for so many steps.
    """
    width = layer.network.hidden_size
    rows = width if samples is None else min(samples, width)
    check_memory(layer, rows * len(layer.begin))
    if samples is None:
        probes = torch.eye(width, dtype=torch.float64)
    else:  # orthonormal, so that as many samples as there are components give the norm itself
        drawn = torch.randn(width, rows, dtype=torch.float64, generator=generator)
        probes = torch.linalg.qr(drawn).Q.T
    batch, steps = layer.inputs.shape[:2]
    nothing = layer.inputs.new_full((batch, steps), torch.nan)
    frobenius = {name: nothing.clone() for name in layer.begin}
    spectral = {name: nothing.clone() for name in layer.begin}
    for lag, products in enumerate(jacobian_products(layer, probes.to(layer.inputs.device))):
        real = layer.lengths > lag
        for place, name in enumerate(layer.begin):
            block = products[name][place * rows : (place + 1) * rows, real].transpose(0, 1)
            frobenius[name][real, lag] = torch.linalg.matrix_norm(block) * (width / rows) ** 0.5
            if samples is None:
                spectral[name][real, lag] = torch.linalg.matrix_norm(block, 2)
    return Norms(frobenius, spectral if samples is None else None)


def jacobian_products(layer: Layer, probes: Tensor) -> Iterator[State]:
    """Pull combinations of each sequence's last state back through time, all in one batch.

    Args:
        layer: as `layers_of` gives it.
        probes: (rows, hidden_size), the combinations of each state's components.

    Yields:
        for lag 0, 1, ... the gradient of every combination with respect to the state that many steps earlier, by state
        (rows * states, batch, hidden_size): the rows of `h`, then (for an LSTM) those of `c`. With the identity for
        probes that is the Jacobian. Sequences that are shorter give meaningless values at lags they do not have.
    """
    states = _states(layer)
    batch, names, rows = len(layer.inputs), list(layer.begin), len(probes)
    each = torch.arange(batch, device=layer.inputs.device)
    products = {}
    for place, name in enumerate(names):
        products[name] = probes.new_zeros(rows * len(names), batch, probes.shape[1])
        products[name][place * rows : (place + 1) * rows] = probes[:, None]
    yield products
    for lag in range(layer.inputs.shape[1] - 1):
        step = (layer.lengths - 1 - lag).clamp(min=0)
        before = {name: states[name][each, step].requires_grad_() for name in names}
        after = _step(layer.network, layer.inputs[each, step], before)
        pulled = torch.autograd.grad(
            [after[name] for name in names],
            [before[name] for name in names],
            [products[name] for name in names],
            is_grads_batched=True,
            allow_unused=True,
        )
        # an mlp does not use its state
        products = {n: torch.zeros_like(products[n]) if p is None else p for n, p in zip(names, pulled, strict=True)}
        yield products


def split_gradient(layer: Layer, output_gradients: Tensor) -> Iterator[dict[str, Tensor]]:
    """Split the gradient of an error with respect to a layer's parameters by the step at which they were used.

    Args:
        layer: as `layers_of` gives it.
        output_gradients: (batch, steps, hidden_size), gradient of the error with respect to the layer's outputs, in the
            order in which it reads. With an error at one step t only, the shares are dE_t/dh_t dh_t/dh_k d+h_k/dW.

    Yields:
        from the last step to the first: by the parameter's name in PyTorch (`weight_hh_l0` ...) this step's share,
        summed over sequences. The shares of all steps add up to the gradient.
    """
    states, names = _states(layer), list(layer.begin)
    parameters = dict(layer.network.network.named_parameters())
    gradient = {name: torch.zeros_like(layer.begin[name][:, 0]) for name in names}
    for step in reversed(range(layer.inputs.shape[1])):
        real = (layer.lengths > step)[:, None]
        gradient["h"] = torch.where(real, gradient["h"] + output_gradients[:, step], 0)
        before = {name: states[name][:, step].requires_grad_() for name in names}
        after = _step(layer.network, layer.inputs[:, step], before)
        found = torch.autograd.grad(
            [after[name] for name in names],
            [before[name] for name in names] + list(parameters.values()),
            [gradient[name] for name in names],
            materialize_grads=True,
        )
        gradient = dict(zip(names, found, strict=False))
        yield dict(zip(parameters, found[len(names) :], strict=True))


def largest_singular_values(layer: Layer) -> dict[str, float]:
    """gamma_W: the largest singular value of each gate's recurrent weight; a tanh network has one, `h`, an mlp none."""
    gates = GATES[layer.network.unit]
    if not gates:
        return {}
    weight = layer.network.network.get_parameter("weight_hh_l0").detach()
    values = torch.linalg.matrix_norm(weight.view(len(gates), -1, layer.network.hidden_size), 2)
    return dict(zip(gates, values.tolist(), strict=True))


def bound(layer: Layer) -> Tensor | None:
    """(gamma_W gamma_phi)^lag, which no spectral norm of a tanh network exceeds; (steps,). None for gated units."""
    if layer.network.unit != "tanh":
        return None
    factor = largest_singular_values(layer)["h"] * _STEEPEST_TANH
    return torch.tensor(factor, dtype=torch.float64) ** torch.arange(layer.inputs.shape[1])


def spectral_radius(weight: Tensor) -> float:
    """The largest absolute eigenvalue of a square matrix."""
    return float(torch.linalg.eigvals(weight.detach().double()).abs().max())


@torch.no_grad()
def set_spectral_radius(network: Recurrent, radius: float) -> None:
    """Scale every recurrent matrix, each gate's by itself, to a spectral radius.

    Raises:
        DataError: a matrix has no eigenvalue but zero.
    """
    for name, weight in network.network.named_parameters():
        if "weight_hh" not in name:
            continue
        for gate in weight.split(network.hidden_size):
            found = spectral_radius(gate)
            if found == 0:
                raise DataError(f"{name}: has spectral radius 0, which cannot be scaled to {radius}.")
            gate *= radius / found


def check_memory(layer: Layer, rows: int) -> None:
    """Raise if memory does not suffice for inputs and states of all steps, and `rows` gradients of one step.

    Raises:
        DataError: it does not fit; the message says how many steps would.
    """
    batch, steps, width = layer.inputs.shape
    states = len(layer.begin) * layer.network.hidden_size
    gates = max(1, len(GATES[layer.network.unit])) * layer.network.hidden_size
    require_memory(
        each_step=8 * batch * (2 * width + 3 * states),
        besides=8 * batch * rows * 3 * (states + gates),
        steps=steps,
        what="gradients",
        device=layer.inputs.device,
    )


def reverse(sequences: Tensor, lengths: Tensor) -> Tensor:
    """Sequences (batch, steps, channels) as a backward layer reads them: real steps in opposite order, then padding."""
    steps = torch.arange(sequences.shape[1], device=sequences.device)
    places = torch.where(steps < lengths[:, None], lengths[:, None] - 1 - steps, steps)
    return sequences.gather(1, places[..., None].expand_as(sequences))


def _single(network: Recurrent, depth: int, direction: int, width: int) -> Recurrent:
    """A float64 copy of one layer in one direction."""
    hidden, weights = network.hidden_size, network.network.state_dict()
    single = Recurrent(network.unit, width, hidden).to(next(network.parameters()).device, torch.float64).eval()
    if network.unit == "mlp":
        half = slice(direction * hidden, (direction + 1) * hidden)
        single.network.load_state_dict({f"0.{kind}": weights[f"{depth}.{kind}"][half] for kind in ("weight", "bias")})
    else:
        suffix, kinds = f"_l{depth}" + "_reverse" * direction, ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        single.network.load_state_dict({f"{kind}_l0": weights[kind + suffix] for kind in kinds})
    return single


@torch.no_grad()
def _states(layer: Layer) -> State:
    """The states before each step, (batch, steps, hidden_size)."""
    state = {name: value[:, 0] for name, value in layer.begin.items()}
    kept: dict[str, list[Tensor]] = {name: [value] for name, value in state.items()}
    for step in range(layer.inputs.shape[1] - 1):
        state = _step(layer.network, layer.inputs[:, step], state)
        for name, value in state.items():
            kept[name].append(value)
    return {name: torch.stack(values, dim=1) for name, values in kept.items()}


def _step(network: Recurrent, inputs: Tensor, state: State) -> State:
    """States (batch, hidden_size) after reading inputs (batch, width)."""
    # cuDNN's recurrent networks have no batched backward pass
    with torch.backends.cudnn.flags(enabled=False):
        _, new = network(inputs[:, None], {name: value[:, None] for name, value in state.items()})
    return {name: value[:, 0] for name, value in new.items()}
