import pytest

from captioner.text.repeats import repeats_itself, repeats_more, says_twice


@pytest.mark.parametrize(
    "text",
    [
        "Ein Apfel liegt auf einem Teller auf einem Teller.",
        "neue elektrische elektrische Leitungen",
        "grün-gelb-gelb-gelb",
        "Obst, Gemüse, Gemüse",
        "Un chien court dans la neige dans la neige",
        "one two three one two three",
    ],
)
def test_what_is_said_twice_in_a_row_is_told(text):
    assert repeats_itself(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Zwei Frauen, die die Straße überqueren.",
        "Demain nous nous promenons, et vous vous reposez.",
        "Ein Mann und ein Mann mit Hut.",
        "Segel segeln",
        "wait ... ... what",
        "12 12",
        "a b a c a b",
    ],
)
def test_what_languages_say_twice_is_not(text):
    assert not repeats_itself(text)


@pytest.mark.parametrize("text", ["It is a big big bus.", "No no no", "Red, red and blue, red and blue"])
def test_what_a_text_says_twice_its_translation_may_say_twice(text):
    assert says_twice(text)
    assert not says_twice("A man and a woman. 12 12")


def test_what_a_text_says_twice_excuses_no_other_repeat():
    assert not repeats_more("Ein großes großes Fahrrad.", "A big big bike.")
    assert repeats_more("Ein großes großes Fahrrad auf einem Teller auf einem Teller.", "A big big bike on a plate.")
    assert repeats_more("Ein Fahrrad auf einem Teller auf einem Teller.", "A big big bike on a plate.")
    assert not repeats_more("auf einem Teller auf einem Teller", "on a plate on a plate")
    assert not repeats_more("Hunde Hunde Hunde Hunde", "Dogs dogs dogs")


def test_long_texts_take_no_time():
    assert not repeats_itself(" ".join(map(str, range(20_000))))
