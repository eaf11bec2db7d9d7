import pytest

from captioner.text.repeats import repeats_itself


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
        "Nous nous promenons.",
        "Ein Mann und ein Mann mit Hut.",
        "Segel segeln",
        "wait ... ... what",
        "12 12",
        "a b a c a b",
    ],
)
def test_what_languages_say_twice_is_not(text):
    assert not repeats_itself(text)
