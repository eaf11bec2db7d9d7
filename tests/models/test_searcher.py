"""The search without PyTorch gives what the captioner and its quick part give."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.errors import ModelError
from captioner.models.packed import MOST_BYTES, PackedShape, pack, unpack
from captioner.models.rank import Prepared, log_probs
from captioner.models.search import Finder, SearchNetwork
from captioner.models.search_config import SearchConfig, encode_sentence
from captioner.models.searcher import Searcher
from captioner.vision.encoder import Features

SENTENCES = ["a dog runs on the grass", "a cat", "two men sit on a big red hat and the dog", "zebra"]
KINDS = [
    {"unit": unit, "layers": layers, "attention": attention, "content_vector": layers == 1}
    for unit, layers, attention in itertools.product(["tanh", "lstm", "gru"], [1, 2], [True, False])
]


def searcher_of(model, config=None, network=None):
    def arrays(tensors):
        return {name: value.numpy() for name, value in tensors.state_dict().items()}

    quick = None if network is None else arrays(network)
    return Searcher(model.config.decoder.model_dump(), arrays(model.decoder), model.vocabulary, config, quick)


def packed(model, features):
    """Photos, and the features that a captioner would have to see to see what is left of them."""
    rows, columns = model.encoder.grid_shape()
    decoder = model.decoder
    hidden = decoder.config.hidden_size if decoder.config.attention else 0
    shape = PackedShape.fitting(rows, columns, hidden, decoder.config.embedding_size)
    with torch.no_grad():
        summaries = decoder.summary(features).numpy()
        regions = decoder.regions(features.grid).numpy() if hidden else np.zeros((len(features), 0, 0), np.float32)
    return shape, pack(shape, summaries, regions)


def some_features(model, images):
    rows, columns = model.encoder.grid_shape()
    return Features.of(torch.randn(images, rows * columns, model.encoder.channels, generator=torch.manual_seed(0)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: "-".join(map(str, kind.values())))
def test_packed_photos_are_ranked_as_the_captioner_ranks_them(build, kind):
    model = build(**kind)
    features = some_features(model, 3)
    searcher, (shape, photos) = searcher_of(model), packed(model, features)
    ids = [encode_sentence(sentence, model.vocabulary) for sentence in SENTENCES]
    seen = Prepared.of(model.decoder, features)
    if kind["attention"]:
        kept = torch.from_numpy(unpack(shape, photos)[1])
        assert torch.allclose(kept, seen.context["regions"], atol=0.8)
        seen.context["regions"] = kept
    exact = log_probs(model.decoder, seen, ids)
    prior = log_probs(model.decoder, None, ids)
    for place, sentence in enumerate(ids):
        found = searcher.fit(shape, photos, sentence, share=1.0)
        assert found.gains.tolist() == pytest.approx((exact - prior)[:, place].tolist(), abs=0.03)
        if kind["attention"]:
            assert found.attention.shape == (3, len(sentence) + 1, shape.regions)
            assert np.allclose(found.attention.sum(-1), 1, atol=1e-5)


def test_what_is_not_packed_in_four_bits_is_exact(build):
    model = build(attention=False)
    features = some_features(model, 4)
    searcher, (shape, photos) = searcher_of(model), packed(model, features)
    ids = encode_sentence(SENTENCES[0], model.vocabulary)
    exact = log_probs(model.decoder, Prepared.of(model.decoder, features), [ids])[:, 0]
    assert searcher.fit(shape, photos, ids, share=0).gains.tolist() == pytest.approx(exact.tolist(), abs=0.02)


@pytest.mark.parametrize("unit", ["tanh", "lstm", "gru"])
def test_a_sentence_has_the_vector_that_the_trained_network_gives_it(build, unit):
    model = build()
    config = SearchConfig(captioner="", unit=unit, hidden_size=7, size=5)
    network = SearchNetwork(config, model.config.decoder.embedding_size, model.encoder.channels)
    with torch.no_grad():
        network.sentence.weight.normal_()
    searcher, finder = searcher_of(model, config, network), Finder(model, config, network)
    for sentence in SENTENCES:
        ids = encode_sentence(sentence, model.vocabulary)
        assert np.allclose(searcher.vector(ids), finder.read([ids])[0].numpy(), atol=1e-5)


def test_without_a_quick_part_a_sentence_has_no_vector(build):
    with pytest.raises(ModelError, match="no quick part"):
        searcher_of(build()).vector([5])


def test_greedy_captions_are_those_of_a_beam_of_one(build):
    model = build(attention=False, seed=4)
    features = some_features(model, 3)
    shape, photos = packed(model, features)
    from captioner.decoding.steps import DecodingConfig

    wanted = [each[0].text for each in model.generate(features, DecodingConfig(beam_size=1, max_length=6))]
    assert searcher_of(model).write(shape, photos, longest=6) == wanted


@settings(max_examples=25)
@given(st.integers(1, 30), st.integers(1, 30), st.sampled_from([0, 2, 64, 512, 1024]), st.integers(1, 700))
def test_any_grid_fits_into_the_room_there_is(rows, columns, hidden, width):
    shape = PackedShape.fitting(rows, columns, hidden, width)
    assert shape.size <= MOST_BYTES
    values = np.random.default_rng(0).normal(size=(2, shape.regions, hidden)).astype(np.float32)
    summaries = np.random.default_rng(1).normal(size=(2, width)).astype(np.float32)
    photos = pack(shape, summaries, values)
    assert [len(photo) for photo in photos] == [shape.size] * 2
    again, regions = unpack(shape, photos)
    assert np.allclose(again, summaries, atol=2e-3)
    if values.size > 10_000:
        assert ((regions - values) ** 2).mean() < 0.015 * (values**2).mean()


def test_regions_of_zeros_stay_nearly_zero():
    shape = PackedShape.fitting(2, 2, 4, 3)
    summaries, regions = unpack(shape, pack(shape, np.zeros((1, 3), np.float32), np.zeros((1, 4, 4), np.float32)))
    assert not summaries.any()
    assert np.abs(regions).max() < 1e-5
