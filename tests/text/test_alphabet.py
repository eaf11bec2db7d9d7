import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.errors import DataError, ModelError
from captioner.text.alphabet import Alphabet, normalise


def test_decomposed_letters_become_one_character_where_unicode_has_one():
    assert normalise("u\u0308ber\u00a0 Tag\n") == "über Tag"


def test_a_small_e_above_a_letter_stays_two_characters():
    assert list(normalise("a\u0364")) == ["a", "\u0364"]


def test_the_most_frequent_character_comes_first_and_the_blank_before_all():
    alphabet = Alphabet.build(["abb", "b"])
    assert alphabet.characters == ("b", "a")
    assert alphabet.encode("ab") == [2, 1]
    assert len(alphabet) == 3


def test_characters_outside_the_alphabet_are_left_out():
    assert Alphabet("ab").encode("xaxb") == [1, 2]


def test_rare_characters_are_left_out_and_an_alphabet_of_none_is_refused():
    assert Alphabet.build(["aab"], min_count=2).characters == ("a",)
    with pytest.raises(DataError, match="occurs 3 times"):
        Alphabet.build(["aab"], min_count=3)


@given(
    st.sets(st.characters(exclude_categories=["Cs"]), min_size=1).flatmap(lambda s: st.text(st.sampled_from(sorted(s))))
)
def test_every_text_of_the_alphabet_comes_back(text):
    alphabet = Alphabet(sorted(set(text)) or ["a"])
    assert alphabet.decode(alphabet.encode(text)) == text


def test_what_was_saved_is_loaded(tmp_path):
    Alphabet(["ä", "\u0364", " ", '"']).save(tmp_path / "vocabulary.json")
    assert Alphabet.load(tmp_path / "vocabulary.json").characters == ("ä", "\u0364", " ", '"')


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"tokens": ["a"]}', '{"characters": ["a", "a"]}', '{"characters": ["ab"]}']
)
def test_a_damaged_file_is_refused_in_a_sentence_that_names_it(tmp_path, content):
    path = tmp_path / "vocabulary.json"
    path.write_text(content)
    with pytest.raises(ModelError, match=r"vocabulary\.json"):
        Alphabet.load(path)
