from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.decoding.beam import beam_search
from captioner.decoding.sampling import sample_search, sample_tokens
from captioner.decoding.steps import DecodingConfig, Rows
from captioner.text.vocabulary import Vocabulary

END, PAD = Vocabulary.end, Vocabulary.pad
ALLOWED = [END, 4, 5, 6]


def probabilities(model, picture, words, temperature=1.0):
    """What may follow the words, from the definition."""
    state, last = model.start(1)[0], Vocabulary.start
    for word in [*words, None]:
        logits, state, _ = model.step(torch.tensor([last]), state, {"picture": picture[None]}, Rows(1, 1))
        last = word
    weights = (logits[0, ALLOWED] / temperature).exp()
    return dict(zip(ALLOWED, (weights / weights.sum()).tolist(), strict=True))


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_captions_are_drawn_from_the_models_distribution(tiny, temperature):
    model, count = tiny(2), 20_000
    state, context = model.start(2)
    generator = torch.Generator().manual_seed(1)
    samples = sample_tokens(model, state, context, count, 2, temperature, generator)
    for picture, drawn in zip(context["picture"], samples.tolist(), strict=True):
        expected = {}
        for first, share in probabilities(model, picture, [], temperature).items():
            if first == END:
                expected[first, PAD] = share
                continue
            for second, rest in probabilities(model, picture, [first], temperature).items():
                expected[first, second] = share * rest
        seen = Counter(map(tuple, drawn))
        assert seen.keys() <= expected.keys()
        distance = sum((seen[pair] - count * share) ** 2 / (count * share) for pair, share in expected.items())
        # chi-squared with 12 degrees of freedom is below 33 with probability 0.999
        assert distance < 33


def test_tokens_are_words_then_the_end_then_padding(tiny):
    model = tiny(4, vocabulary_size=30, end_bias=2.0)
    samples = sample_tokens(model, *model.start(8), 6, 7, generator=torch.Generator().manual_seed(0))
    assert samples.shape[:2] == (8, 6)
    endings = set()
    for tokens in samples.flatten(0, 1).tolist():
        words = tokens[: tokens.index(END)] if END in tokens else tokens
        rest = tokens[len(words) + 1 :]
        assert all(word > Vocabulary.unk for word in words)
        assert rest == [PAD] * len(rest)
        endings.add(END in tokens)
    assert endings == {True, False}  # a caption of max_length words drew no end


def test_all_captions_ending_early_gives_a_short_tensor(tiny):
    model = tiny(0, end_bias=100.0)
    assert sample_tokens(model, *model.start(3), 2, 20).tolist() == [[[END]] * 2] * 3
    assert model.calls == [(3, 1, 3)]


def test_an_image_that_leaves_early_does_not_change_the_others(tiny):
    model = tiny(4, vocabulary_size=30, end_bias=1.0)
    state, context = model.start(4)
    options = DecodingConfig("sample", num_captions=3, seed=5, max_length=12)
    before = sample_search(model, state, context, options)
    context["picture"][1] *= 3
    after = sample_search(model, state, context, options)
    assert len({images for images, *_ in model.calls}) > 1
    assert before[1] != after[1]
    assert [before[image] for image in (0, 2, 3)] == [after[image] for image in (0, 2, 3)]


