import pytest
import torch

from captioner.recurrent.stepping import Cells
from captioner.recurrent.units import Recurrent


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("unit", ["tanh", "lstm", "gru"])
@torch.no_grad()
def test_steps_give_the_states_of_the_whole_sequence(unit, layers):
    torch.manual_seed(0)
    recurrent = Recurrent(unit, 5, 7, layers).double()
    for value in recurrent.parameters():
        value.uniform_(-1, 1)  # biases too, which begin as zero
    inputs = torch.randn(11, 5, dtype=torch.float64)
    rows = torch.randint(11, (3, 6))
    expected, end = recurrent(inputs[rows])
    cells, state = Cells(recurrent, inputs), recurrent.initial_state(3, like=inputs)
    for step in range(6):
        states, state = cells.step(rows[:, step], state)
        torch.testing.assert_close(states, expected[:, step])
    torch.testing.assert_close(state, end)
