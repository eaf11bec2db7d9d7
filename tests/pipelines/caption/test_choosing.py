"""Where a captioner has the quick part of a search, captions are chosen by both; else by the search alone."""

import shutil
from dataclasses import replace

import cv2
import numpy as np
import pytest

from captioner.errors import ModelError
from captioner.models.base import load
from captioner.models.search_config import read_search_config

WEIGHT = 8.0


@pytest.fixture(scope="module")
def chooser(finder_folder, tmp_path_factory):
    """The tiny captioner's folder, with a quick part that counts."""
    folder = tmp_path_factory.mktemp("chooser") / "tiny"
    shutil.copytree(finder_folder, folder)
    config = read_search_config(folder).model_copy(update={"caption_weight": WEIGHT})
    (folder / "search.json").write_text(config.model_dump_json())
    return folder


@pytest.fixture(scope="module")
def pixels():
    draws = (np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8) for seed in range(6))
    return np.stack([cv2.resize(each, (64, 64), interpolation=cv2.INTER_CUBIC) for each in draws])


def test_the_caption_that_fits_best_by_both_parts_comes_first(chooser, finder_folder, pixels):
    model, plain = load(chooser, "cpu"), load(finder_folder, "cpu")
    features = plain.encode(pixels)
    every = replace(plain.config.search, num_captions=plain.config.search.beam_size)
    found = plain.generate(features, every)
    looked = model.finder.look(features).vectors
    changed = 0
    for place, captions in enumerate(found):
        texts = model.finder.read([model.vocabulary.encode(caption.tokens) for caption in captions])
        cosines = (texts @ looked[place]).tolist()
        scores = [
            caption.log_probability / (len(caption.tokens) + 1) ** every.length_penalty + WEIGHT * cosine
            for caption, cosine in zip(captions, cosines, strict=True)
        ]
        best = captions[int(np.argmax(scores))]
        changed += best is not captions[0]
        assert model.generate(features[place : place + 1])[0][0].text == best.text
    assert changed, "the search's own choice is the best of all: this test shows nothing"


def test_all_captions_are_those_of_the_search_in_another_order(chooser, finder_folder, pixels):
    model, plain = load(chooser, "cpu"), load(finder_folder, "cpu")
    features = plain.encode(pixels)
    every = replace(plain.config.search, num_captions=plain.config.search.beam_size)
    for ours, theirs in zip(model.generate(features, every), plain.generate(features, every), strict=True):
        assert sorted((each.text, each.score) for each in ours) == sorted((each.text, each.score) for each in theirs)


def test_a_greedy_search_has_nothing_to_choose_from(chooser, finder_folder, pixels):
    model, plain = load(chooser, "cpu"), load(finder_folder, "cpu")
    features = plain.encode(pixels)
    greedy = replace(plain.config.search, beam_size=1)
    assert [each[0].text for each in model.generate(features, greedy)] == [
        each[0].text for each in plain.generate(features, greedy)
    ]


def test_a_quick_part_of_another_captioner_is_refused_before_anything_is_captioned(chooser, tmp_path, pixels):
    folder = tmp_path / "tiny"
    shutil.copytree(chooser, folder)
    text = (folder / "search.json").read_text()
    (folder / "search.json").write_text(text.replace('"captioner":"', '"captioner":"0'))
    with pytest.raises(ModelError, match=r"search\.json: was trained beside another model\.safetensors"):
        load(folder, "cpu").caption(pixels)
