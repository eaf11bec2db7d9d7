import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captioner.decoding.beam import beam_search
from captioner.decoding.repeats import WithoutRepeats
from captioner.decoding.sampling import sample_search
from captioner.decoding.steps import DecodingConfig


def follows_itself(words):
    return any(
        words[first : first + size] == words[first + size : first + 2 * size]
        for size in range(1, len(words) // 2 + 1)
        for first in range(len(words) - 2 * size + 1)
    )


@given(seed=st.integers(0, 10_000), beam_size=st.integers(1, 5))
def test_nothing_follows_itself_and_scores_stay_the_model_s_own(tiny, seed, beam_size):
    model = tiny(seed, vocabulary_size=7)
    without, (state, context) = WithoutRepeats(model), model.start(3, seed)
    options = DecodingConfig(beam_size=beam_size, num_captions=beam_size, max_length=8, length_penalty=2.0)
    sampled = DecodingConfig("sample", num_captions=3, max_length=8, seed=seed)
    for search, wanted in ((beam_search, options), (sample_search, sampled)):
        found = search(without, without.start(state), context, wanted)
        for picture, hypotheses in zip(context["picture"], found, strict=True):
            for hypothesis in hypotheses:
                assert not follows_itself(hypothesis.tokens)
                each, _ = model.score(picture, hypothesis.tokens)
                assert hypothesis.token_log_probabilities == pytest.approx(each, abs=1e-4)


def test_a_model_that_repeats_itself_does_so_without(tiny):
    model = tiny(0, vocabulary_size=6)
    options = DecodingConfig(beam_size=4, max_length=8, length_penalty=2.0)
    assert any(follows_itself(best.tokens) for (best,) in beam_search(model, *model.start(20), options))


def test_words_that_may_follow_themselves_do(tiny):
    model = tiny(0, vocabulary_size=6)
    free = torch.tensor([False] * 4 + [True] * 2)
    without = WithoutRepeats(model, free)
    state, context = model.start(20)
    found = beam_search(without, without.start(state), context, DecodingConfig(beam_size=4, max_length=2, min_length=2))
    assert any(best.tokens[0] == best.tokens[1] for (best,) in found)
