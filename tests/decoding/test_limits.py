from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captioner.decoding.beam import beam_search
from captioner.decoding.limits import WithLimits
from captioner.decoding.sampling import sample_search
from captioner.decoding.steps import DecodingConfig


@given(
    seed=st.integers(0, 10_000),
    limits=st.lists(st.integers(2, 9), min_size=1, max_size=20),
    beam_size=st.integers(1, 5),
    length_penalty=st.sampled_from([0.0, 1.0, 3.0]),
)
def test_each_image_s_limit_is_its_own(tiny, seed, limits, beam_size, length_penalty):
    model = tiny(seed, vocabulary_size=12)
    limited, (state, context) = WithLimits(model), model.start(len(limits), seed)
    options = DecodingConfig(
        beam_size=beam_size, num_captions=beam_size, max_length=max(limits), length_penalty=length_penalty
    )
    found = beam_search(limited, limited.start(state, torch.tensor(limits)), context, options)
    for place, (limit, hypotheses) in enumerate(zip(limits, found, strict=True)):
        picture = {"picture": context["picture"][place, None]}
        (alone,) = beam_search(model, model.start(1)[0], picture, replace(options, max_length=limit))
        assert [each.tokens for each in hypotheses] == [each.tokens for each in alone]
        for one, other in zip(hypotheses, alone, strict=True):
            assert one.token_log_probabilities == pytest.approx(other.token_log_probabilities, abs=1e-4)


@given(seed=st.integers(0, 10_000), limits=st.lists(st.integers(1, 6), min_size=1, max_size=8))
def test_samples_keep_to_the_limits_and_to_the_model_s_scores(tiny, seed, limits):
    model = tiny(seed, vocabulary_size=12, end_bias=-2.0)
    limited, (state, context) = WithLimits(model), model.start(len(limits), seed)
    options = DecodingConfig("sample", num_captions=3, max_length=max(limits), seed=seed)
    found = sample_search(limited, limited.start(state, torch.tensor(limits)), context, options)
    for picture, limit, hypotheses in zip(context["picture"], limits, found, strict=True):
        assert all(len(each.tokens) <= limit for each in hypotheses)
        for each in hypotheses:
            assert each.token_log_probabilities == pytest.approx(model.score(picture, each.tokens)[0], abs=1e-4)
