import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.errors import DataError
from captioner.recurrent import capacity
from captioner.recurrent.gradients import (
    bound,
    gradient_norms,
    jacobian_products,
    largest_singular_values,
    layers_of,
    set_spectral_radius,
    spectral_radius,
    split_gradient,
)
from captioner.recurrent.units import UNITS, Recurrent

RECURRENT = ("tanh", "lstm", "gru")


def make(unit, hidden=4, layers=1, **options):
    torch.manual_seed(1)
    network = Recurrent(unit, 3, hidden, layers, **options).double()
    with torch.no_grad():
        for value in network.parameters():
            value += 0.2 * torch.randn_like(value)
    return network


def states_after(layer, row, start, begin, network=None):
    """h and c side by side after reading a sequence from `start` on, beginning from h and c side by side."""
    length = int(layer.lengths[row])
    state = {
        n: part.view(1, 1, -1) for n, part in zip(layer.begin, begin.split(layer.network.hidden_size), strict=True)
    }
    if start < length:
        _, state = (network or layer.network)(layer.inputs[row : row + 1, start:length], state)
    return torch.cat([value.flatten() for value in state.values()])


def state_before(layer, row, step):
    state = {name: value[row : row + 1] for name, value in layer.begin.items()}
    if step:
        _, state = layer.network(layer.inputs[row : row + 1, :step], state)
    return torch.cat([value.flatten() for value in state.values()]).detach()


def differences(function, point, width=1e-5):
    """Jacobian (outputs, inputs) by central differences."""
    columns = []
    for place in range(len(point)):
        change = torch.zeros_like(point)
        change[place] = width
        columns.append((function(point + change) - function(point - change)) / (2 * width))
    return torch.stack(columns, dim=1).detach()


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("options", [{}, {"layers": 2, "bidirectional": True}])
def test_norms_agree_with_finite_differences(unit, options):
    inputs, lengths, width = torch.randn(2, 6, 3).double(), torch.tensor([6, 4]), 4
    for layer in layers_of(make(unit, **options), inputs, lengths=lengths):
        norms = gradient_norms(layer)
        for row, length in enumerate(lengths.tolist()):
            for lag in range(length):
                step = length - 1 - lag  # the state after this step is the one before the next
                jacobian = differences(
                    lambda begin, row=row, step=step, layer=layer: states_after(layer, row, step + 1, begin),
                    state_before(layer, row, step + 1),
                )
                for place, name in enumerate(layer.begin):
                    part = slice(place * width, (place + 1) * width)
                    block = jacobian[part, part]
                    assert norms.frobenius[name][row, lag] == pytest.approx(float(block.norm()), abs=1e-6)
                    expected = float(torch.linalg.matrix_norm(block, 2))
                    assert norms.spectral[name][row, lag] == pytest.approx(expected, abs=1e-6)
            assert norms.frobenius["h"][row, length:].isnan().all()


@pytest.mark.parametrize("unit", RECURRENT)
def test_layers_of_a_network_read_what_the_network_reads(unit):
    network, inputs, lengths = make(unit, layers=2, bidirectional=True), torch.randn(2, 5, 3).double(), [5, 3]
    state = {name: torch.randn(2, 4, 4).double() for name in network.initial_state(2, like=inputs)}
    last = layers_of(network, inputs, state, torch.tensor(lengths))[-2:]
    assert [layer.name for layer in last] == ["layer 2 forward", "layer 2 backward"]
    expected = network(inputs, state, torch.tensor(lengths))[0]
    for row, length in enumerate(lengths):
        both = [layer.network(layer.inputs, layer.begin, layer.lengths)[0][row, :length] for layer in last]
        torch.testing.assert_close(torch.cat([both[0], both[1].flip(0)], -1), expected[row, :length])


@pytest.mark.parametrize("unit", UNITS)
def test_an_error_s_gradient_split_by_steps_agrees_with_finite_differences_and_sums_to_autograd_s(unit):
    network, steps = make(unit, hidden=2), 4
    inputs, weights = torch.randn(2, steps, 3).double(), torch.randn(2, steps, 2).double()
    parameters = dict(network.network.named_parameters())

    def error(changed, at_step):
        """With some parameters changed at one step only."""
        state, total = network.initial_state(2, like=inputs), 0
        for step in range(steps):
            used = {
                f"network.{name}": value for name, value in (parameters | (changed if step == at_step else {})).items()
            }
            read = (inputs[:, step : step + 1], state)
            outputs, state = torch.func.functional_call(network, used, read)
            total = total + (outputs[:, 0] ** 2 * weights[:, step]).sum()
        return total.reshape(1)

    states = network(inputs)[0]
    total = torch.autograd.grad((states**2 * weights).sum(), list(parameters.values()))
    shares = list(split_gradient(layers_of(network, inputs)[0], (2 * states * weights).detach()))[::-1]
    for (name, value), whole in zip(parameters.items(), total, strict=True):
        torch.testing.assert_close(sum(share[name] for share in shares), whole)
        for step, share in enumerate(shares):
            expected = differences(
                lambda flat, name=name, value=value, step=step: error({name: flat.view_as(value)}, step),
                value.detach().flatten(),
            )
            torch.testing.assert_close(share[name].flatten(), expected[0], atol=1e-6, rtol=0)


