from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.metrics.rouge import rouge_l

sentences = st.lists(st.sampled_from("abcd"), min_size=1, max_size=9)


@given(sentences, st.lists(sentences, min_size=1, max_size=3))
def test_rouge_l_is_the_f_score_of_the_longest_common_subsequence(
    words: list[str], references: list[list[str]]
) -> None:
    def common(first: tuple[str, ...], second: tuple[str, ...]) -> int:
        @cache
        def length(i: int, j: int) -> int:
            if i == len(first) or j == len(second):
                return 0
            if first[i] == second[j]:
                return 1 + length(i + 1, j + 1)
            return max(length(i + 1, j), length(i, j + 1))

        return length(0, 0)

    lengths = [common(tuple(words), tuple(reference)) for reference in references]
    precision = max(lengths) / len(words)
    recall = max(length / len(reference) for length, reference in zip(lengths, references, strict=True))
    beta = 1.2**2
    expected = (1 + beta) * precision * recall / (recall + beta * precision) if precision else 0
    assert rouge_l([words], [references])[0] == pytest.approx(expected)


def test_precision_and_recall_may_come_from_different_references() -> None:
    mixed = rouge_l([["a", "b", "c", "x"]], [[["a"], ["a", "b", "c", "d", "e", "f"]]])[0]
    alone = [rouge_l([["a", "b", "c", "x"]], [[reference]])[0] for reference in (["a"], ["a", "b", "c", "d", "e", "f"])]
    assert mixed > max(alone)


def test_sentences_longer_than_a_machine_word_are_compared_whole() -> None:
    words = [str(number) for number in range(300)]
    assert rouge_l([words], [[words]])[0] == pytest.approx(1)
