import numpy as np
import pytest

from captioner.metrics.calibration import Calibration, Reliability, cross_fitted


def answers(count=4000):
    """Answers whose log-probabilities are three times too sure."""
    draw = np.random.default_rng(0)
    odds = draw.normal(1, 1.5, count)
    right = draw.random(count) < 1 / (1 + np.exp(-odds))
    return -np.logaddexp(0, -3 * odds), right


def test_calibration_makes_confidence_what_it_says():
    likely, right = answers()
    before = Reliability.of(np.exp(likely), right)
    after = Reliability.of(Calibration.fit(likely, right)(likely), right)
    assert before.error > 0.1
    assert after.error < 0.03


def test_calibration_finds_how_much_too_sure_answers_are():
    likely, right = answers()
    found = Calibration.fit(likely, right)
    assert found.scale == pytest.approx(1 / 3, abs=0.05)
    assert found.shift == pytest.approx(0, abs=0.1)


def test_the_surest_and_impossible_answers_have_probabilities_too():
    chances = Calibration(scale=1.0, shift=0.0)([0.0, -1e9, -1.0])
    assert ((chances >= 0) & (chances <= 1)).all()
    assert chances[2] == pytest.approx(np.exp(-1.0))


def test_a_few_answers_that_are_all_right_make_no_certainty():
    assert Calibration.fit([-0.1, -0.2, -0.3], [True] * 3)([-0.2])[0] < 0.9999


def test_the_error_is_the_mean_distance_of_confidence_and_accuracy():
    reliability = Reliability.of([0.9] * 10, [True] * 6 + [False] * 4, bins=1)
    assert reliability.error == pytest.approx(0.3)


def test_answers_are_judged_by_a_calibration_that_has_not_seen_them():
    likely, right = answers(500)
    assert Reliability.of(cross_fitted(likely, right), right).error < 0.08
    assert cross_fitted([-0.5], [True]).shape == (1,)


def test_the_plot_is_a_picture(tmp_path):
    Reliability.of([0.2, 0.8], [False, True]).draw(tmp_path / "plot.png", "title")
    assert (tmp_path / "plot.png").stat().st_size > 1000