@given(
    seed=st.integers(0, 10_000),
    options=st.builds(
        DecodingConfig,
        method=st.just("sample"),
        num_captions=st.integers(1, 4),
        min_length=st.integers(0, 3),
        max_length=st.integers(3, 8),
        no_repeat_ngram=st.integers(0, 3),
        temperature=st.floats(0.3, 3),
        top_k=st.integers(0, 5),
        top_p=st.floats(0.1, 1),
        seed=st.integers(0, 100),
    ),
)
@settings(max_examples=60)
def test_a_score_is_the_models_own_log_probability_whatever_the_options(tiny, seed, options):
    model = tiny(seed, vocabulary_size=20, end_bias=1.0)
    state, context = model.start(2, seed)
    found = sample_search(model, state, context, options, return_attention=True)
    for picture, hypotheses in zip(context["picture"], found, strict=True):
        assert len(hypotheses) == options.num_captions
        for hypothesis in hypotheses:
            each, attention = model.score(picture, hypothesis.tokens)
            assert hypothesis.token_log_probabilities == pytest.approx(each, abs=1e-4)
            assert hypothesis.log_probability == pytest.approx(sum(each), abs=1e-4)
            assert torch.allclose(hypothesis.attention, attention[:-1])
            words = hypothesis.tokens
            assert options.min_length <= len(words) <= options.max_length
            assert hypothesis.finished == (len(words) < options.max_length)
            if size := options.no_repeat_ngram:
                runs = [words[start : start + size] for start in range(len(words) - size + 1)]
                assert len(set(runs)) == len(runs)
        scores = [h.log_probability / (len(h.tokens) + 1) for h in hypotheses]
        assert scores == sorted(scores, reverse=True)


@given(seed=st.integers(0, 10_000), top_k=st.integers(1, 4), temperature=st.floats(0.3, 3))
@settings(max_examples=20)
def test_top_k_draws_among_the_k_most_probable(tiny, seed, top_k, temperature):
    model = tiny(seed)
    state, context = model.start(1, seed)
    options = DecodingConfig(
        "sample", num_captions=300, min_length=0, max_length=1, top_k=top_k, temperature=temperature, seed=seed
    )
    shares = probabilities(model, context["picture"][0], [], temperature)
    likely = sorted(shares, key=shares.__getitem__)[-top_k:]
    firsts = {(*h.tokens, END)[0] for h in sample_search(model, state, context, options)[0]}
    assert firsts <= set(likely)
    assert likely[-1] in firsts


@given(seed=st.integers(0, 10_000), top_p=st.floats(0.05, 1), temperature=st.floats(0.3, 3))
@settings(max_examples=20)
def test_top_p_draws_among_the_fewest_words_that_make_up_p(tiny, seed, top_p, temperature):
    model = tiny(seed)
    state, context = model.start(1, seed)
    options = DecodingConfig(
        "sample", num_captions=300, min_length=0, max_length=1, top_p=top_p, temperature=temperature, seed=seed
    )
    shares = probabilities(model, context["picture"][0], [], temperature)
    nucleus, reached = set(), 0.0
    for token in sorted(shares, key=shares.__getitem__, reverse=True):
        if reached < top_p - 1e-6:
            nucleus.add(token)
        reached += shares[token]
    firsts = {(*h.tokens, END)[0] for h in sample_search(model, state, context, options)[0]}
    assert firsts <= nucleus


def test_a_seed_repeats_its_draws_and_no_seed_does_not(tiny):
    model = tiny(0, vocabulary_size=40)
    state, context = model.start(3)
    seeded = DecodingConfig("sample", num_captions=3, seed=7)
    assert sample_search(model, state, context, seeded) == sample_search(model, state, context, seeded)
    unseeded = DecodingConfig("sample", num_captions=3)
    assert sample_search(model, state, context, unseeded) != sample_search(model, state, context, unseeded)


def test_a_low_temperature_is_greedy_search(tiny):
    model = tiny(0, vocabulary_size=40)
    state, context = model.start(5)
    cold = sample_search(model, state, context, DecodingConfig("sample", temperature=1e-4))
    greedy = beam_search(model, state, context, DecodingConfig(beam_size=1))
    assert [h[0].tokens for h in cold] == [h[0].tokens for h in greedy]


def test_draws_at_the_very_edges_of_the_distribution_are_allowed_words(tiny, monkeypatch):
    model = tiny(0)
    model.bias[4] = 60  # the other words' probabilities vanish
    for edge in (0.0, 1 - 2**-24):
        monkeypatch.setattr(torch, "rand", lambda *size, edge=edge, **_: torch.full(size, edge))
        for options in (
            DecodingConfig("sample"),
            DecodingConfig("sample", top_k=2),
            DecodingConfig("sample", top_p=0.5),
        ):
            (hypothesis,) = sample_search(model, *model.start(1), options)[0]
            assert set(hypothesis.tokens) <= set(model.words)
