import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from captioner.decoding.steps import DecodingConfig, ban_repeats
from captioner.errors import UsageError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "greedy"}, "method is 'greedy'; choose beam or sample"),
        ({"beam_size": 0}, "beam_size is 0; it must be at least 1"),
        ({"num_captions": 6}, "num_captions is 6.*beam of 5.*set beam_size to 6"),
        ({"max_length": 0}, "max_length is 0"),
        ({"min_length": 21}, "min_length is 21, more than max_length, which is 20"),
        ({"min_length": -1}, "min_length is -1"),
        ({"length_penalty": -0.5}, "length_penalty is -0.5"),
        ({"length_penalty": float("nan")}, "length_penalty is nan"),
        ({"no_repeat_ngram": -1}, "no_repeat_ngram is -1"),
        ({"method": "sample", "temperature": 0}, "temperature is 0"),
        ({"method": "sample", "top_k": -3}, "top_k is -3"),
        ({"method": "sample", "top_p": 0}, "top_p is 0"),
        ({"method": "sample", "top_p": 1.1}, "top_p is 1.1"),
        ({"top_k": 5}, "set method to sample"),
        ({"beam_size": 10**9}, "beam_size is 1e\\+09; it must be at most 10,000"),
        ({"max_length": 10**30}, "max_length is 1e\\+30; it must be at most 10,000"),
        ({"length_penalty": float("inf")}, "length_penalty is inf; it must be at most 100"),
        ({"method": "sample", "temperature": 1e-300}, "temperature is 1e-300; it must be at least 0.0001"),
        ({"method": "sample", "temperature": float("inf")}, "temperature is inf; it must be at most 1,000"),
        ({"method": "sample", "seed": 2**63}, "it must be a number of 64 bits"),
    ],
)
def test_an_option_out_of_range_is_named(options, message):
    with pytest.raises(UsageError, match=message):
        DecodingConfig(**options)


def test_sampling_may_give_more_captions_than_a_beam_holds():
    assert DecodingConfig("sample", beam_size=1, num_captions=10).num_captions == 10


@given(words=st.lists(st.integers(4, 7), max_size=10), length=st.integers(1, 4))
def test_exactly_the_words_that_would_repeat_a_run_are_banned(words, length):
    logits = torch.randn(1, 1, 30)
    left = logits.clone()
    ban_repeats(left, torch.tensor([[words]], dtype=torch.long), length)
    runs = {tuple(words[start : start + length]) for start in range(len(words) - length + 1)}
    last = words[len(words) - length + 1 :] if length > 1 else []
    for word in range(2, 30):
        assert bool(left[0, 0, word] == -torch.inf) == ((*last, word) in runs)
        if (*last, word) not in runs:
            assert left[0, 0, word] == logits[0, 0, word]


def test_one_who_has_used_up_all_words_may_repeat():
    left = torch.zeros(1, 2, 6)
    ban_repeats(left, torch.tensor([[[4, 5, 4], [4, 4, 4]]]), 1)
    assert left[0, 0, 4:].tolist() == [0, 0]
    assert left[0, 1, 4:].tolist() == [-torch.inf, 0]
