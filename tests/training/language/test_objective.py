from itertools import pairwise

import pytest
import torch

from captioner.models.language import LanguageConfig, LanguageModel
from captioner.models.language_network import LanguageNetwork, NetworkConfig
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.language.objective import NextWord, Window, line_loader, validate, window_loader


def windows_of(loader, epoch):
    loader.batch_sampler.epoch = epoch
    return list(loader)


def test_windows_follow_each_other_through_every_stream():
    ids = torch.arange(1003)
    windows = windows_of(window_loader(ids, streams=4, steps=30, seed=0), 0)
    assert [window.begins for window in windows] == [True] + [False] * 8
    for window, following in pairwise(windows):
        assert torch.equal(window.tokens[:, -1], following.tokens[:, 0])
    read = torch.cat([window.tokens[:, 1:] for window in windows], 1)
    assert read.shape == (4, 250)
    assert len(read.unique()) == 1000
    assert torch.equal(read.diff(dim=1) % 1003, torch.ones_like(read[:, 1:]))


def test_each_epoch_cuts_elsewhere_and_a_repeated_one_the_same():
    loader = window_loader(torch.arange(500), streams=2, steps=50, seed=1)
    first, second, again = (windows_of(loader, epoch)[0].tokens for epoch in (0, 1, 0))
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return LanguageNetwork(NetworkConfig(hidden_size=8, embedding_size=6, layers=2), 20)


def test_the_state_is_carried_from_window_to_window_but_not_over_a_beginning(network):
    tokens = torch.randint(4, 20, (3, 21))
    whole, numbers = NextWord(network, 3)(Window(tokens, begins=True))
    assert numbers == {"words": 60}
    objective = NextWord(network, 3)
    halves = [objective(Window(tokens[:, a : a + 11], begins=a == 0))[0] for a in (0, 10)]
    torch.testing.assert_close(sum(halves) / 2, whole)
    again, _ = objective(Window(tokens, begins=True))
    torch.testing.assert_close(again, whole)


@pytest.mark.parametrize("unit", ["tanh", "lstm", "gru"])
def test_the_state_of_a_single_layer_is_carried_too(unit):
    torch.manual_seed(0)
    network = LanguageNetwork(NetworkConfig(unit=unit, hidden_size=8, embedding_size=8), 20)
    objective, tokens = NextWord(network, 3), torch.randint(4, 20, (3, 21))
    for first in (0, 10):
        loss, _ = objective(Window(tokens[:, first : first + 11], begins=first == 0))
        loss.backward()
    assert all(value.grad.abs().sum() > 0 for value in network.parameters())


def test_the_carried_state_is_in_checkpoints(network):
    objective = NextWord(network, 3)
    objective(Window(torch.randint(4, 20, (3, 11)), begins=True))
    assert objective.state_dict()["state_h"].abs().sum() > 0
    assert objective.state_dict()["state_h"].shape == (3, 2, 8)


def test_lines_of_their_own_begin_afresh_and_padding_does_not_count(network):
    lines = [[5, 6, 2], [7, 2], [8, 9, 10, 11, 2]]
    (batch,) = list(line_loader(lines, batch_size=3, seed=0))
    loss, numbers = NextWord(network, None)(batch)
    assert numbers == {"words": 10}
    alone = [NextWord(network, None)(next(iter(line_loader([line], 1, 0)))) for line in lines]
    torch.testing.assert_close(loss, sum(each * number["words"] for each, number in alone) / 10)


def test_validation_is_the_perplexity_of_the_texts():
    model = LanguageModel.build(
        LanguageConfig(network=NetworkConfig(hidden_size=8, embedding_size=8)), Vocabulary([*SPECIALS, "a", "b"])
    )
    texts = {"one": ["a b"] * 5, "two": ["b b a"] * 3}
    for stream, expected in ((True, model.score_text(texts["one"])), (False, model.score_text(["a b"]))):
        score, scores = validate(model, texts, stream=stream)
        assert scores["one"]["perplexity"] == pytest.approx(expected.perplexity, rel=1e-4)
        assert score < 0
