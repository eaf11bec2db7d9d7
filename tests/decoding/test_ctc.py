from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.decoding.ctc import (
    Beam,
    WordList,
    align,
    beam_search,
    best_path,
    best_spans,
    columns_needed,
    log_probabilities,
)


def scores(seed, columns, classes=4):
    draw = np.random.default_rng(seed)
    return torch.from_numpy(draw.normal(0, 2, (columns, classes)).astype(np.float32)).log_softmax(-1).numpy()


def joined(labels):
    return tuple(x for place, x in enumerate(labels) if x and (place == 0 or x != labels[place - 1]))


def totals(log_probs):
    """The probability of every text, summed over all labellings one by one."""
    found = {}
    for labels in product(range(log_probs.shape[1]), repeat=len(log_probs)):
        chance = np.exp(sum(log_probs[column, label] for column, label in enumerate(labels)))
        found[joined(labels)] = found.get(joined(labels), 0.0) + chance
    return found


def test_equal_neighbours_are_joined_and_blanks_dropped():
    path = [1, 1, 0, 1, 2, 2, 0]
    assert best_path(torch.eye(3)[path]) == [1, 1, 2]


def test_a_blank_between_equal_characters_needs_a_column():
    assert columns_needed([]) == 0
    assert columns_needed([1, 1, 2, 2]) == 6


@given(st.integers(0, 500))
@settings(max_examples=20)
def test_the_log_probability_of_a_text_is_that_of_all_its_labellings(seed):
    log_probs = scores(seed, 5)
    for text, chance in list(totals(log_probs).items())[:10]:
        found = log_probabilities(torch.from_numpy(log_probs)[None], [text])
        assert float(found.exp()) == pytest.approx(chance, rel=1e-4)


@given(st.integers(0, 500))
@settings(max_examples=30)
def test_a_wide_beam_finds_the_likeliest_text(seed):
    log_probs = scores(seed, 5)
    every = totals(log_probs)
    found = beam_search(log_probs, Beam(200))
    assert every[tuple(found)] == pytest.approx(max(every.values()), rel=1e-5)


def test_a_text_may_be_likelier_than_the_best_path():
    log_probs = np.log(np.array([[0.6, 0.4], [0.6, 0.4]], np.float32))
    assert best_path(torch.from_numpy(log_probs)) == []
    assert beam_search(log_probs, Beam(4)) == [1]


@given(st.integers(0, 500))
@settings(max_examples=30)
def test_an_alignment_shows_each_character_in_columns_of_its_own_in_order(seed):
    log_probs = scores(seed, 8)
    ids = best_path(torch.from_numpy(log_probs))
    spans = align(log_probs, ids)
    assert len(spans) == len(ids)
    edges = [edge for span in spans for edge in (span.first, span.last)]
    assert edges == sorted(edges)
    assert all(first.last < second.first for first, second in pairwise(spans))


def test_the_alignment_of_the_best_path_is_the_best_path():
    log_probs = np.log(np.full((6, 3), 0.05, np.float32))
    for column, label in enumerate([1, 1, 0, 1, 2, 0]):
        log_probs[column, label] = np.log(0.9)
    assert [(span.first, span.last) for span in align(log_probs, [1, 1, 2])] == [(0, 1), (3, 3), (4, 4)]


@given(st.integers(0, 500))
@settings(max_examples=30)
def test_the_columns_of_the_best_path_are_those_of_its_alignment(seed):
    log_probs = scores(seed, 12)
    ids, spans = best_spans(log_probs)
    assert ids == best_path(torch.from_numpy(log_probs))
    assert [(span.first, span.last) for span in spans] == [(each.first, each.last) for each in align(log_probs, ids)]
    assert [span.probability for span in spans] == pytest.approx([each.probability for each in align(log_probs, ids)])


def test_lines_of_several_widths_have_the_log_probabilities_that_each_has_alone():
    lines = [scores(seed, columns) for seed, columns in enumerate((4, 9, 6))]
    texts = [best_path(torch.from_numpy(each)) for each in lines]
    padded = torch.nn.utils.rnn.pad_sequence([torch.from_numpy(each) for each in lines], batch_first=True)
    together = log_probabilities(padded, texts, [len(each) for each in lines])
    alone = [log_probabilities(torch.from_numpy(each)[None], [ids]) for each, ids in zip(lines, texts, strict=True)]
    assert together.tolist() == torch.cat(alone).tolist()


def test_a_long_text_is_aligned():
    log_probs = scores(0, 600)
    ids = best_path(torch.from_numpy(log_probs))
    assert len(ids) > 200
    assert len(align(log_probs, ids)) == len(ids)


def test_a_word_list_leaves_no_other_words():
    log_probs = np.log(np.array([[0.1, 0.5, 0.4], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8]], np.float32))
    assert beam_search(log_probs, Beam(8)) == [1, 2]
    assert beam_search(log_probs, Beam(8, words=WordList([[2, 2]], None))) == [2, 2]
    assert beam_search(log_probs, Beam(8, words=WordList([[1] * 9], None))) is None


def test_a_word_list_begins_anew_after_a_space():
    words = WordList([[1, 2]], space=3)
    assert words.allows([]) == {1}
    assert words.allows([1]) == {2}
    assert words.allows([1, 2]) == {0, 3}
    assert words.allows([1, 2, 3]) == {1}
    assert words.allows([2]) == set()


class Likes:
    """A language model that likes one character."""

    def __init__(self, label, classes):
        self.row = np.full(classes, -5.0, np.float32)
        self.row[label] = 0.0

    def score(self, texts):
        return np.stack([self.row] * len(texts))


def test_a_language_model_decides_what_the_picture_leaves_open():
    log_probs = np.log(np.array([[0.02, 0.5, 0.48]], np.float32))
    assert beam_search(log_probs, Beam(8)) == [1]
    assert beam_search(log_probs, Beam(8, language=Likes(2, 3))) == [2]
