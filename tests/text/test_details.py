import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.text.details import missing_details


@pytest.mark.parametrize(
    ("text", "translation", "language"),
    [
        ("3,500 people", "3.500 Menschen", "de"),
        ("3,500 people", "3 500 personnes", "fr"),
        ("3500 people", "3 500 personnes", "fr"),
        ("2.5 m of snow for 2.00 Euros", "2,5 m Schnee für 2 Euro", "de"),
        ("on 05/06/2020 at 12:30", "am 5.6.2020 um 12 Uhr 30", "de"),
        ("the 1920s", "die 1920er", "de"),
        ("2 dogs and a 4-legged chair", "Zwei Hunde und ein vierbeiniger Stuhl", "de"),
        ("The 1st man of 20, the 3rd of 100", "Der erste Mann von zwanzig, der Dritte von hundert", "de"),
        ("1 dog, 70 cats", "un chien, soixante-dix chats", "fr"),
        ("3 Hunde", "Three dogs", "en"),
        ("two dogs", "2 Hunde", "de"),
        ("3 dogs, 20 cats", "tres perros, veinte gatos", "es"),
        ("See WWW.Example.org/a.", "Siehe www.example.org/a.", "de"),
        ("No. 17 (see example.com)", "Nr. 17 (siehe example.com)", "de"),
        ("I met her.Net gain", "", "de"),
    ],
)
def test_what_is_written_otherwise_is_there(text, translation, language):
    assert missing_details(text, translation, language) == []


@pytest.mark.parametrize(
    ("text", "translation", "language", "missing"),
    [
        ("number 17", "Nummer 11", "de", ["17"]),
        ("number 7", "Nummer", "de", ["7"]),
        ("a 3.5 m boat", "ein 35 m Boot", "de", ["3.5"]),
        ("at 5 pm", "um 55", "de", ["5"]),
        ("3,500 people", "trois personnes, 50001", "fr", ["3,500"]),
        ("number 27", "numero 11", "es", ["27"]),
        ("call 555-1234, 555-1234", "24", "de", ["555-1234"]),
        ("www.a.org/\x1b[J", "", "de", ["www.a.org/"]),
        (
            "see https://www.example.com/a?b=1, bob@x.org or (x.de).",
            "42",
            "de",
            ["https://www.example.com/a?b=1", "bob@x.org", "x.de"],
        ),
    ],
)
def test_what_is_lost_is_named_once_as_it_was_written(text, translation, language, missing):
    assert missing_details(text, translation, language) == missing


@given(st.text(max_size=60), st.sampled_from(["de", "en", "fr", "es"]))
def test_a_text_lacks_nothing_of_itself(text, language):
    assert missing_details(text, text, language) == []


@pytest.mark.parametrize("word", ["a", "1", "a.", "a-", "1,", "www.", "http://", "1,000,"])
def test_an_endless_word_takes_no_time(word):
    start = time.process_time()
    missing_details(word * 50_000, "", "de")
    assert time.process_time() - start < 2
