import itertools

import numpy as np
import pytest
import torch

from captioner.errors import DataError
from captioner.models.rank import Prepared, log_probs
from captioner.models.search import Finder, SearchNetwork
from captioner.models.search_config import SearchConfig, encode_sentence
from captioner.vision.encoder import Features

SENTENCES = ["a dog runs on the grass", "a cat", "two men sit on a big red hat and the dog", "zebra"]
KINDS = [
    {"unit": unit, "layers": layers, "attention": attention, "content_vector": layers == 1}
    for unit, layers, attention in itertools.product(["tanh", "lstm", "gru"], [1, 2], [True, False])
]


def features(model, images, seed=0):
    rows, columns = model.encoder.grid_shape()
    generator = torch.Generator().manual_seed(seed)
    return Features.of(torch.randn(images, rows * columns, model.encoder.channels, generator=generator))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_a_matrix_holds_what_teacher_forcing_gives_each_pair(build, kind):
    model = build(**kind)
    photos = features(model, 3)
    ids = [encode_sentence(sentence, model.vocabulary) for sentence in SENTENCES]
    found = log_probs(model.decoder, Prepared.of(model.decoder, photos), ids)
    for column, sentence in enumerate(SENTENCES):
        assert found[:, column].tolist() == pytest.approx(model.score(photos, [sentence.split()] * 3), abs=1e-4)


def test_many_pairs_are_ranked_in_parts_as_they_are_alone(captioner, monkeypatch):
    monkeypatch.setattr("captioner.models.rank._PAIRS", 6)
    photos = Prepared.of(captioner.decoder, features(captioner, 7))
    ids = [encode_sentence(sentence, captioner.vocabulary) for sentence in SENTENCES * 5]
    found = log_probs(captioner.decoder, photos, ids)
    alone = torch.cat([log_probs(captioner.decoder, photos[row : row + 1], ids) for row in range(7)])
    assert torch.allclose(found, alone, atol=1e-4)
    joined = Prepared.join([photos[:3], photos[3:]])
    assert torch.equal(log_probs(captioner.decoder, joined, ids), found)


def test_ranking_takes_images_and_gives_a_matrix(captioner):
    images = [np.random.default_rng(seed).integers(0, 255, (40, 50, 3), np.uint8) for seed in range(3)]
    whole = captioner.rank(images, SENTENCES, share=0)
    assert whole.shape == (3, 4)
    prior = whole - captioner.rank(images, SENTENCES, share=1)
    assert np.allclose(prior, prior[:1], atol=1e-4)  # without an image a sentence is worth the same
    assert np.allclose(captioner.rank(images[1], SENTENCES[:2]), (whole - 0.9 * prior)[1:2, :2], atol=1e-4)
    assert captioner.rank([], SENTENCES).shape == (0, 4)


def test_a_sentence_without_a_word_is_an_error(captioner):
    with pytest.raises(DataError, match="has no word"):
        captioner.rank([], [" . "])


def test_a_search_ranks_images_for_a_sentence_and_can_be_repeated(captioner):
    images = [np.random.default_rng(seed).integers(0, 255, (40, 50, 3), np.uint8) for seed in range(5)]
    fits = captioner.rank(images, SENTENCES[:1])[:, 0]
    found = captioner.search(SENTENCES[0], captioner.see(images), top=3)
    assert [each.place for each in found] == np.argsort(-fits)[:3].tolist()
    assert [each.score * 7 for each in found] == pytest.approx(np.sort(fits)[::-1][:3].tolist(), abs=1e-4)
    assert captioner.search(SENTENCES[0], images, top=3) == found
    with pytest.raises(DataError, match="no image to search"):
        captioner.search(SENTENCES[0], [])


def test_what_a_sentence_is_worth_is_its_mean_probability_over_the_photos_that_are_kept(captioner):
    config = SearchConfig(captioner="", hidden_size=6, size=5, background=3)
    torch.manual_seed(1)
    network = SearchNetwork(config, 12, captioner.encoder.channels)
    network.background.normal_()
    sentences = [["a", "dog"], ["the", "cat", "on", "the", "grass"]]
    ids = [captioner.vocabulary.encode(sentence) for sentence in sentences]
    photos = Features.of(network.background[:, None])
    expected = [np.log(np.exp(captioner.score(photos, [sentence] * 3)).mean()) for sentence in sentences]
    assert Finder(captioner, config, network).prior(ids).numpy() == pytest.approx(np.array(expected), abs=1e-3)
    alone = log_probs(captioner.decoder, None, ids)[0].numpy()
    assert Finder(captioner).prior(ids).numpy() == pytest.approx(0.9 * alone)
