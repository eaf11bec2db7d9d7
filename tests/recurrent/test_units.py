import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import sigmoid, tanh

from captioner.errors import ConfigError, DataError
from captioner.recurrent.units import UNITS, LockedDropout, Recurrent

units = st.sampled_from(UNITS)


def make(unit, layers=1, seed=0, **options):
    torch.manual_seed(seed)
    network = Recurrent(unit, 3, 5, layers, **options).double().eval()
    with torch.no_grad():
        for value in network.parameters():  # biases begin at zero, where they could be forgotten
            value += 0.1 * torch.randn_like(value)
    return network


@settings(max_examples=40)
@given(
    unit=units,
    layers=st.integers(1, 3),
    bidirectional=st.booleans(),
    lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5),
    padding=st.sampled_from([0.0, 1e6, float("nan")]),
    seed=st.integers(0, 99),
)
def test_a_sequence_does_not_depend_on_what_it_is_batched_with(unit, layers, bidirectional, lengths, padding, seed):
    network = make(unit, layers, bidirectional=bidirectional)
    torch.manual_seed(seed)
    inputs = torch.randn(len(lengths), max(lengths), 3, dtype=torch.float64)
    for row, length in enumerate(lengths):
        inputs[row, length:] = padding
    states, last = network(inputs, lengths=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone, end = network(inputs[row : row + 1, :length])
        torch.testing.assert_close(states[row, :length], alone[0])
        assert not states[row, length:].any()
        for name in end:
            torch.testing.assert_close(last[name][row], end[name][0])


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("layers", [1, 2])
def test_steps_one_by_one_equal_the_whole_sequence(unit, layers):
    network = make(unit, layers)
    inputs = torch.randn(2, 6, 3, dtype=torch.float64)
    whole, end = network(inputs)
    state = network.initial_state(2, like=inputs)
    for step in range(6):
        outputs, state = network(inputs[:, step : step + 1], state)
        torch.testing.assert_close(outputs[:, 0], whole[:, step])
    for name in end:
        torch.testing.assert_close(state[name], end[name])


def of(network, layer=0, suffix=""):
    """W_x, W_h and the summed bias of a layer, each gate's rows apart."""
    get = dict(network.network.named_parameters())
    bias = get[f"bias_ih_l{layer}{suffix}"] + get[f"bias_hh_l{layer}{suffix}"]
    return [value.split(5) for value in (get[f"weight_ih_l{layer}{suffix}"], get[f"weight_hh_l{layer}{suffix}"], bias)]


def step_mlp(network, x, h, c):
    layer = network.network[0]
    return tanh(layer.weight @ x + layer.bias), c


def step_tanh(network, x, h, c):
    """The deck's h_t = W_hh phi(h_{t-1}) + W_hx x_t, seen through phi.

    There h is the sum before the nonlinearity, and phi is applied where a state is used: here and in
    y_t = W_y phi(h_t). With a_t = phi(h_t) they read a_t = phi(W_hh a_{t-1} + W_hx x_t) and y_t = W_y a_t, and a is
    what PyTorch calls h.
    """
    (w_x,), (w_h,), (b,) = of(network)
    return tanh(w_h @ h + w_x @ x + b), c


def step_lstm(network, x, h, c):
    """Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000)."""
    w_x, w_h, b = of(network)
    i, f, g, o = (w_x[k] @ x + w_h[k] @ h + b[k] for k in range(4))
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


def step_gru(network, x, h, c):
    """Cho et al. (2014), but the reset gate multiplies W_hn h (and its bias), not h; their z is what is kept of h."""
    w_x, w_h, b = of(network)
    b_hn = network.network.bias_hh_l0[10:]
    r, z = (sigmoid(w_x[k] @ x + w_h[k] @ h + b[k]) for k in range(2))
    n = tanh(w_x[2] @ x + (b[2] - b_hn) + r * (w_h[2] @ h + b_hn))
    return z * h + (1 - z) * n, c


STEPS = {"mlp": step_mlp, "tanh": step_tanh, "lstm": step_lstm, "gru": step_gru}


def written_out(network, inputs):
    """Last layer's states of one layer, step by step from the equations; (batch, steps, 5)."""
    rows = []
    for sequence in inputs:
        h = c = torch.zeros(5, dtype=inputs.dtype)
        states = []
        for x in sequence:
            h, c = STEPS[network.unit](network, x, h, c)
            states.append(h)
        rows.append(torch.stack(states))
    return torch.stack(rows)


def gradients(network, states, inputs):
    weights = torch.linspace(-1, 1, states.numel(), dtype=states.dtype).view_as(states)
    return torch.autograd.grad((weights * states.square()).sum(), [inputs, *network.parameters()])


@pytest.mark.parametrize("unit", UNITS)
def test_the_units_are_their_equations_forward_and_gradient(unit):
    network = make(unit)
    inputs = torch.randn(2, 9, 3, dtype=torch.float64, requires_grad=True)
    states, expected = network(inputs)[0], written_out(network, inputs)
    torch.testing.assert_close(states, expected, atol=1e-10, rtol=0)
    for found, wanted in zip(gradients(network, states, inputs), gradients(network, expected, inputs), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-10, rtol=0)


def test_the_tanh_unit_is_the_deck_s_recurrence_with_phi_before_the_product():
    network = make("tanh")
    inputs, w_y = torch.randn(1, 9, 3, dtype=torch.float64), torch.randn(2, 5, dtype=torch.float64)
    states = network(inputs)[0][0]
    (w_hx,), (w_hh,), (b,) = of(network)
    h = torch.zeros(5, dtype=torch.float64)  # phi(0) = 0 is the first state on both sides
    for t, x in enumerate(inputs[0]):
        h = w_hh @ tanh(h) + w_hx @ x + b
        torch.testing.assert_close(states[t], tanh(h), atol=1e-10, rtol=0)
        torch.testing.assert_close(w_y @ states[t], w_y @ tanh(h), atol=1e-10, rtol=0)


@pytest.mark.parametrize("unit", ["tanh", "lstm", "gru"])
def test_stacked_and_bidirectional_networks_are_composed_of_the_same_layers(unit):
    network, inputs = make(unit, 2, bidirectional=True), torch.randn(2, 6, 3, dtype=torch.float64)
    states = inputs
    for layer in range(2):
        both = []
        for suffix in ("", "_reverse"):
            single = Recurrent(unit, states.shape[-1], 5).double()
            single.network.load_state_dict(
                {
                    name: network.network.state_dict()[f"{name}".replace("l0", f"l{layer}{suffix}")]
                    for name in single.network.state_dict()
                }
            )
            read = states.flip(1) if suffix else states
            out = single(read)[0]
            both.append(out.flip(1) if suffix else out)
        states = torch.cat(both, -1)
    torch.testing.assert_close(network(inputs)[0], states)


def test_an_mlp_remembers_nothing_and_a_recurrent_network_does():
    inputs = torch.randn(1, 4, 3, dtype=torch.float64)
    changed = inputs.clone()
    changed[:, 0] += 1
    for unit in UNITS:
        network = make(unit)
        same = torch.equal(network(inputs)[0][:, 1:], network(changed)[0][:, 1:])
        assert same == (unit == "mlp")


def test_recurrent_weights_begin_orthogonal_and_an_lstm_begins_by_remembering():
    network = Recurrent("lstm", 4, 6, bidirectional=True).network
    for weight in (network.weight_hh_l0, network.weight_hh_l0_reverse):
        for gate in weight.detach().split(6):
            torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0)
    for suffix in ("", "_reverse"):
        bias = getattr(network, f"bias_ih_l0{suffix}") + getattr(network, f"bias_hh_l0{suffix}")
        assert bias.tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12


