"""The adding problem (Hochreiter and Schmidhuber, 1997): which unit can remember for how long?

Each step of a sequence is a random number and a marker. Two numbers are marked, one in each half; at the end their sum
is the target. A network that forgets the first marked number can at best guess.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from captioner.errors import DataError
from captioner.recurrent.capacity import require_memory
from captioner.recurrent.units import Recurrent

LENGTHS = (10, 50, 100, 200, 500)
TOLERANCE = 0.04  # within which Hochreiter and Schmidhuber count a sum as right
_TESTED, _BATCH = 1000, 100


@dataclass(frozen=True)
class Outcome:
    """How well a unit learnt one length.

    Attributes:
        unit: of the network.
        steps: T, the length of the sequences.
        success: share of unseen sequences whose sum was right within 0.04; guessing the mean gives 0.08.
        error: mean square; guessing the mean gives 1/6.
        seconds: of CPU time that training took.
    """

    unit: str
    steps: int
    success: float
    error: float
    seconds: float


class Adder(nn.Module):
    """A recurrent network with one output after the last step.

    Args:
        unit: one of `captioner.recurrent.units.UNITS`.
        hidden_size: of its one layer.
    """

    def __init__(self, unit: str, hidden_size: int) -> None:
        super().__init__()
        self.recurrent = Recurrent(unit, 2, hidden_size)
        self.readout = nn.Linear(hidden_size, 1)

    def forward(self, sequences: Tensor) -> Tensor:
        """Sums (batch,) of sequences (batch, steps, 2)."""
        states, _ = self.recurrent(sequences)
        return self.readout(states[:, -1]).squeeze(-1)


def adding_problem(count: int, steps: int, generator: torch.Generator | None = None) -> tuple[Tensor, Tensor]:
    """Draw sequences.

    Args:
        count: of sequences.
        steps: T, at least 2.
        generator: of the random numbers.

    Returns:
        sequences (count, steps, 2), each step a number in [0, 1) and a marker 0 or 1, and the sums (count,).

    Raises:
        DataError: fewer than two steps.
    """
    _check_steps(steps)
    numbers, markers = torch.rand(count, steps, generator=generator), torch.zeros(count, steps)
    first = torch.randint(steps // 2, (count, 1), generator=generator)
    second = torch.randint(steps // 2, steps, (count, 1), generator=generator)
    markers.scatter_(1, torch.cat([first, second], dim=1), 1)
    return torch.stack([numbers, markers], dim=-1), (numbers * markers).sum(1)


def learn_adding(
    unit: str,
    lengths: Sequence[int] = LENGTHS,
    *,
    hidden_size: int = 64,
    updates: int = 1000,
    batch_size: int = 50,
    learning_rate: float = 0.005,
    clip_norm: float = 1.0,
    seed: int = 0,
) -> Iterator[Outcome]:
    """Train one network on longer and longer sequences, each length from where the one before ended.

    Args:
        unit: of the network.
        lengths: T of each stage.
        hidden_size: of the network's one layer.
        updates: steps of Adam at each length.
        batch_size: new sequences an update.
        learning_rate: the highest; it rises for 30 updates and falls to zero at the end of each length.
        clip_norm: longest gradient.
        seed: of weights and sequences.

    Yields:
        after each length how well unseen sequences of this length are added.

    Raises:
        ConfigError: unknown unit, or a size below 1.
        DataError: fewer than two steps, or more than memory allows, before anything is trained.
    """
    for steps in lengths:
        _check_steps(steps)
        # inputs, gates, cell, state and what their gradients need: 16 numbers a unit, about
        each_step = 4 * max(batch_size * 16 * hidden_size, _BATCH * 6 * hidden_size, _TESTED * 2)
        require_memory(each_step=each_step, steps=steps, what="training sequences")
    torch.manual_seed(seed)
    network, generator = Adder(unit, hidden_size), torch.Generator().manual_seed(seed)
    for steps in lengths:
        optimiser = torch.optim.Adam(network.parameters(), learning_rate)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser, lambda update: min((update + 1) / 30, 1) * (1 - update / updates)
        )
        started = time.process_time()
        for _ in range(updates):
            sequences, sums = adding_problem(batch_size, steps, generator)
            loss = nn.functional.mse_loss(network(sequences), sums)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), clip_norm)
            optimiser.step()
            schedule.step()
        seconds = time.process_time() - started
        errors = _errors(network, steps, seed)
        success = float((errors.abs() < TOLERANCE).float().mean())
        yield Outcome(unit, steps, success, float(errors.square().mean()), seconds)


@torch.no_grad()
def _errors(network: Adder, steps: int, seed: int) -> Tensor:
    """Errors on sequences that training does not see."""
    sequences, sums = adding_problem(_TESTED, steps, torch.Generator().manual_seed(seed + 1_000_003))
    return torch.cat([network(some) for some in sequences.split(_BATCH)]) - sums


def _check_steps(steps: int) -> None:
    if steps < 2:
        raise DataError(f"the adding problem needs sequences of at least 2 steps, not {steps}.")
