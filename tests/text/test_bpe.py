import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.errors import DataError, ModelError
from captioner.text.bpe import Subwords
from captioner.text.vocabulary import Vocabulary

LINES = [
    "A man rides a bicycle.",
    "Ein Mann fährt Fahrrad.",
    "Two dogs run over the grass, and 3 cats watch them.",
    "Zwei Hunde laufen über das Gras, und 3 Katzen sehen ihnen zu.",
] * 3


@pytest.fixture(scope="module")
def subwords():
    return Subwords.build(LINES, 150)


@pytest.mark.parametrize("line", LINES[:4])
def test_text_that_was_learnt_from_comes_back_without_loss(subwords, line):
    assert subwords.decode(subwords.encode([line])[0]) == line


@settings(max_examples=50)
@given(st.text("aeimnr .,Z", max_size=30))
def test_known_characters_come_back_with_single_spaces(subwords, text):
    assert subwords.decode(subwords.encode([text])[0]) == " ".join(text.split())


def test_quotation_marks_spaces_and_composed_characters_are_normalised(subwords):
    assert subwords.normalise(" „Gru\u0308n“ \u2009 l’été ") == '"Grün" l\'été'


def test_characters_that_were_never_seen_are_unknown(subwords):
    assert set(subwords.encode(["漢字"])[0][-2:]) == {Vocabulary.unk}


def test_the_first_pieces_are_the_specials_and_the_size_is_kept(subwords):
    assert subwords.pieces(range(4)) == ["<pad>", "<start>", "<end>", "<unk>"]
    assert len(subwords) <= 150


def test_without_dropout_the_sampler_cuts_as_encode_does(subwords):
    sampler = subwords.sampler(0.0, seed=0)
    for line in LINES[:4]:
        assert sampler.encode(subwords.words(line), random.Random(0)) == subwords.encode([line])[0]


def test_dropout_cuts_words_in_several_ways_that_mean_the_same(subwords):
    words = subwords.words(LINES[0])
    cut = {tuple(subwords.sampler(0.3, seed=1).encode(words, random.Random(draw))) for draw in range(20)}
    assert len(cut) > 3
    assert {subwords.decode(ids) for ids in cut} == {LINES[0]}


def test_the_same_seed_cuts_alike_in_a_training_that_continues(subwords):
    words = subwords.words(LINES[2])
    first, again = (subwords.sampler(0.3, seed=1).encode(words, random.Random("5/1")) for _ in range(2))
    assert first == again


def test_a_vocabulary_is_read_as_it_was_written(subwords, tmp_path):
    subwords.save(tmp_path / "vocabulary.json")
    loaded = Subwords.load(tmp_path / "vocabulary.json")
    assert loaded.encode(LINES) == subwords.encode(LINES)
    assert loaded.normalise("“a”") == '"a"'


@pytest.mark.parametrize("content", ["", "{}", '{"tokens": ["<pad>"]}'])
def test_a_damaged_vocabulary_is_an_error_that_names_the_file(tmp_path, content):
    (tmp_path / "vocabulary.json").write_text(content)
    with pytest.raises(ModelError, match=r"vocabulary\.json.*copy the whole model folder"):
        Subwords.load(tmp_path / "vocabulary.json")


def test_a_missing_vocabulary_is_an_error_that_names_the_file(tmp_path):
    with pytest.raises(ModelError, match=r"vocabulary\.json: cannot be read"):
        Subwords.load(tmp_path / "vocabulary.json")


def test_no_text_is_an_error():
    with pytest.raises(DataError, match="no words"):
        Subwords.build(["", "  "], 100)
