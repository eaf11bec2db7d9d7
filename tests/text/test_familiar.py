from hypothesis import given
from hypothesis import strategies as st

from captioner.text.familiar import OFTEN_ENOUGH, familiar_words, unfamiliar_words


def test_words_of_enough_sentences_are_familiar():
    sentences = ["A dog runs, a dog and a DOG."] * (OFTEN_ENOUGH - 1) + ["Dogs' days: the dog."]
    assert familiar_words(sentences) == {"dog"}


def test_words_are_told_as_they_are_written_and_once():
    known = frozenset({"dog", "has", "the", "giraffe"})
    assert unfamiliar_words("A Kitten has the DOG's kitten-bed.", "Das Kleine.", known) == ["Kitten", "kitten", "bed"]
    assert unfamiliar_words("The giraffe-dog has 2 dogs.", "", known) == ["dogs"]


def test_names_that_the_translation_repeats_are_not_told():
    assert unfamiliar_words("Lufthansa and Kaufhof", "lufthansa und Kaufhaus", frozenset({"and"})) == ["Kaufhof"]


def test_scripts_without_spaces_have_no_words_to_tell():
    assert unfamiliar_words("一只狗 走 dog", "", frozenset({"cat"})) == ["dog"]
    assert familiar_words(["一只狗"] * OFTEN_ENOUGH) == set()


@given(st.text(), st.text(), st.sets(st.text()))
def test_any_text_has_words(text, translation, known):
    for word in unfamiliar_words(text, translation, frozenset(known)):
        assert word in text
    assert unfamiliar_words(text, text, frozenset(known)) == []
