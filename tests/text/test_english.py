import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.text.english import to_sentence
from captioner.text.ptb import tokenize


@pytest.mark.parametrize(
    ("tokens", "sentence"),
    [
        ("a man 's hat", "A man's hat."),
        ("two dogs ' tails", "Two dogs' tails."),
        ("they do n't know that i 'm here", "They don't know that I'm here."),
        ("he can not swim but is gon na try", "He cannot swim but is gonna try."),
        ("a dog -lrb- brown -rrb- runs", "A dog (brown) runs."),
        ("a `` big '' dog", 'A "big" dog.'),
        ('a " big " dog', 'A "big" dog.'),
        ("a two - way street", "A two-way street."),
        ("a t-shirt for $ 5", "A t-shirt for $5."),
        ("salt and\\/or pepper", "Salt and/or pepper."),
        ("a&b & c", "A&b & c."),
        ("2 dogs", "2 dogs."),
        ("the sign says `` stop ! ''", 'The sign says "stop!"'),
        ("red , white and blue .", "Red, white and blue."),
        ("is it ?", "Is it?"),
        ("", ""),
    ],
)
def test_tokens_become_ordinary_english(tokens, sentence):
    assert to_sentence(tokens.split()) == sentence


@given(
    st.lists(st.sampled_from(["a", "dog", "man", "'s", "do", "n't", "t-shirt", "&", "2", "%", "$", "i"]), min_size=1)
)
def test_a_sentence_starts_and_stops_like_one(tokens):
    sentence = to_sentence(tokens)
    assert sentence.endswith(".")
    assert "  " not in sentence
    first = next((letter for letter in sentence if letter.isalnum()), "0")
    assert first == first.upper()


@pytest.mark.parametrize(
    "caption",
    [
        "A man's hat (red) isn't on the dogs' table.",
        "Two women can't see their friends' t-shirts & shoes.",
        "They're wearing 20% off tags that cost $5.",
    ],
)
def test_the_scorers_tokens_of_the_sentence_are_the_tokens_again(caption):
    tokens = tokenize(caption)
    assert tokenize(to_sentence(tokens)) == tokens
