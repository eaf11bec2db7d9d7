import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.text.sentences import are_whole, sentences_of


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("A man reads. Two dogs run!  5 men sit", ["A man reads.", "Two dogs run!", "5 men sit"]),
        ("a man reads. a dog runs.", ["a man reads.", "a dog runs."]),
        ('He says "Really?" A dog runs.', ['He says "Really?"', "A dog runs."]),
        ("Dr. J. F. Smith of the U.S. Army, St. Louis, runs 12.5 km.",) * 2,
        ("A sign says STOP! on a pole ... in town.",) * 2,
        ("A man\nreads",) * 2,
        ("- Hello\n- A dog", ["Hello", "A dog"]),
        ("1. A man\n2. A dog\n• A cat", ["A man", "A dog", "A cat"]),
        ("A picture no. 5 of a dog. No. A dog.", ["A picture no. 5 of a dog.", "No.", "A dog."]),
        ("A dog runs.A man sits.", ["A dog runs.", "A man sits."]),
        ("狗在跑。猫在睡！「好。」他说。", ["狗在跑。", "猫在睡！", "「好。」他说。"]),
        ("कुत्ता। बिल्ली।", ["कुत्ता।", "बिल्ली।"]),
        ("هل يجري؟ نعم.", ["هل يجري؟", "نعم."]),
        ("12:30 - 35!", [""]),
        ("🦊", [""]),
        ("", [""]),
    ],
)
def test_a_text_is_cut_between_its_sentences(text, sentences):
    assert [each.text for each in sentences_of(text)] == ([sentences] if isinstance(sentences, str) else sentences)


@pytest.mark.parametrize(
    ("text", "whole"),
    [
        ("a dog runs", "A dog runs."),
        ('a man says "hi"', 'A man says "hi".'),
        ("A DOG RUNS!", "A dog runs!"),
        ("3 dogs", "3 dogs."),
        ("A dog,", "A dog,"),
        ("USA", "USA."),
        ("狗在跑", "狗在跑。"),
        ("犬が走る", "犬が走る。"),
        ("कुत्ता", "कुत्ता।"),
        ("كلب يجري", "كلب يجري."),
        ("Ένας σκύλος", "Ένας σκύλος."),
    ],
)
def test_a_sentence_is_written_whole(text, whole):
    assert sentences_of(text)[0].whole == whole


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("[door opens] A man sits.", [("[", "door opens", "]"), ("", "A man sits.", "")]),
        ("A man sits. [door opens]", [("", "A man sits.", ""), ("[", "door opens", "]")]),
        ("A man sits [on a door]",) * 2,
        ("A man [on the left] and [on the right]",) * 2,
        ("(laughs). A dog", [("(", "laughs", ")."), ("", "A dog", "")]),
        ("- [barking]", [("- [", "barking", "]")]),
        ("ANNA: [sighs] A dog", [("ANNA: [", "sighs", "]"), ("", "A dog", "")]),
        ("(A man sits. A dog runs.)", [("(", "A man sits.", ""), ("", "A dog runs.", ")")]),
        ("[sighs]\nA dog", [("[", "sighs", "]"), ("", "A dog", "")]),
        ("A man (left) and a dog (right) in a [red] car.",) * 2,
        ("♫ A dog runs ♫", [("♫ ", "A dog runs", " ♫")]),
        ("# A dog runs #", [("# ", "A dog runs", " #")]),
        ("...a dog runs…", [("...", "a dog runs", "…")]),
        ("A dog runs?! A cat.", [("", "A dog runs", "?!"), ("", "A cat.", "")]),
        ("A dog runs. 🐕 #dog #x", [("", "A dog runs.", " 🐕 #dog #x")]),
        ("#dog #x", [("#dog #x", "", "")]),
        ("- “A dog runs…”", [("- “", "A dog runs", "…”")]),
        ('"A dog," he says.',) * 2,
        (">> A dog.", [(">> ", "A dog.", "")]),
        ("ANNA: A dog.\nBob B: A cat.", [("ANNA: ", "A dog.", ""), ("Bob B: ", "A cat.", "")]),
        ("Foreground: a dog. Back Wall: a cat.", [("Foreground: ", "a dog.", ""), ("Back Wall: ", "a cat.", "")]),
        ("A man at the #beach",) * 2,
        ("He wears #1",) * 2,
        ("A man. #beach", [("", "A man.", " #beach")]),
        ("« A dog runs. »", [("« ", "A dog runs.", " »")]),
        ("Il dit : « Bonjour. » Il part.", [("", "Il dit : « Bonjour. »", ""), ("", "Il part.", "")]),
        ("„Ein Mann geht.“ Er lacht.", [("„", "Ein Mann geht.", "“"), ("", "Er lacht.", "")]),
        ("Visit example.Com now.",) * 2,
        ("*laughs*", [("*", "laughs", "*")]),
        ("*A dog* runs",) * 2,
        ("A dog *runs*",) * 2,
        ("He writes C#.",) * 2,
        ("The answer is\n5. That is all.",) * 2,
        ("Then\n... he left\nMary: come here",) * 2,
        ("Two men: one sits.",) * 2,
        ("Score: 3",) * 2,
    ],
)
def test_what_is_no_part_of_a_sentence_stands_around_it(text, parts):
    found = [(each.mark, each.text, each.tail) for each in sentences_of(text)]
    assert found == ([("", parts, "")] if isinstance(parts, str) else parts)


@given(st.text(st.sampled_from("aB1. .!?-\n\"'ß5…[]()#:♪”“")))
def test_nothing_but_white_space_is_lost_between_sentences(text):
    parts = sentences_of(text)
    assert "".join(f"{each.gap}{each.mark}{each.text}{each.tail}" for each in parts).split() == text.split()
    assert all(each.text == each.text.strip() for each in parts)


@pytest.mark.parametrize("character", [*' \n."-1a', "- ", ". ", "\n-", "[", " [a]", "(a) ", " #a", "♪", "A: ", "…"])
def test_endless_repetitions_take_no_time(character):
    started = time.process_time()
    sentences_of(f"x{character * 50_000}y")
    assert time.process_time() - started < 5


def test_lines_are_whole_sentences_but_for_a_few():
    assert are_whole(["A dog runs."] * 8 + ["a dog", "A dog. A cat."])
    assert not are_whole(["A dog runs."] * 7 + ["a dog"] * 3)
