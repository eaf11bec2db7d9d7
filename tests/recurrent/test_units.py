import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.errors import ConfigError
from captioner.recurrent.attention import GridAttention
from captioner.recurrent.units import UNITS, LockedDropout, Recurrent

units = st.sampled_from(sorted(UNITS))


def make(unit, layers=1, seed=0):
    torch.manual_seed(seed)
    return Recurrent(unit, 3, 5, layers).double().eval()


@settings(deadline=None, max_examples=40)
@given(
    unit=units, layers=st.integers(1, 3), lengths=st.lists(st.integers(1, 7), min_size=1, max_size=5), data=st.data()
)
def test_a_sequence_does_not_depend_on_what_it_is_batched_with(unit, layers, lengths, data):
    network = make(unit, layers)
    torch.manual_seed(data.draw(st.integers(0, 99)))
    inputs = torch.randn(len(lengths), max(lengths), 3, dtype=torch.float64)
    states, last = network(inputs, lengths=torch.tensor(lengths))
    for row, length in enumerate(lengths):
        alone, end = network(inputs[row : row + 1, :length])
        torch.testing.assert_close(states[row, :length], alone[0])
        assert not states[row, length:].any()
        for name in end:
            torch.testing.assert_close(last[name][row], end[name][0])


@pytest.mark.parametrize("unit", sorted(UNITS))
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


def test_recurrent_weights_begin_orthogonal_and_an_lstm_begins_by_remembering():
    network = Recurrent("lstm", 4, 6).network
    for gate in network.weight_hh_l0.detach().split(6):
        torch.testing.assert_close(gate @ gate.T, torch.eye(6), atol=1e-5, rtol=0)
    bias = network.bias_ih_l0 + network.bias_hh_l0
    assert bias.tolist() == [0.0] * 6 + [1.0] * 6 + [0.0] * 12


def test_an_unknown_unit_names_the_choices():
    with pytest.raises(ConfigError, match="'lstn' is none of tanh, lstm, gru"):
        Recurrent("lstn", 2, 2)


def test_zero_layers_are_refused():
    with pytest.raises(ConfigError, match="at least 1"):
        Recurrent("gru", 2, 2, layers=0)


def test_locked_dropout_drops_the_same_channels_at_every_step_and_none_in_evaluation():
    torch.manual_seed(0)
    dropout = LockedDropout(0.5)
    dropped = dropout(torch.ones(4, 7, 50))
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped == dropped[:, :1]).all()
    assert not torch.equal(dropped[0], dropped[1])
    assert torch.equal(dropout.eval()(torch.ones(4, 7, 50)), torch.ones(4, 7, 50))


def test_attention_weights_sum_to_one_and_average_what_they_weigh():
    torch.manual_seed(0)
    attention = GridAttention(8, heads=2)
    states, regions = torch.randn(2, 3, 8), torch.randn(2, 5, 8)
    context, weights = attention(states, regions, regions)
    assert context.shape == (2, 3, 8)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 3))
    alike = torch.ones(2, 5, 8)
    torch.testing.assert_close(attention(states, regions, alike)[0], torch.ones(2, 3, 8))
