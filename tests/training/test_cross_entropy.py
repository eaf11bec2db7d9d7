import pytest
import torch
from torch import nn

from captioner.training.cross_entropy import ROWS, linear_cross_entropy


def inputs(rows, dtype=torch.float32):
    torch.manual_seed(rows)
    shapes = ((rows, 8), (50, 8), (50,))
    tensors = [torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes]
    return tensors, torch.randint(50, (rows,))


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("rows", [1, ROWS, 2 * ROWS + 3])
def test_it_is_the_cross_entropy_and_its_gradient(rows, smoothing):
    ours, targets = inputs(rows, torch.float64)
    theirs, _ = inputs(rows, torch.float64)
    loss = linear_cross_entropy(*ours, targets, smoothing)
    expected = nn.functional.cross_entropy(nn.functional.linear(*theirs), targets, label_smoothing=smoothing)
    (3 * loss).backward()
    (3 * expected).backward()
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad, rtol=1e-5, atol=1e-6)


def test_large_scores_do_not_overflow():
    weight = torch.eye(4) * 1000
    loss = linear_cross_entropy(torch.eye(4)[:2] * 1000, weight, torch.zeros(4), torch.tensor([0, 2]))
    torch.testing.assert_close(loss, torch.tensor(0.5e6))


def test_under_autocast_it_stays_close():
    tensors, targets = inputs(64)
    expected = linear_cross_entropy(*tensors, targets)
    with torch.autocast("cpu", torch.bfloat16):
        low = linear_cross_entropy(tensors[0].bfloat16(), *tensors[1:], targets)
    torch.testing.assert_close(low, expected, rtol=0.02, atol=0.02)
    assert low.dtype == torch.float32
