import pytest

from captioner.errors import DataError
from captioner.metrics.cider import CiderD
from captioner.metrics.scores import score
from captioner.text.ptb import tokenize

REFERENCES = {
    "dog": ["A brown dog runs across the grass.", "A dog runs on a lawn."],
    "man": ["A man rides a bike.", "The man's bike is red.", "A cyclist in the street."],
    "cat": ["A cat sleeps in the sun."],
}
TOKENS = {image: [tokenize(text) for text in texts] for image, texts in REFERENCES.items()}


def test_a_reward_is_the_metric_of_each_caption_whatever_the_batch() -> None:
    captions = {"dog": "a brown dog on a lawn", "man": "a man's bike", "cat": "a blue blue zebra sleeps"}
    expected = dict(zip(captions, score(captions, REFERENCES).per_image["CIDEr"], strict=True))
    ids = ["cat", "man", "cat", "dog", "man"]
    found = CiderD(TOKENS).scores(ids, [tokenize(captions[image]) for image in ids])
    assert found == pytest.approx([expected[image] for image in ids], abs=1e-12)


def test_several_captions_of_an_image_are_scored_apart() -> None:
    reward = CiderD(TOKENS)
    together = reward.scores(["dog"] * 3, [["a", "dog"], ["a", "brown", "dog", "runs"], []])
    alone = [reward.scores(["dog"], [words])[0] for words in (["a", "dog"], ["a", "brown", "dog", "runs"], [])]
    assert together == pytest.approx(alone)
    assert together[1] > together[0] > together[2] == 0


def test_two_unknown_words_are_not_one_unknown_word_twice() -> None:
    reward = CiderD(TOKENS)
    twice, apart = reward.scores(["dog", "dog"], [["dog", "zzz", "zzz"], ["dog", "zzz", "yyy"]])
    assert twice < apart


def test_a_caption_equal_to_the_only_reference_scores_ten() -> None:
    assert CiderD(TOKENS).scores(["cat"], TOKENS["cat"]) == pytest.approx([10])


def test_no_captions_have_no_scores() -> None:
    assert CiderD(TOKENS).scores([], []).shape == (0,)


def test_an_image_without_references_is_named() -> None:
    with pytest.raises(DataError, match="image bird has no references"):
        CiderD(TOKENS).scores(["bird"], [["a"]])
