"""Concept words are learnt from captions, mean what they say, and lie beside one captioner only."""

from types import SimpleNamespace

import pytest
import torch

from captioner.errors import ModelError, UsageError
from captioner.models.concepts import ConceptWords
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.caption.concepts import calibrate, fit_concepts

THINGS = ["dog", "cat", "ball", "tree"]
VOCABULARY = Vocabulary([*SPECIALS, "a", "the", "top", *THINGS])


def photos(count, seed, noise=0.5):
    """Summaries whose first numbers say what a photo shows, and captions that name it."""
    draw = torch.Generator().manual_seed(seed)
    shown = torch.rand(count, len(THINGS), generator=draw) < torch.tensor([0.6, 0.4, 0.2, 0.1])
    summaries = torch.cat([shown.float(), torch.zeros(count, 3)], 1)
    summaries += noise * torch.randn(summaries.shape, generator=draw)
    captions = [
        ["a", *(word for word, there in zip(THINGS, row, strict=True) if there), "top"] for row in shown.tolist()
    ]
    return summaries, [SimpleNamespace(tokens=[words, words[:2]]) for words in captions], shown


def test_the_words_that_photos_show_are_told_and_none_that_names_no_thing():
    summaries, images, _ = photos(2000, 0, noise=0.1)
    concepts = fit_concepts(10, summaries, images, VOCABULARY)
    assert VOCABULARY.decode(concepts.ids.tolist()) == THINGS  # the commonest first
    told = concepts.tell(torch.tensor([[1.0, 0, 0, 1, 0, 0, 0], [-1.0] * 7]), VOCABULARY)
    assert [concept.word for concept in told[0]][:2] == ["dog", "tree"]
    assert told[0][1].probability > 0.5
    assert told[1] == []


def test_as_many_words_are_learnt_as_asked_for():
    summaries, images, _ = photos(200, 0)
    assert VOCABULARY.decode(fit_concepts(2, summaries, images, VOCABULARY).ids.tolist()) == THINGS[:2]


def test_probabilities_mean_what_they_say_of_photos_that_nothing_was_trained_on():
    summaries, images, _ = photos(60, 1)  # few, so that the regressions are surer than they should be
    concepts = fit_concepts(4, summaries, images, VOCABULARY)
    with torch.no_grad():
        concepts.layer.weight *= 3
    seen, captions, _ = photos(4000, 2)
    new, _, shown = photos(4000, 3)
    before = concepts.layer(new).sigmoid()
    calibrate(concepts, seen, captions, VOCABULARY)
    after = concepts.layer(new).sigmoid()

    def gap(probabilities):
        sure = probabilities > 0.8
        return abs(float(probabilities[sure].detach().mean() - shown[sure].float().mean()))

    assert gap(after) < 0.05 < gap(before)


def test_concept_words_lie_beside_one_captioner(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert ConceptWords.load(tmp_path, 7, len(VOCABULARY)) is None
    summaries, images, _ = photos(200, 0)
    fit_concepts(3, summaries, images, VOCABULARY).save(tmp_path)
    found = ConceptWords.load(tmp_path, 7, len(VOCABULARY))
    assert found.tell(torch.eye(7)[:1] * 3, VOCABULARY)[0][0].word == "dog"
    with pytest.raises(ModelError, match=r"concepts\.safetensors: tells words that vocabulary\.json lacks"):
        ConceptWords.load(tmp_path, 7, 5)
    with pytest.raises(ModelError, match=r"concepts\.safetensors: tensor layer\.weight has shape"):
        ConceptWords.load(tmp_path, 8, len(VOCABULARY))
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ModelError, match=r"concepts\.json: belongs to another model\.safetensors"):
        ConceptWords.load(tmp_path, 7, len(VOCABULARY))


def test_a_model_without_concept_words_says_so(tmp_path):
    from captioner.models.base import load

    model = load("photos", "cpu")
    model.concept_words = None
    with pytest.raises(UsageError, match="photos: this model tells no concept words"):
        model.concepts("examples/photos/cat.jpg")