def test_padding_has_no_share_of_a_gradient():
    network, lengths = make("lstm"), torch.tensor([2, 5])
    inputs, weights = torch.randn(2, 5, 3).double(), torch.randn(2, 5, 4).double()
    states = network(inputs, lengths=lengths)[0]
    expected = torch.autograd.grad((states * weights).sum(), network.network.weight_hh_l0)[0]
    layer = layers_of(network, inputs, lengths=lengths)[0]
    torch.testing.assert_close(sum(share["weight_hh_l0"] for share in split_gradient(layer, weights)), expected)


@settings(max_examples=25)
@given(radius=st.floats(0.1, 3), seed=st.integers(0, 99), normal=st.booleans())
def test_no_gradient_of_a_tanh_network_exceeds_its_bound(radius, seed, normal):
    torch.manual_seed(seed)
    network = Recurrent("tanh", 3, 6)
    if normal:  # not orthogonal: the singular values exceed the spectral radius
        torch.nn.init.normal_(network.network.weight_hh_l0)
    set_spectral_radius(network, radius)
    layer = layers_of(network, torch.randn(2, 12, 3))[0]
    assert bound(layer)[1] == pytest.approx(largest_singular_values(layer)["h"])
    assert (gradient_norms(layer).spectral["h"] <= bound(layer) * (1 + 1e-9)).all()


def test_the_bound_is_reached_where_phi_is_not_bent():
    network = Recurrent("tanh", 3, 6)
    set_spectral_radius(network, 0.5)
    layer = layers_of(network, torch.zeros(1, 20, 3))[0]
    torch.testing.assert_close(gradient_norms(layer).spectral["h"][0], bound(layer), rtol=1e-5, atol=0)


@pytest.mark.parametrize("unit", RECURRENT)
def test_estimates_come_near_the_norm_and_reach_it_with_all_components(unit):
    layer = layers_of(make(unit, hidden=48), torch.randn(4, 30, 3))[0]
    exact = gradient_norms(layer).frobenius
    estimated = gradient_norms(layer, 16, torch.Generator().manual_seed(0))
    assert estimated.spectral is None
    for name, norms in exact.items():
        ratio = estimated.frobenius[name] / norms
        assert 0.5 < ratio.min() < ratio.max() < 2
        torch.testing.assert_close(gradient_norms(layer, 48).frobenius[name], norms)


def test_long_lags_do_not_underflow_to_zero_as_single_precision_does():
    network = Recurrent("tanh", 3, 8)
    set_spectral_radius(network, 0.5)
    norms = gradient_norms(layers_of(network, torch.zeros(1, 200, 3))[0], samples=2).frobenius["h"]
    assert 0 < norms[0, -1] < 1e-45


@pytest.mark.parametrize("unit", RECURRENT)
def test_every_gate_gets_the_spectral_radius(unit):
    network = Recurrent(unit, 3, 6, 2, bidirectional=True)
    set_spectral_radius(network, 1.5)
    for name, weight in network.network.named_parameters():
        if "weight_hh" in name:
            assert [spectral_radius(gate) for gate in weight.split(6)] == pytest.approx([1.5] * (len(weight) // 6))


def test_a_weight_of_zeros_has_no_spectral_radius_to_set():
    network = Recurrent("tanh", 3, 6)
    torch.nn.init.zeros_(network.network.weight_hh_l0)
    with pytest.raises(DataError, match="weight_hh_l0: has spectral radius 0"):
        set_spectral_radius(network, 1.0)


def test_only_a_tanh_network_has_a_bound_and_only_gates_singular_values():
    layers = {unit: layers_of(Recurrent(unit, 3, 6), torch.randn(1, 3, 3))[0] for unit in UNITS}
    assert [unit for unit, layer in layers.items() if bound(layer) is not None] == ["tanh"]
    assert list(largest_singular_values(layers["lstm"])) == ["input", "forget", "cell", "output"]
    assert largest_singular_values(layers["mlp"]) == {}
    assert largest_singular_values(layers["tanh"])["h"] == pytest.approx(1, abs=1e-5)


def test_more_steps_than_memory_allows_are_refused_before_they_are_tried(monkeypatch):
    layer = layers_of(Recurrent("lstm", 3, 32), torch.randn(1, 1000, 3))[0]
    monkeypatch.setattr(capacity, "free_memory", lambda device: 1_000_000)
    with pytest.raises(DataError, match=r"over 1,000 steps need about .* MB are free; take at most \d+ steps"):
        gradient_norms(layer, samples=4)


def test_the_first_products_are_the_probes():
    layer = layers_of(Recurrent("lstm", 3, 4), torch.randn(2, 3, 3))[0]
    first = next(jacobian_products(layer, torch.eye(4).double()))
    assert {name: tuple(value.shape) for name, value in first.items()} == {"h": (8, 2, 4), "c": (8, 2, 4)}
    assert not first["h"][4:].any()
    assert not first["c"][:4].any()
