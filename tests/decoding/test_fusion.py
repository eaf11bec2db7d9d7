import pytest
import torch

from captioner.decoding.beam import beam_search
from captioner.decoding.fusion import ShallowFusion
from captioner.decoding.sampling import sample_search
from captioner.decoding.steps import DecodingConfig, Rows
from captioner.errors import UsageError
from captioner.models.language_network import LanguageNetwork, NetworkConfig
from captioner.text.vocabulary import SPECIALS, Vocabulary

WORDS = Vocabulary([*SPECIALS, "a", "dog", "cat", "runs", "sits", "zebra", "yak"])
KNOWN = Vocabulary([*SPECIALS, "sits", "a", "runs", "cat", "dog", "other"])
SEARCH = DecodingConfig(beam_size=6, num_captions=6, max_length=4, length_penalty=0.0)


def network(seed, vocabulary):
    torch.manual_seed(seed)
    made = LanguageNetwork(NetworkConfig(hidden_size=10, embedding_size=8), len(vocabulary)).eval()
    with torch.no_grad():
        made.embedding.weight *= 4
        made.bias.normal_()
    return made


@pytest.fixture
def decoder():
    return network(1, WORDS)


@pytest.fixture
def language():
    return network(2, KNOWN)


def fuse(decoder, language, weight):
    return ShallowFusion(decoder, language, language.start(1), WORDS, KNOWN, weight)


@torch.inference_mode()
def log_probs(model, ids):
    state, read, found = model.start(1), WORDS.start, []
    for word in ids:
        logits, state, _ = model.step(torch.tensor([read]), state, {}, Rows(1, 1))
        found.append(logits.log_softmax(-1)[0])
        read = word
    return torch.stack(found)


@torch.inference_mode()
def test_a_caption_is_worth_both_log_probabilities(decoder, language):
    fusion = fuse(decoder, language, 0.7)
    found = beam_search(fusion, fusion.start(decoder.start(2)), {}, SEARCH)
    assert found[0] == found[1]
    assert len(found[0]) == 6
    for hypothesis in found[0]:
        ids = [*hypothesis.tokens, WORDS.end]
        theirs = KNOWN.encode(WORDS.tokens[word] for word in ids)
        own = log_probs(decoder, ids).gather(1, torch.tensor(ids)[:, None]).squeeze(1)
        fluency = log_probs(language, theirs).gather(1, torch.tensor(theirs)[:, None]).squeeze(1)
        # two of the decoder's words, and its <unk>, are unknown to the language model
        fluency -= torch.tensor([3.0]).log() * (torch.tensor(theirs) == KNOWN.unk)
        assert hypothesis.log_probability == pytest.approx(float((own + 0.7 * fluency).sum()), abs=1e-4)


@torch.inference_mode()
def test_without_weight_the_language_model_changes_nothing(decoder, language):
    fusion = fuse(decoder, language, 0.0)
    found = beam_search(fusion, fusion.start(decoder.start(1)), {}, SEARCH)[0]
    alone = beam_search(decoder, decoder.start(1), {}, SEARCH)[0]
    assert [each.tokens for each in found] == [each.tokens for each in alone]
    for each, expected in zip(found, alone, strict=True):
        assert each.log_probability == pytest.approx(expected.log_probability, abs=1e-4)


@torch.inference_mode()
def test_a_heavy_language_model_decides(decoder, language):
    fusion = fuse(decoder, language, 1e4)
    best = beam_search(fusion, fusion.start(decoder.start(1)), {}, DecodingConfig(beam_size=1, max_length=3))[0][0]
    logits, _, _ = language.step(torch.tensor([KNOWN.start]), language.start(1), {}, Rows(1, 1))
    shared = [word for word in WORDS.tokens[4:] if word in KNOWN]
    favourite = max(shared, key=lambda word: float(logits[0, KNOWN.encode([word])[0]]))
    assert WORDS.tokens[best.tokens[0]] == favourite


@torch.inference_mode()
def test_samples_are_drawn_from_both(decoder, language):
    fusion = fuse(decoder, language, 0.5)
    options = DecodingConfig("sample", num_captions=4, max_length=4, seed=1)
    assert len(sample_search(fusion, fusion.start(decoder.start(2)), {}, options)[1]) == 4


@pytest.mark.parametrize("weight", [-0.1, float("nan"), float("inf")])
def test_a_weight_that_is_none_is_refused(decoder, language, weight):
    with pytest.raises(UsageError, match="language model's weight is"):
        fuse(decoder, language, weight)
