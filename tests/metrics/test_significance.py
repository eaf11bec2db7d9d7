import numpy as np
import pytest

from captioner.errors import DataError
from captioner.metrics.scores import Scores, score
from captioner.metrics.significance import bootstrap, compare, interval

NOUNS = ["dog", "cat", "man", "woman", "child", "horse", "bird", "boat", "car", "tree"]
REFERENCES = {n: [f"a {NOUNS[n % 10]} by the {NOUNS[n // 10]} in the park", f"the {NOUNS[n % 10]}"] for n in range(60)}


def captions(right: int) -> dict[int, str]:
    return {n: texts[0] if n % 6 < right else "a photo of a thing" for n, texts in REFERENCES.items()}


def scored(right: int) -> Scores:
    return score(captions(right), REFERENCES)


def test_intervals_hold_the_score_and_are_the_same_every_time() -> None:
    scores = scored(3)
    for name, totals in bootstrap(scores).items():
        low, high = interval(totals)
        assert low < scores.totals[name] < high
    first, second = bootstrap(scores), bootstrap(scores)
    assert all(np.array_equal(first[name], second[name]) for name in first)


def test_resampled_totals_spread_as_the_standard_error_says() -> None:
    values = scored(3).per_image["CIDEr"]
    spread = bootstrap(scored(3), 4000)["CIDEr"].std()
    assert spread == pytest.approx(values.std() / len(values) ** 0.5, rel=0.05)


def test_resampled_bleu_is_that_of_the_corpus_not_a_mean() -> None:
    scores = scored(3)
    totals = bootstrap(scores)["Bleu_4"]
    assert totals.mean() == pytest.approx(scores.totals["Bleu_4"], abs=0.02)


def test_one_image_gives_an_interval_of_no_width() -> None:
    scores = score({1: "a dog"}, {1: ["a dog runs"]}, ["rouge"])
    assert interval(bootstrap(scores)["ROUGE_L"]) == pytest.approx([scores.totals["ROUGE_L"]] * 2)


def test_a_better_system_differs_and_an_equal_one_does_not() -> None:
    better = compare(scored(5), scored(2))
    for found in better.values():
        assert found.difference > 0
        assert found.interval[0] > 0
        assert found.p_value < 0.01
    for found in compare(scored(3), scored(3)).values():
        assert (found.difference, found.interval, found.p_value) == (0, (0, 0), 1)


def test_a_difference_changes_its_sign_with_the_order_of_the_systems() -> None:
    forth, back = compare(scored(4), scored(3)), compare(scored(3), scored(4))
    assert forth["CIDEr"].difference == -back["CIDEr"].difference
    assert forth["CIDEr"].p_value == back["CIDEr"].p_value


def test_systems_on_different_images_cannot_be_compared() -> None:
    with pytest.raises(DataError, match="same images"):
        compare(scored(3), score({1: "a dog"}, {1: ["a dog"]}))
