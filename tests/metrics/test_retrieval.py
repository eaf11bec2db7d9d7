import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from captioner.metrics.retrieval import Retrieval, rank_of


@given(st.data())
def test_a_rank_is_the_place_in_the_sorted_list_of_answers(data):
    count = data.draw(st.integers(1, 12))
    scores = data.draw(
        arrays.arrays(np.float32, count, elements=st.floats(-9, 9, width=32), unique=True)
    )
    right = data.draw(st.sets(st.integers(0, count - 1), min_size=1))
    order = sorted(range(count), key=lambda place: -scores[place])
    assert rank_of(scores, sorted(right)) == 1 + min(order.index(each) for each in right)


def test_equal_scores_count_against_the_system():
    assert rank_of(np.zeros(7, np.float32), [3]) == 7


def test_recalls_are_shares_of_the_queries():
    found = Retrieval(np.array([1, 2, 5, 6, 11, 40]))
    assert found.totals == pytest.approx({"R@1": 1 / 6, "R@5": 3 / 6, "R@10": 4 / 6, "median rank": 5.5})


def test_intervals_hold_the_totals_and_are_wider_where_queries_are_drawn_in_groups():
    ranks = np.repeat(np.random.default_rng(0).integers(1, 30, 60), 5)
    found = Retrieval(ranks)
    alone, grouped = found.intervals(), found.intervals(np.repeat(np.arange(60), 5))
    for name, total in found.totals.items():
        assert alone[name][0] <= total <= alone[name][1]
    assert grouped["R@5"][1] - grouped["R@5"][0] > 1.5 * (alone["R@5"][1] - alone["R@5"][0])
