import itertools
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner.decoding.beam import beam_search
from captioner.decoding.steps import DecodingConfig, Rows
from captioner.errors import ModelError
from captioner.text.vocabulary import Vocabulary

searches = st.builds(
    DecodingConfig,
    beam_size=st.integers(3, 6),
    num_captions=st.integers(1, 3),
    min_length=st.integers(0, 4),
    max_length=st.integers(4, 8),
    length_penalty=st.sampled_from([0.0, 0.6, 1.0, 2.0]),
    threshold=st.sampled_from([0.0, 0.0, 0.5, 2.0]),
    no_repeat_ngram=st.integers(0, 3),
)


def plain_search(model, picture, options):
    """Beam search as the books write it: one image, lists."""
    beams, ended = [((), 0.0)], []
    for length in range(options.max_length + 1):
        candidates = []
        for words, total in beams:
            state, last = model.start(1)[0], Vocabulary.start
            for word in [*words, None]:
                logits, state, _ = model.step(torch.tensor([last]), state, {"picture": picture[None]}, Rows(1, 1))
                last = word
            log_probs = logits[0].log_softmax(-1).tolist()
            if length >= options.min_length:
                candidates.append((words, total + log_probs[Vocabulary.end], True))
            if length < options.max_length:
                candidates += [((*words, word), total + log_probs[word], False) for word in model.words]
        candidates.sort(key=lambda candidate: -candidate[1])
        kept = candidates[: options.beam_size]
        ended += [(total / (length + 1) ** options.length_penalty, words) for words, total, ends in kept if ends]
        best = sorted((score for score, _ in ended), reverse=True)[: options.num_captions]
        worst = best[-1] if len(best) == options.num_captions else -math.inf
        bounds = [total / (length + 2) ** options.length_penalty for _, total, _ in kept]
        beams = [
            (words, total)
            for (words, total, ends), bound in zip(kept, bounds, strict=True)
            if not ends and bound > worst
        ]
        if options.threshold and len(beams) > options.num_captions:
            least = beams[options.num_captions - 1][1] - options.threshold
            beams = [(words, total) for words, total in beams if total >= least]
    return [words for _, words in sorted(ended, reverse=True)[: options.num_captions]]


