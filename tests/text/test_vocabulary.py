import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.errors import DataError, ModelError
from captioner.text.tokenization import Tokenization
from captioner.text.vocabulary import SPECIALS, Vocabulary

captions = st.lists(st.lists(st.text(min_size=1, max_size=3), max_size=8), max_size=20)


def test_words_are_numbered_by_count_then_alphabetically():
    vocabulary = Vocabulary.build([["b", "a", "c"], ["c", "b", "a"], ["c", "d"]], min_count=2)
    assert vocabulary.tokens == (*SPECIALS, "c", "a", "b")


@given(captions)
def test_the_order_of_captions_does_not_matter(captions):
    if any(word not in SPECIALS for caption in captions for word in caption):
        assert Vocabulary.build(captions, 1) == Vocabulary.build(captions[::-1], 1)


def test_max_size_keeps_the_most_frequent_words():
    vocabulary = Vocabulary.build([["a", "b"], ["b"]], min_count=1, max_size=1)
    assert vocabulary.tokens == (*SPECIALS, "b")


def test_a_special_in_the_text_is_no_word():
    vocabulary = Vocabulary.build([["the", "<unk>", "<unk>"]], min_count=1)
    assert vocabulary.tokens == (*SPECIALS, "the")
    assert vocabulary.encode(["<unk>"]) == [Vocabulary.unk]


def test_too_few_words_are_an_error_that_names_min_count():
    with pytest.raises(DataError, match="2 different words occurs 5 times; lower min_count"):
        Vocabulary.build([["a", "b"]])


def test_known_tokens_survive_and_others_become_unknown():
    vocabulary = Vocabulary.build([["a", "dog"]], min_count=1)
    assert vocabulary.encode(["a", "cat", "dog"]) == [4, Vocabulary.unk, 5]
    assert vocabulary.decode([Vocabulary.start, 4, Vocabulary.unk, 5, Vocabulary.end, 4]) == ["a", "dog"]
    assert "dog" in vocabulary
    assert "cat" not in vocabulary
    assert len(vocabulary) == 6


@given(st.lists(st.text(), unique=True).filter(lambda tokens: not set(tokens) & set(SPECIALS)))
def test_a_saved_vocabulary_reads_the_same(tmp_path_factory, tokens):
    path = tmp_path_factory.mktemp("vocabulary") / "vocabulary.json"
    vocabulary = Vocabulary([*SPECIALS, *tokens])
    vocabulary.save(path)
    assert Vocabulary.load(path) == vocabulary


def test_the_file_says_how_tokens_are_made_unless_it_is_as_for_english(tmp_path):
    path = tmp_path / "vocabulary.json"
    Vocabulary(SPECIALS).save(path)
    assert list(json.loads(path.read_text())) == ["tokens"]
    vocabulary = Vocabulary([*SPECIALS, "\u72ac"], Tokenization("unicode", lower=False))
    vocabulary.save(path)
    assert json.loads(path.read_text())["tokenization"] == {"scheme": "unicode", "lower": False}
    assert Vocabulary.load(path) == vocabulary != Vocabulary(vocabulary.tokens)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read .No such file.*copy the whole model folder again"),
        ('{"tokens": ["<pad>", "<sta', "not JSON"),
        ("[" * 100_000, "not JSON"),
        ('["a"]', "not a vocabulary"),
        ('{"tokens": [1, 2]}', "not a vocabulary"),
        (json.dumps({"tokens": ["a", "b"]}), "begins with <pad>, <start>, <end>, <unk>; this one begins with"),
        (json.dumps({"tokens": [*SPECIALS, "dog", "a", "dog"]}), "occur more often: dog"),
        (json.dumps({"tokens": SPECIALS, "tokenization": {"scheme": "x"}}), "tokenization is {'scheme': 'x'}, which"),
        (json.dumps({"tokens": SPECIALS, "tokenization": {"lower": 1}}), "tokenization is {'lower': 1}, which"),
        (json.dumps({"tokens": SPECIALS, "tokenization": []}), r"tokenization is \[\], which"),
    ],
)
def test_a_broken_file_is_named_with_its_fault(tmp_path, content, message):
    path = tmp_path / "vocabulary.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ModelError, match=message) as error:
        Vocabulary.load(path)
    assert str(path) in str(error.value)
