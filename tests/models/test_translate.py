from dataclasses import replace

import numpy as np
import pytest
import torch

from captioner.errors import ModelError
from captioner.models.base import load
from captioner.models.translate import LIMIT, Translator
from captioner.text.bpe import Subwords


@pytest.fixture(scope="module")
def translator(make_translator):
    return make_translator()


SENTENCES = ["A man rides a bicycle.", "Two dogs run over the grass.", "A woman reads."]


@pytest.mark.parametrize("unit", ["mlp", "tanh", "lstm", "gru"])
def test_a_sentence_is_translated_the_same_alone_and_beside_longer_ones(make_translator, unit):
    model = make_translator(unit=unit)
    together = model.translate([*SENTENCES, "A man rides a bicycle over the grass. " * 3])
    for sentence, found in zip(SENTENCES, together, strict=False):
        alone = model.translate([sentence])[0]
        assert alone.text == found.text
        assert alone.log_probability == pytest.approx(found.log_probability, abs=1e-4)


def test_padding_gets_no_attention(translator):
    features = translator.network.encode(torch.tensor([[5, 6, 7, 0], [5, 6, 7, 8]]), torch.tensor([3, 4]))
    assert features.real.tolist() == [[True, True, True, False], [True] * 4]
    state, context = translator.network.decoder.start(features)
    _, _, weights = translator.network.decoder.step(torch.tensor([[1], [1]]), state, context)
    assert weights[0, 0, 3] == 0
    assert weights.sum(-1).flatten().tolist() == pytest.approx([1, 1])


def test_scores_of_given_translations_do_not_depend_on_each_other(translator, sentence_pairs):
    scores = translator.score(*zip(*sentence_pairs, strict=True))
    alone = [translator.score([source], [target])[0] for source, target in sentence_pairs]
    assert scores == pytest.approx(alone, abs=1e-4)


def test_an_empty_sentence_has_an_empty_translation_in_its_place(translator):
    found = translator.translate(["A man.", "", "  ", "A woman."])
    assert [each.text for each in found][1:3] == ["", ""]
    assert found[3].text == translator.translate(["A woman."])[0].text


def test_a_line_of_ten_thousand_words_is_cut_with_a_warning(translator):
    found = translator.translate(["dogs run " * 5000])[0]
    assert found.warning == f"longer than {LIMIT} pieces of words, and cut there"


def test_text_in_another_script_gets_a_warning(translator):
    found = translator.translate(["一个男人在骑自行车"])[0]
    assert "unknown" in found.warning
    assert "reads en" in found.warning
    assert translator.translate(["A man."])[0].warning == ""


def test_the_alignment_is_between_words_and_its_rows_sum_to_one(translator):
    found = translator.translate(["A man rides a bicycle.", "A woman."], alignment=True)
    for each, words in zip(found, [5, 2], strict=True):
        assert each.alignment.shape == (len(each.words), words)
        np.testing.assert_allclose(each.alignment.sum(1), 1, atol=1e-4)
        assert " ".join(each.words) == each.text
    assert found[0].source_words == ("A", "man", "rides", "a", "bicycle.")


def test_several_translations_come_best_first(translator):
    found = translator.generate(["A man."], replace(translator.config.search, num_captions=3))[0]
    assert len({each.text for each in found}) >= 2
    assert [each.score for each in found] == sorted((each.score for each in found), reverse=True)


def test_a_model_folder_is_read_as_it_was_written(translator, tmp_path):
    translator.save(tmp_path / "en-de", "A card.")
    loaded = Translator.load(tmp_path / "en-de")
    for found, wanted in zip(loaded.translate(SENTENCES), translator.translate(SENTENCES), strict=True):
        assert found.text == wanted.text
    assert loaded.name == "en-de"


def test_a_vocabulary_of_another_training_is_refused(translator, tmp_path):
    translator.save(tmp_path, "A card.")
    Subwords.build(["a b c"], 40).save(tmp_path / "vocabulary.json")
    with pytest.raises(ModelError, match="the two come from different trainings"):
        Translator.load(tmp_path)


def test_several_threads_give_the_translations_that_each_sentence_has_alone():
    subjects = ["A man", "Two dogs", "A little girl in a red dress", "Three people"]
    places = ["on the beach", "in the snow", "over the grass", "near a small lake", "in front of a building"]
    sentences = [
        f"{who} {what} {where}." for who in subjects for what in ("run", "is playing", "sit") for where in places
    ]
    model = load("en-de", "cpu")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = [model.translate([each])[0].text for each in sentences[::5]]
        torch.set_num_threads(3)
        assert [each.text for each in model.translate(sentences * 3)][: len(sentences) : 5] == alone
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
