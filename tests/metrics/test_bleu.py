import numpy as np
import pytest
from nltk.translate.bleu_score import corpus_bleu

from captioner.metrics.bleu import bleu, statistics
from captioner.metrics.ngrams import References

TEXTS = {
    1: ["a brown dog runs across the green grass", "a dog is running over a lawn"],
    2: ["a man rides his bike past a shop", "the man on a bike", "a cyclist in the street"],
}
REFERENCES = {image: [text.split() for text in texts] for image, texts in TEXTS.items()}
CAPTIONS = [text.split() for text in ("a dog runs across the lawn", "a man on a bike past the shop in town")]


def test_corpus_bleu_is_that_of_nltk_for_captions_of_four_words_and_more() -> None:
    references = References(REFERENCES)
    found = bleu(statistics(references, references.count([1, 2], CAPTIONS)).sum(axis=0))
    for n in range(1, 5):
        weights = tuple(1 / n if k < n else 0 for k in range(4))
        assert found[n - 1] == pytest.approx(corpus_bleu(list(REFERENCES.values()), CAPTIONS, weights), abs=1e-7)


def test_statistics_are_matches_guesses_and_lengths() -> None:
    references = References(REFERENCES)
    table = statistics(references, references.count([2, 1], [["a", "a", "a", "bike"], []]))
    assert table.tolist() == [[3, 1, 0, 0, 4, 3, 2, 1, 4, 5], [0, 0, 0, 0, 0, 0, 0, 0, 0, 7]]


def test_closest_reference_length_is_the_shorter_of_two_as_close() -> None:
    references = References({1: [["a"] * 3, ["a"] * 7, ["a"] * 5]})
    assert statistics(references, references.count([1, 1], [["a"] * 4, ["a"] * 6]))[:, -1].tolist() == [3, 5]


def test_an_empty_caption_scores_nothing_without_a_warning(recwarn: pytest.WarningsRecorder) -> None:
    references = References({1: [["a", "dog"]]})
    assert np.allclose(bleu(statistics(references, references.count([1], [[]]))), 0)
    assert not recwarn.list
