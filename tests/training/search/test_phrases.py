import math
from dataclasses import dataclass

import pytest
import torch

from captioner.errors import ModelError
from captioner.metrics.cider import CiderD
from captioner.models.phrases import PHRASE_FILES, Phrases
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.search.phrases import fit_phrases
from captioner.weights import read_tensors, write_tensors

WORDS = Vocabulary([*SPECIALS, "a", "dog", "cat", "runs", "sits", "on", "grass", "sand"])


@dataclass
class Image:
    """A photo with its captions."""

    tokens: list[list[str]]


@pytest.fixture
def images():
    """Photos of which a feature tells the animal, and another one what it does."""
    kinds = [(animal, place) for animal in ("dog", "cat") for place in ("runs on grass", "sits on sand")]
    photos = [Image([f"a {animal} {place}".split(), f"{animal} {place}".split()]) for animal, place in kinds * 30]
    features = torch.eye(4).repeat(30, 1) + 0.05 * torch.randn(120, 4, generator=torch.Generator().manual_seed(0))
    return photos, torch.cat([features, torch.ones(120, 1)], 1)


def ids(*captions):
    return torch.nn.utils.rnn.pad_sequence(
        [torch.tensor(WORDS.encode(text.split())) for text in captions], batch_first=True
    )


def test_the_expected_score_is_that_of_the_captions_that_people_would_write(images):
    photos, pooled = images
    phrases = fit_phrases(pooled, photos, WORDS, 1.0)
    captions = ["a dog runs on grass", "a cat runs on grass", "a cat sits on sand", "a a dog"]
    found = phrases.fit(pooled[:1], ids(*captions), torch.zeros(4, dtype=torch.long))
    assert found.argmax() == 0
    assert found[1] > found[2]
    # CIDEr-D with its penalty of length taken away would be equal, were the regression exact
    score = CiderD(dict(enumerate(image.tokens for image in photos))).scores([0], [captions[0].split()])[0]
    assert float(found[0]) == pytest.approx(float(score), rel=0.15)


def test_captions_of_several_images_and_padding_change_nothing(images):
    photos, pooled = images
    phrases = fit_phrases(pooled, photos, WORDS, 1.0)
    captions, places = ["a dog runs", "cat", "a cat sits on sand"], torch.tensor([1, 0, 3])
    together = phrases.fit(pooled[:4], ids(*captions), places)
    for caption, place, value in zip(captions, places, together, strict=True):
        alone = phrases.fit(pooled[place][None], ids(caption), torch.tensor([0]))
        assert float(alone) == pytest.approx(float(value), abs=1e-4)


def test_phrases_of_few_photos_can_be_learnt(images):
    photos, pooled = images
    phrases = fit_phrases(pooled[:3], photos[:3], WORDS, 1.0)
    assert math.isfinite(float(phrases.fit(pooled[:1], ids("a dog runs"), torch.tensor([0]))))


def test_phrases_come_back_from_a_folder_and_belong_to_its_captioner(images, tmp_path):
    photos, pooled = images
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    phrases = fit_phrases(pooled, photos, WORDS, 1.5)
    phrases.save(tmp_path)
    again = Phrases.load(tmp_path, 5, len(WORDS))
    assert again is not None
    assert again.weight == 1.5
    one, other = (each.fit(pooled[:1], ids("a dog runs"), torch.tensor([0])) for each in (phrases, again))
    assert torch.allclose(one, other, rtol=1e-2)
    (tmp_path / "model.safetensors").write_bytes(b"other weights")
    with pytest.raises(ModelError, match=r"belongs to another model\.safetensors"):
        Phrases.load(tmp_path, 5, len(WORDS))
    (tmp_path / PHRASE_FILES[1]).unlink()
    assert Phrases.load(tmp_path, 5, len(WORDS)) is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("idf", torch.tensor([float("nan")]), "no numbers"),
        ("idf", torch.zeros(0), "phrases"),
        ("idf", torch.zeros(()), "has shape"),
        ("weight", float("nan"), "weight is nan"),
        ("weight", True, "weight is True"),
    ],
)
def test_damaged_files_are_named(images, tmp_path, name, value, message):
    photos, pooled = images
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    phrases = fit_phrases(pooled, photos, WORDS, 1.5)
    if name == "weight":
        phrases.weight = value
    phrases.save(tmp_path)
    if name != "weight":
        tensors = read_tensors(tmp_path / PHRASE_FILES[0])
        spoilt = value.expand(len(tensors[name])) if value.numel() and value.ndim else value
        write_tensors(tmp_path / PHRASE_FILES[0], tensors | {name: spoilt.contiguous()})
    with pytest.raises(ModelError, match=message):
        Phrases.load(tmp_path, 5, len(WORDS))


def test_words_whose_numbers_are_too_large_belong_to_no_phrase(images):
    photos, pooled = images
    many = Vocabulary([*WORDS.tokens, *(f"w{number}" for number in range(2**15)), "gnu"])
    with_gnus = [Image([*photo.tokens, ["a", "gnu"]]) for photo in photos]
    phrases = fit_phrases(pooled, with_gnus, many, 1.0)
    assert int(phrases.grams.max()) < 2**15 - 1
    ids_of = torch.tensor([many.encode(["a", "gnu"]), many.encode(["a", "dog"])])
    assert phrases.fit(pooled[:1], ids_of, torch.tensor([0, 0])).isfinite().all()
