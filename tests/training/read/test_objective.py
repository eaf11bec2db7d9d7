import numpy as np
import pytest
import torch

from captioner.models.read_network import ReaderConfig, ReaderNetwork
from captioner.training.read.batches import LineItems, collate, line_loader
from captioner.training.read.objective import Ctc

LETTERS = 3


def example(place):
    """A line of bars, each as grey as its letter says."""
    draw = np.random.default_rng(place)
    ids = [int(each) for each in draw.integers(1, LETTERS + 1, 3)]
    pixels = np.full((8, 64), 255, np.uint8)
    for slot, label in enumerate(ids):
        pixels[1:7, 8 + 18 * slot : 18 + 18 * slot] = 60 * (label - 1)
    return pixels, ids


def test_a_small_reader_learns_what_bars_say():
    torch.manual_seed(0)
    config = ReaderConfig(channels=4, features=16, hidden_size=16, layers=1, dropout=0.0)
    network = ReaderNetwork(config, 8, LETTERS + 1)
    objective, batch = Ctc(network), collate([example(place) for place in range(32)])
    optimizer = torch.optim.AdamW(network.parameters(), 0.02)
    losses = []
    for _ in range(60):
        loss, numbers = objective(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert numbers == {"characters": 96, "lines": 32}
    assert losses[-1] < 0.2 * losses[0]


def test_the_loss_of_a_batch_is_the_mean_over_its_characters():
    torch.manual_seed(0)
    objective = Ctc(ReaderNetwork(ReaderConfig(channels=2, features=4, hidden_size=4), 8, LETTERS + 1)).eval()
    alone = [objective(collate([example(place)]))[0].item() for place in range(3)]
    together = objective(collate([example(place) for place in range(3)]))[0].item()
    assert together == pytest.approx(sum(alone) / 3, rel=1e-4)


def test_lines_of_a_batch_go_on_with_their_ground_to_the_widest():
    short, ids = example(0)
    batch = collate([(short[:, :40], ids), (short, ids)])
    assert batch.pixels.shape == (2, 8, 64)
    assert (batch.pixels[0, :, 40:] == 255).all()
    assert batch.targets.tolist() == ids + ids


def test_drawings_are_made_anew_when_they_have_been_used_often_enough():
    drawn = []

    def painter(number):
        drawn.append(number)
        return example(number)

    items = LineItems([], example, "none", 0, painter=painter, drawings=4, reuse=2)
    loader = line_loader(items, 2, seed=0)
    for epoch in range(3):
        loader.batch_sampler.epoch = epoch
        assert sum(len(batch.lengths) for batch in loader) == 4
    assert drawn == [0, 1, 2, 3, 4, 5, 6, 7]
