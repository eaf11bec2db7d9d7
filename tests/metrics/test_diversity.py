import pytest

from captioner.metrics.diversity import diversity


def test_counts_words_pairs_and_captions() -> None:
    found = diversity(["a dog runs", "a dog runs", "a cat"], {"a cat", "a bird"})
    assert found.vocabulary == 4
    assert found.distinct_1 == pytest.approx(4 / 8)
    assert found.distinct_2 == pytest.approx(3 / 5)
    assert found.mean_length == pytest.approx(8 / 3)
    assert found.distinct_captions == pytest.approx(2 / 3)
    assert found.in_training == pytest.approx(1 / 3)


def test_collapse_shows() -> None:
    collapsed, varied = diversity(["a man in a hat"] * 50), diversity([f"a man in hat {n}" for n in range(50)])
    assert collapsed.distinct_captions == 0.02
    assert varied.distinct_captions == 1
    assert collapsed.distinct_2 < varied.distinct_2


def test_captions_without_words_are_counted_too() -> None:
    found = diversity(["", ""])
    assert (found.vocabulary, found.distinct_1, found.distinct_2, found.in_training) == (0, 0, 0, None)
