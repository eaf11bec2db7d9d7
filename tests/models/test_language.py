import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from captioner import load
from captioner.decoding.steps import DecodingConfig, Rows
from captioner.errors import ModelError, UsageError
from captioner.models import language
from captioner.models.language import LanguageConfig, LanguageModel
from captioner.models.language_network import NetworkConfig
from captioner.text.vocabulary import SPECIALS, Vocabulary

WORDS = ["a", "dog", "cat", "runs", "on", "the", "grass", "'s"]
DRAW = DecodingConfig("sample", num_captions=3, max_length=6, seed=4)


def make_model(tokens="words", **network):
    torch.manual_seed(1)
    config = LanguageConfig(tokens=tokens, network=NetworkConfig(**{"hidden_size": 12, "embedding_size": 8, **network}))
    model = LanguageModel.build(config, Vocabulary([*SPECIALS, *WORDS]))
    with torch.no_grad():  # else an untrained network finds all words alike
        model.network.embedding.weight *= 4
        model.network.bias.normal_()
    return model


@pytest.fixture(scope="module")
def model():
    return make_model()


def step_by_step(model, words):
    """Log-probabilities as a search sees them, word for word."""
    state, read, log_probs = model.network.start(1), model.vocabulary.start, []
    for word in words:
        logits, state, _ = model.network.step(torch.tensor([read]), state, {}, Rows(1, 1))
        log_probs.append(float(logits.log_softmax(-1)[0, word]))
        read = word
    return log_probs


@pytest.mark.parametrize("network", [{}, {"layers": 2}, {"unit": "gru"}, {"unit": "mlp"}, {"embedding_size": 12}])
@torch.inference_mode()
def test_a_text_is_scored_as_a_search_would_step_through_it(network):
    model = make_model(**network)
    lines = ["a dog runs", "the cat", "on the zebra"]
    ids = [id for line in model.encode(lines) for id in line]
    score = model.score_text(lines)
    assert score.log_probability == pytest.approx(sum(step_by_step(model, ids)), abs=1e-4)
    assert (score.tokens, score.unknown) == (11, 1)
    assert score.perplexity == pytest.approx(math.exp(-score.log_probability / 11))


def test_long_texts_are_scored_in_pieces_without_a_seam(model, monkeypatch):
    lines = ["a dog runs on the grass"] * 5
    whole = model.score_text(lines).log_probability
    monkeypatch.setattr(language, "CHUNK", 4)
    assert model.score_text(lines).log_probability == pytest.approx(whole, abs=1e-4)


@settings(max_examples=20)
@given(st.lists(st.lists(st.sampled_from([*WORDS, "zebra"]), max_size=7).map(" ".join), min_size=1, max_size=6))
def test_a_line_of_its_own_does_not_depend_on_the_others(lines):
    model = make_model()
    for line, score in zip(lines, model.score_lines(lines, batch_size=4), strict=True):
        alone = model.score_text([line])
        assert score.log_probability == pytest.approx(alone.log_probability, abs=1e-4)
        assert (score.tokens, score.unknown) == (alone.tokens, alone.unknown)


def test_one_string_is_one_line(model):
    assert model.score_lines("a dog runs") == model.score_lines(["a dog runs"])


def test_a_word_that_is_dropped_is_dropped_wherever_it_stands():
    network = make_model(embedding_dropout=0.5).network.train()
    tokens = torch.randint(4, 12, (6, 40))
    words = network._embed(tokens)
    gone = (words == 0).all(-1)
    assert 0 < len(tokens[gone].unique()) < 8
    assert not set(tokens[gone].tolist()) & set(tokens[~gone].tolist())


def test_dropout_acts_in_training_only():
    rates = {f"{place}_dropout": 0.5 for place in ("embedding", "input", "output", "weight")}
    model = make_model(**rates, dropout=0.5, layers=2)
    assert model.score_text(["a dog"]) == make_model(layers=2).score_text(["a dog"])
    tokens = torch.tensor([[4, 5, 6]])
    model.network.train()
    assert not torch.equal(model.network(tokens)[0], model.network(tokens)[0])


def test_a_prompt_is_continued_and_draws_repeat_with_a_seed(model):
    lines = model.generate("the dog", DRAW)
    assert len(lines) == 3
    assert all(line.text.startswith("the dog") for line in lines)
    assert [line.score for line in lines] == sorted((line.score for line in lines), reverse=True)
    assert model.generate("the dog", DRAW) == lines
    assert model.generate("", DRAW) != lines


@torch.inference_mode()
def test_a_continuation_is_scored_by_the_model(model):
    line = model.generate("the dog", DecodingConfig("sample", max_length=6, seed=2))[0]
    words = model.encode([line.text])[0]
    log_probs = step_by_step(model, words)[2:]
    assert line.score == pytest.approx(sum(log_probs) / len(log_probs), abs=1e-4)


def test_a_prompt_of_unknown_words_only_is_refused(model):
    with pytest.raises(UsageError, match="knows none of the words 'zebra yak'"):
        model.generate("zebra yak", DRAW)
    assert model.generate("the zebra", DRAW)[0].text.startswith("the zebra")


def test_captions_are_read_and_written_as_sentences():
    model = make_model("captions")
    assert model.encode(["A dog's grass."]) == [[*model.vocabulary.encode(["a", "dog", "'s", "grass"]), 2]]
    assert model.generate("The dog", DRAW)[0].text.startswith("The dog")


def test_a_folder_is_a_model(model, tmp_path):
    model.save(tmp_path / "saved", "# A card")
    read = load(tmp_path / "saved", "cpu")
    assert isinstance(read, LanguageModel)
    # weights are float16 on disk
    assert read.score_text(["a dog"]).perplexity == pytest.approx(model.score_text(["a dog"]).perplexity, rel=0.01)


def test_another_vocabulary_is_refused(model, tmp_path):
    model.save(tmp_path / "saved", "# A card")
    Vocabulary([*SPECIALS, "dog"]).save(tmp_path / "saved/vocabulary.json")
    with pytest.raises(ModelError, match=r"embedding of 12 words, but vocabulary\.json has 5"):
        load(tmp_path / "saved", "cpu")


@pytest.mark.parametrize(("key", "value"), [("unit", "transformer"), ("layers", 0), ("output_dropout", 1.0)])
def test_a_wrong_network_is_refused(model, tmp_path, key, value):
    import json

    model.save(tmp_path / "saved", "# A card")
    config = json.loads((tmp_path / "saved/config.json").read_text())
    config["network"][key] = value
    (tmp_path / "saved/config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=rf"network\.{key}"):
        load(tmp_path / "saved", "cpu")


def test_the_model_in_the_package_tells_good_captions_from_broken_ones():
    model = load("captions", "cpu")
    pairs = [
        ("A dog runs on the grass.", "A dog run on grass the."),
        ("Two men are playing soccer.", "Two men is playing soccer."),
        ("A woman in a red dress sits at a table.", "A woman in a red dress sits at an table."),
    ]
    for good, broken in pairs:
        scores = model.score_lines([good, broken])
        assert scores[0].perplexity < scores[1].perplexity


def test_a_model_of_characters_reads_and_writes_spaces():
    assert language.split_words("a b", "characters") == ["a", " ", "b"]
    config = LanguageConfig(tokens="characters", network=NetworkConfig(hidden_size=8, embedding_size=6))
    model = LanguageModel.build(config, Vocabulary([*SPECIALS, *"ab "]))
    (drawn,) = model.generate("a b", DecodingConfig("sample", max_length=5, seed=0))
    assert drawn.text.startswith("a b")
