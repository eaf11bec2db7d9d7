import pytest
import torch

from captioner.errors import ConfigError, DataError
from captioner.recurrent import capacity
from captioner.recurrent.memory_task import adding_problem, learn_adding


@pytest.mark.parametrize("steps", [2, 3, 10])
def test_two_numbers_are_marked_one_in_each_half_and_their_sum_is_asked_for(steps):
    sequences, sums = adding_problem(200, steps, torch.Generator().manual_seed(0))
    numbers, markers = sequences.unbind(-1)
    assert sequences.shape == (200, steps, 2)
    assert ((numbers >= 0) & (numbers < 1)).all()
    assert (markers[:, : steps // 2].sum(1) == 1).all()
    assert (markers[:, steps // 2 :].sum(1) == 1).all()
    torch.testing.assert_close((numbers * markers).sum(1), sums)


def test_a_gru_learns_to_add_and_an_mlp_cannot():
    gru, mlp = (
        next(learn_adding(unit, [4], hidden_size=32, updates=400, batch_size=32, learning_rate=0.02))
        for unit in ("gru", "mlp")
    )
    assert (gru.unit, gru.steps) == ("gru", 4)
    assert gru.success > 0.8
    assert gru.error < 0.002
    assert mlp.success < 0.2
    assert mlp.error > 0.08  # the second number alone leaves the variance of the first


def test_the_same_seed_learns_the_same():
    first, again, other = (
        [outcome.error for outcome in learn_adding("tanh", [3, 5], hidden_size=4, updates=3, seed=seed)]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_what_cannot_be_trained_is_said_before_training(monkeypatch):
    with pytest.raises(ConfigError, match="none of mlp"):
        next(learn_adding("lstn", [10]))
    with pytest.raises(DataError, match="at least 2 steps, not 1"):
        next(learn_adding("gru", [1]))
    monkeypatch.setattr(capacity, "free_memory", lambda device: 10**8)
    with pytest.raises(DataError, match=r"training sequences over 100,000 steps need about .* GB"):
        next(learn_adding("gru", [10, 100_000]))
