import numpy as np
import pytest
import torch

from captioner.errors import UsageError
from captioner.models.label import COSINE_WEIGHT, NEEDED, Labeller, with_article
from captioner.models.search import Finder, SearchNetwork
from captioner.models.search_config import SearchConfig


@pytest.mark.parametrize(
    ("label", "said"),
    [
        ("cat", "a cat"),
        ("elephant", "an elephant"),
        ("birthday cake", "a birthday cake"),
        ("two dogs", "two dogs"),
        ("dogs", "dogs"),
        ("bus", "a bus"),
        ("nobody", "nobody"),
        ("people shaking hands", "people shaking hands"),
    ],
)
def test_a_label_stands_in_a_sentence_as_people_would_write_it(label, said):
    assert with_article(label) == said


def test_probabilities_are_those_of_both_parts_over_all_sentences(captioner):
    config = SearchConfig(captioner="", hidden_size=6, size=5)
    torch.manual_seed(1)
    finder = Finder(captioner, config, SearchNetwork(config, 12, captioner.encoder.channels))
    rows, columns = captioner.encoder.grid_shape()
    grids = torch.randn(3, rows * columns, captioner.encoder.channels)
    labels, templates = ["dog", "red hat", "two men"], ["{}", "{} on the grass"]
    judged = Labeller(finder, labels, templates).judge(grids)
    texts = [template.format(with_article(label)) for label in labels for template in templates]
    ids = [captioner.vocabulary.encode(text.split()) for text in texts]
    from captioner.vision.encoder import Features

    seen = finder.look(Features.of(grids))
    fits = finder.careful(seen.prepared, ids) + COSINE_WEIGHT * seen.vectors @ finder.read(ids).T
    wanted = fits.view(3, 3, 2).mean(2).softmax(1).numpy()
    assert np.allclose([each.probabilities for each in judged], wanted, atol=1e-4)
    empty = [captioner.vocabulary.encode(text.split()) for text in ("", "on the grass")]
    none = (finder.careful(seen.prepared, empty) + COSINE_WEIGHT * seen.vectors @ finder.read(empty).T).mean(1)
    margins = fits.view(3, 3, 2).mean(2).amax(1) - none - NEEDED
    assert [each.margin for each in judged] == pytest.approx(margins.tolist(), abs=1e-3)


def test_templates_and_labels_that_say_nothing_are_refused(captioner):
    finder = Finder(captioner)
    with pytest.raises(UsageError, match="has no place for a label"):
        Labeller(finder, ["dog", "cat"], ["a photo"])
    with pytest.raises(UsageError, match="no label is left: label 'zebra': 'zebra' is no word"):
        Labeller(finder, ["zebra", "a giraffe"])
    assert Labeller(finder, ["dog", "zebra"]).labels == ["dog"]