@pytest.mark.parametrize("unit", ["tanh", "lstm", "gru"])
@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 6, 5])])
def test_training_with_locked_and_weight_dropout_near_zero_is_the_plain_network(unit, lengths):
    inputs = torch.randn(3, 6, 3, dtype=torch.float64)
    state = {name: torch.randn(3, 4, 5, dtype=torch.float64) for name in ("h", "c")[: 1 + (unit == "lstm")]}
    plain = make(unit, 2, bidirectional=True)
    special = make(unit, 2, bidirectional=True, locked=True, weight_dropout=1e-12).train()
    for begin in (None, state):
        for found, wanted in zip(special(inputs, begin, lengths), plain(inputs, begin, lengths), strict=True):
            torch.testing.assert_close(found, wanted)


def test_weight_dropout_changes_recurrent_weights_only_in_training_and_leaves_them_as_they_are():
    network = make("lstm", weight_dropout=0.5)
    inputs, before = torch.randn(2, 4, 3, dtype=torch.float64), network.network.weight_hh_l0.clone()
    torch.testing.assert_close(network(inputs)[0], make("lstm")(inputs)[0])
    states = network.train()(inputs)[0]
    # the first state comes from zeros, which recurrent weights do not change
    torch.testing.assert_close(states[:, 0], make("lstm")(inputs)[0][:, 0])
    assert not torch.allclose(states[:, 1:], make("lstm")(inputs)[0][:, 1:])
    assert torch.equal(network.network.weight_hh_l0, before)
    states.sum().backward()
    dropped = network.network.weight_hh_l0.grad == 0
    assert 0.3 < dropped.double().mean() < 0.7


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("lengths", [None, torch.tensor([4, 7])])
def test_dropout_between_layers_is_locked_where_asked_for(unit, lengths):
    torch.manual_seed(0)
    constant, network = torch.ones(2, 7, 3).double(), make(unit, 2, dropout=0.5, locked=True).train()
    seen = []
    network.between.register_forward_hook(lambda _, before, after: seen.append(after == 0))
    network(constant, lengths=lengths)
    assert len(seen) == 1
    for row, length in enumerate([7, 7] if lengths is None else [7, 4]):  # packed sequences: longest first
        mask = seen[0][row if lengths is None else 1 - row, :length]
        assert (mask == mask[:1]).all()
        assert 0 < mask.double().mean() < 1