@pytest.mark.parametrize("length_penalty", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("seed", range(3))
def test_a_beam_wide_enough_finds_the_best_of_all_captions(tiny, seed, length_penalty):
    model = tiny(seed)
    state, context = model.start(3)
    options = DecodingConfig(beam_size=130, num_captions=5, max_length=4, length_penalty=length_penalty)
    found = beam_search(model, state, context, options)
    for picture, hypotheses in zip(context["picture"], found, strict=True):
        every = [words for length in range(1, 5) for words in itertools.product(model.words, repeat=length)]
        every.sort(key=lambda words: -sum(model.score(picture, words)[0]) / (len(words) + 1) ** length_penalty)
        assert [hypothesis.tokens for hypothesis in hypotheses] == every[:5]


@given(seed=st.integers(0, 10_000), options=searches.filter(lambda options: not options.no_repeat_ngram))
@settings(max_examples=40)
def test_all_images_at_once_find_what_each_finds_alone(tiny, seed, options):
    model = tiny(seed, vocabulary_size=10, end_bias=1.0)
    state, context = model.start(3, seed)
    found = beam_search(model, state, context, options)
    for picture, hypotheses in zip(context["picture"], found, strict=True):
        assert [hypothesis.tokens for hypothesis in hypotheses] == plain_search(model, picture, options)


@given(seed=st.integers(0, 10_000), options=searches, threshold=st.sampled_from([0.01, 0.5]))
@settings(max_examples=40)
def test_a_threshold_leaves_no_place_empty(tiny, seed, options, threshold):
    found = beam_search(tiny(seed, 12), *tiny(seed, 12).start(3, seed), replace(options, threshold=threshold))
    assert [len(hypotheses) for hypotheses in found] == [options.num_captions] * 3


def test_what_lies_below_the_threshold_is_not_stepped(tiny):
    stepped = []
    for threshold in (0.0, 1.0):
        model = tiny(1, vocabulary_size=10, end_bias=1.0)
        beam_search(model, *model.start(64), DecodingConfig(threshold=threshold))
        stepped.append(sum(rows for _, _, rows in model.calls))
    assert stepped[1] < 0.8 * stepped[0]


def test_one_beam_is_greedy_search(tiny):
    model = tiny(3, vocabulary_size=30, end_bias=1.5)
    state, context = model.start(12)
    found = beam_search(model, state, context, DecodingConfig(beam_size=1, max_length=9))
    lengths = set()
    for picture, (hypothesis,) in zip(context["picture"], found, strict=True):
        state, last, words = model.start(1)[0], Vocabulary.start, []
        while len(words) < 9:
            logits, state, _ = model.step(torch.tensor([last]), state, {"picture": picture[None]}, Rows(1, 1))
            logits[..., [Vocabulary.pad, Vocabulary.start, Vocabulary.unk]] = -torch.inf
            if not words:
                logits[..., Vocabulary.end] = -torch.inf
            last = int(logits.argmax())
            if last == Vocabulary.end:
                break
            words.append(last)
        assert hypothesis.tokens == tuple(words)
        lengths.add(len(words))
    assert len(lengths) > 2  # the images do end at different steps


@given(seed=st.integers(0, 10_000), options=searches)
@settings(max_examples=40)
def test_a_score_is_the_teacher_forced_log_probability(tiny, seed, options):
    model = tiny(seed, vocabulary_size=12, end_bias=1.0)
    state, context = model.start(2, seed)
    found = beam_search(model, state, context, options, return_attention=True)
    for picture, hypotheses in zip(context["picture"], found, strict=True):
        for hypothesis in hypotheses:
            each, attention = model.score(picture, hypothesis.tokens)
            assert hypothesis.token_log_probabilities == pytest.approx(each, abs=1e-5)
            assert hypothesis.log_probability == pytest.approx(sum(each), abs=1e-5)
            assert torch.allclose(hypothesis.attention, attention[:-1])
        scores = [h.log_probability / (len(h.tokens) + 1) ** options.length_penalty for h in hypotheses]
        assert scores == sorted(scores, reverse=True)


@given(seed=st.integers(0, 10_000), options=searches, data=st.data())
@settings(max_examples=40)
def test_an_image_does_not_see_its_neighbours(tiny, seed, options, data):
    model = tiny(seed, vocabulary_size=12, end_bias=1.0)
    state, context = model.start(6, seed)
    together = beam_search(model, state, context, options)
    some = data.draw(st.lists(st.integers(0, 5), min_size=1, max_size=4))
    apart = beam_search(model, model.start(len(some))[0], {"picture": context["picture"][some]}, options)
    assert [[h.tokens for h in hypotheses] for hypotheses in apart] == [
        [h.tokens for h in together[image]] for image in some
    ]


def test_nothing_but_words_is_said_when_hardly_any_word_is_left(tiny):
    model = tiny(0, vocabulary_size=12, end_bias=1.0)  # eight words, none to be said twice
    options = DecodingConfig(beam_size=3, max_length=8, length_penalty=2.0, no_repeat_ngram=1)
    found = beam_search(model, *model.start(6), options)
    for (hypothesis,) in found:
        assert set(hypothesis.tokens) <= set(model.words)
        assert len(set(hypothesis.tokens)) == len(hypothesis.tokens)


def test_finished_images_leave_the_batch(tiny):
    model = tiny(1, vocabulary_size=20, end_bias=2.0)
    state, context = model.start(16)
    beam_search(model, state, context, DecodingConfig(beam_size=2, max_length=30, length_penalty=0))
    sizes = [images for images, _, _ in model.calls]
    assert sizes == sorted(sizes, reverse=True)
    assert 1 <= sizes[-1] < sizes[0] == 16


def stepped(model, seed, options, together):
    """What a search finds that steps hypotheses in groups of some size."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("captioner.decoding.beam.TOGETHER", together)
        return beam_search(model, *model.start(9, seed), options, return_attention=True)


@given(seed=st.integers(0, 10_000), options=searches, together=st.integers(1, 8))
@settings(max_examples=40)
def test_hypotheses_that_left_the_beam_need_not_be_stepped(tiny, seed, options, together):
    few, everything = (tiny(seed, vocabulary_size=12, end_bias=1.0) for _ in range(2))
    found, expected = stepped(few, seed, options, together), stepped(everything, seed, options, 1_000_000)
    for hypotheses, others in zip(found, expected, strict=True):
        for one, other in zip(hypotheses, others, strict=True):
            assert one.tokens == other.tokens
            assert one.log_probability == pytest.approx(other.log_probability, abs=1e-5)
            assert torch.allclose(one.attention, other.attention)
    assert all(rows == images * beams for images, beams, rows in everything.calls)
    assert all(rows % together == 0 or rows == images * beams for images, beams, rows in few.calls)


def test_hypotheses_that_left_the_beam_are_not_stepped(tiny):
    model = tiny(1, vocabulary_size=20, end_bias=2.0)
    beam_search(model, *model.start(40), DecodingConfig(beam_size=3, length_penalty=0))
    assert sum(rows for _, _, rows in model.calls) < 0.95 * sum(images * beams for images, beams, _ in model.calls)


def test_unknown_words_and_padding_are_never_said_even_if_most_probable(tiny):
    model = tiny(0)
    model.bias[[Vocabulary.pad, Vocabulary.start, Vocabulary.unk]] = 50
    state, context = model.start(4)
    for hypotheses in beam_search(model, state, context, DecodingConfig(num_captions=5)):
        assert all(set(hypothesis.tokens) <= set(model.words) for hypothesis in hypotheses)
        assert hypotheses[0].log_probability < -40  # they keep their share of probability


@given(seed=st.integers(0, 10_000), options=searches)
@settings(max_examples=40)
def test_lengths_and_repeats_stay_within_limits(tiny, seed, options):
    model = tiny(seed, vocabulary_size=20)
    state, context = model.start(3, seed)
    for hypotheses in beam_search(model, state, context, options):
        assert len(hypotheses) == options.num_captions
        assert len({hypothesis.tokens for hypothesis in hypotheses}) == len(hypotheses)
        for words in [hypothesis.tokens for hypothesis in hypotheses]:
            assert options.min_length <= len(words) <= options.max_length
            if size := options.no_repeat_ngram:
                runs = [words[start : start + size] for start in range(len(words) - size + 1)]
                assert len(set(runs)) == len(runs)


def test_max_length_closes_a_caption_that_would_go_on(tiny):
    model = tiny(0, end_bias=-100.0)
    state, context = model.start(1)
    (hypothesis,) = beam_search(model, state, context, DecodingConfig(max_length=3))[0]
    assert len(hypothesis.tokens) == 3
    assert not hypothesis.finished
    assert hypothesis.token_log_probabilities[-1] < -90


def test_a_caption_that_ends_by_itself_is_finished(tiny):
    model = tiny(0, end_bias=100.0)
    state, context = model.start(1)
    (hypothesis,) = beam_search(model, state, context, DecodingConfig(max_length=3))[0]
    assert len(hypothesis.tokens) == 1
    assert hypothesis.finished


def test_a_beam_wider_than_the_vocabulary_works(tiny):
    model = tiny(0, vocabulary_size=5)
    state, context = model.start(2)
    found = beam_search(
        model, state, context, DecodingConfig(beam_size=9, num_captions=9, max_length=3, no_repeat_ngram=1)
    )
    # once the only word is used up it may come again
    assert {hypothesis.tokens for hypothesis in found[0]} == {(4,), (4, 4), (4, 4, 4)}


def test_a_diverged_model_is_reported(tiny):
    model = tiny(0)
    model.output[:] = torch.nan
    with pytest.raises(ModelError, match="not a number"):
        beam_search(model, *model.start(2), DecodingConfig())


def test_attention_is_left_out_unless_asked_for(tiny):
    model = tiny(0)
    assert beam_search(model, *model.start(1), DecodingConfig())[0][0].attention is None
