import numpy as np

from captioner.models.caption_writer import Caption
from captioner.models.translated_captions import translate_captions
from captioner.models.translation import Translation

DOG, GRASS = np.eye(4, dtype=np.float32)[:2].reshape(2, 2, 2)


class Fixed:
    """Translates "A dog 's grass." as three words of which the first is read from the last."""

    def translate(self, sentences, *, alignment):
        weights = np.array([[0, 0, 1], [0.5, 0.5, 0], [0, 1, 0]], np.float32) if alignment else None
        return [Translation("Gras ein Hund", -0.1, -0.3, (), ("Gras", "ein", "Hund"), weights) for _ in sentences]


def caption(attention):
    return Caption("A dog's grass.", -0.4, -2.0, ("a", "dog", "'s", "grass"), attention)


def test_text_and_tokens_are_translated_and_the_score_stays():
    (found,), none = translate_captions([[caption(None)], []], Fixed())
    assert (found.text, found.tokens) == ("Gras ein Hund", ("Gras", "ein", "Hund"))
    assert (found.score, found.log_probability, found.attention) == (-0.4, -2.0, None)
    assert none == []


def test_a_word_looks_where_the_words_did_that_it_was_translated_from():
    attention = np.stack([DOG, DOG, DOG, GRASS])
    found = translate_captions([[caption(attention)]], Fixed())[0][0].attention
    np.testing.assert_allclose(found, [GRASS, DOG, DOG], atol=1e-5)


def test_no_captions_are_no_translations(make_translator):
    assert translate_captions([], make_translator()) == []


def test_an_empty_caption_stays_empty(make_translator):
    empty = Caption("", -1.0, -1.0, (), np.zeros((0, 2, 2), np.float32))
    assert translate_captions([[empty]], make_translator())[0][0].text == ""