def test_an_unknown_unit_names_the_choices():
    with pytest.raises(ConfigError, match="'lstn' is none of mlp, tanh, lstm, gru"):
        Recurrent("lstn", 2, 2)


def test_zero_layers_and_impossible_dropout_are_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        Recurrent("gru", 2, 2, layers=0)
    with pytest.raises(ConfigError, match=r"weight_dropout: 1\.0"):
        Recurrent("gru", 2, 2, weight_dropout=1.0)


@pytest.mark.parametrize("unit", UNITS)
def test_what_cannot_be_read_is_said(unit):
    network, inputs = make(unit), torch.zeros(2, 4, 3, dtype=torch.float64)
    with pytest.raises(DataError, match="length 0"):
        network(inputs[:, :0])
    with pytest.raises(DataError, match="sequence 1 is all padding"):
        network(inputs, lengths=torch.tensor([4, 0]))
    with pytest.raises(DataError, match="sequence 0 has 5 steps, but the inputs have 4"):
        network(inputs, lengths=torch.tensor([5, 4]))
    with pytest.raises(DataError, match="one length a sequence"):
        network(inputs, lengths=torch.tensor([4]))
    for value in (float("nan"), float("inf")):
        inputs[1, 2, 0] = value
        with pytest.raises(DataError, match="NaN or infinity"):
            network(inputs)


def test_large_inputs_whose_sum_overflows_are_read():
    network = make("tanh").float()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert network(torch.full((1, 2, 3), 3e38))[0].isfinite().all()


def test_locked_dropout_drops_the_same_channels_at_every_step_and_none_in_evaluation():
    torch.manual_seed(0)
    dropout = LockedDropout(0.5)
    dropped = dropout(torch.ones(4, 7, 50))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped == dropped[:, :1]).all()
    assert not torch.equal(dropped[0], dropped[1])
    assert torch.equal(dropout.eval()(torch.ones(4, 7, 50)), torch.ones(4, 7, 50))


@pytest.mark.parametrize("unit", UNITS)
def test_autocast_that_would_make_a_network_float16_leaves_it_in_float32(unit, monkeypatch):
    monkeypatch.setattr("captioner.recurrent.units._CASTS_TO_FLOAT16", {"cpu"})
    network = make(unit, layers=2).float()
    inputs = torch.randn(2, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        states, last = network(inputs.bfloat16(), lengths=torch.tensor([4, 2]))
        again, _ = network(inputs.bfloat16(), {name: value.bfloat16() for name, value in last.items()})
    assert states.dtype == again.dtype == torch.float32
    assert torch.equal(states, network(inputs.bfloat16().float(), lengths=torch.tensor([4, 2]))[0])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
@pytest.mark.parametrize("unit", UNITS)
def test_on_a_gpu_autocast_leaves_a_network_in_float32(unit):
    network = make(unit).float().cuda()
    with torch.autocast("cuda", torch.bfloat16):
        states, _ = network(torch.randn(2, 4, 3, device="cuda"))
    assert states.dtype == torch.float32
