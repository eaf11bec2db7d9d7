from dataclasses import replace

import numpy as np
import pytest
import torch

from captioner.decoding.steps import Hypothesis, Rows
from captioner.errors import ModelError, UsageError
from captioner.models.base import load
from captioner.models.translate import LIMIT, Translator
from captioner.models.translation import ENDLESS, REPEATS, Reading
from captioner.text.bpe import Subwords
from captioner.text.repeats import repeats_itself
from captioner.text.sentences import Sentence


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
    _, _, weights = translator.network.decoder.step(torch.tensor([1, 1]), state, context, Rows(2, 1))
    assert weights[0, 3] == 0
    assert weights.sum(-1).tolist() == pytest.approx([1, 1])


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


def test_each_translation_is_told_once(translator):
    found = translator.generate(SENTENCES, replace(translator.config.search, beam_size=20, num_captions=20))
    for several in found:
        texts = [each.text for each in several]
        assert len(set(texts)) == len(texts)


def test_one_sentence_and_whatever_gives_sentences_are_taken(translator):
    wanted = translator.translate(SENTENCES)
    assert translator.translate(iter(SENTENCES)) == wanted
    assert translator.translate(SENTENCES[0]) == wanted[:1]


@pytest.mark.parametrize("other", [None, 5, b"A man.", ["A man."]])
def test_what_is_no_text_is_an_error_that_says_which(translator, other):
    with pytest.raises(UsageError, match=f"sentence 2 to translate is {type(other).__name__}, not text"):
        translator.translate(["A man.", other])


@pytest.mark.parametrize("other", [None, 5, {"a.jpg": "A man."}])
def test_what_is_no_list_of_texts_is_an_error(translator, other):
    with pytest.raises(UsageError, match=f"are a list of text, not {type(other).__name__}"):
        translator.translate(other)


@pytest.mark.parametrize(("sentences", "translations"), [(["A man.", "A dog."], ["Ein Mann."]), ([" "], ["Ein Mann."])])
def test_what_is_no_pair_has_no_score(translator, sentences, translations):
    with pytest.raises(UsageError, match="scored in pairs, of which no sentence is empty"):
        translator.score(sentences, translations)


@pytest.mark.parametrize("text", ["\u200b", "🦊", "♪"])
def test_what_has_no_letter_that_could_be_known_is_copied(translator, text):
    assert translator.translate([text])[0].text == text


def test_characters_that_are_left_out_change_no_translation_and_are_told(translator):
    plain, emoji, unseen = translator.translate(["Two dogs run.", "Two 🐕 dogs run.", "Two\u200b dogs run.\ufeff"])
    assert emoji.text == unseen.text == plain.text
    assert (emoji.warning, unseen.warning) == ("unknown characters: 🐕", "")


@pytest.mark.parametrize("text", ["一", "一 一 一"])
def test_a_text_of_unknown_characters_gets_a_warning_however_short(translator, text):
    assert "most of its characters are unknown" in translator.translate([text])[0].warning


def test_a_long_text_in_another_script_gets_both_warnings(translator):
    warning = translator.translate(["一" * 1000])[0].warning
    assert "most of its characters are unknown" in warning
    assert "cut there" in warning


@pytest.fixture(scope="module")
def of_sentences(make_translator):
    """A translator that learnt from whole sentences."""
    model = make_translator()
    model.config = model.config.model_copy(update={"whole_sentences": True})
    return model


def test_a_text_is_read_sentence_by_sentence(of_sentences):
    one, other = of_sentences.translate(["A man rides a bicycle.", "A woman reads."], alignment=True)
    both = of_sentences.translate(["A man rides a bicycle. - A woman reads."], alignment=True)[0]
    assert both.text == f"{one.text} - {other.text}"
    assert both.source_words == (*one.source_words, "-", *other.source_words)
    assert both.words == (*one.words, "-", *other.words)
    assert both.log_probability == pytest.approx(one.log_probability + other.log_probability, abs=1e-4)
    assert min(one.score, other.score) <= both.score <= max(one.score, other.score)
    np.testing.assert_allclose(both.alignment.sum(1), 1, atol=1e-4)
    height, width = one.alignment.shape
    np.testing.assert_allclose(both.alignment[:height, :width], one.alignment, atol=1e-4)
    np.testing.assert_allclose(both.alignment[height + 1 :, width + 1 :], other.alignment, atol=1e-4)


def test_speakers_keep_their_lines(of_sentences):
    one, other = (each.text for each in of_sentences.translate(["A man.", "A woman."]))
    assert of_sentences.translate(["- A man.\n-A woman."])[0].text == f"- {one}\n-{other}"


@pytest.mark.parametrize("text", ["a man rides a bicycle", "A man rides a bicycle", "A MAN RIDES A BICYCLE"])
def test_a_sentence_is_read_as_those_that_were_learnt_from(of_sentences, translator, text):
    whole = translator.translate(["A man rides a bicycle."], alignment=True)[0]
    found = of_sentences.translate([text], alignment=True)[0]
    assert found.text == whole.text.removesuffix(".")
    assert found.log_probability == pytest.approx(whole.log_probability, abs=1e-4)
    assert found.source_words == tuple(text.split())
    assert found.alignment.shape == (len(found.words), 5)


def test_several_translations_of_several_sentences_come_best_first(of_sentences):
    options = replace(of_sentences.config.search, beam_size=6, num_captions=3)
    one, other, both = of_sentences.generate(["A man.", "A woman reads.", "A man. A woman reads."], options)
    assert both[0].text == f"{one[0].text} {other[0].text}"
    assert len(both) == 3


@pytest.mark.parametrize("text", ["12:30 - 35", "...", "-", "🦊 🦊", "\ufffd"])
def test_what_has_no_letter_is_copied(of_sentences, text):
    found = of_sentences.translate([text, "A man."], alignment=True)[0]
    assert (found.text, found.score) == (text, 0)
    assert found.words == found.source_words == tuple(text.split())
    np.testing.assert_array_equal(found.alignment, np.eye(len(found.words)))


def test_half_a_character_is_never_written(of_sentences):
    assert [each.text for each in of_sentences.translate(["\ud800", "\ud83e\udd8a"])] == ["\ufffd", "🦊"]


def test_numbers_and_bullets_of_lists_stay(of_sentences):
    one, other = (each.text for each in of_sentences.translate(["A man.", "A woman."]))
    assert of_sentences.translate(["1. A man."])[0].text == f"1. {one}"
    assert of_sentences.translate(["• A man.\n• A woman."])[0].text == f"• {one}\n• {other}"


def test_sentences_beyond_the_limit_are_cut_with_a_warning(of_sentences):
    found = of_sentences.translate(["A man rides a bicycle. " * 100])[0]
    assert "cut there" in found.warning
    assert found.text.startswith(of_sentences.translate(["A man rides a bicycle."])[0].text)


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


@pytest.mark.parametrize("language", ["de", "fr"])
def test_the_package_reads_texts_without_capital_and_stop_as_sentences(language):
    model = load(f"en-{language}", "cpu")
    whole = ["A dog runs.", "A giraffe eats leaves from a tree.", "Two men are playing guitar on a stage."]
    bare = [each[0].lower() + each[1:-1] for each in whole]
    found = [each.text for each in model.translate(bare)]
    assert found == [each.text.removesuffix(".") for each in model.translate(whole)]


def test_lost_numbers_and_addresses_are_a_warning(translator):
    first, second, third = translator.translate(
        ["Two dogs run.", f"1234 dogs run, see www.example.com/{'a' * 100}.", "dogs 1234 " * 500]
    )
    assert first.warning == ""
    assert second.warning == f"the translation lacks www.example.com/{'a' * 44}... and 1234"
    assert third.warning.endswith(f"{LIMIT} pieces of words, and cut there; the translation lacks 1234")


def test_words_that_were_hardly_met_are_a_warning(make_translator):
    translator = make_translator()
    assert translator.translate("Two gnus run.")[0].warning == ""  # nobody knows which words it met
    config = translator.config.model_copy(update={"familiar_words": "dogs run two"})
    knowing = type(translator)(config, translator.subwords, translator.network)
    warnings = [each.warning for each in knowing.translate(["TWO dogs run.", "Two Gnus run 1234."])]
    assert warnings == ["", "the translation lacks 1234; words rarely met in training: Gnus"]


@pytest.mark.parametrize("mark", "!?")
@pytest.mark.parametrize("end", [".", "d"])
def test_a_question_or_an_exclamation_ends_as_it_did(translator, mark, end):
    ids = translator.subwords.encode([f"Hund{end}"])[0]
    assert translator.subwords.decode(ids).endswith(end)
    reading = Reading(Sentence("", "", f"A{mark}"), f"A{mark}", ids[:1], stopped=False, warning="")
    attention = torch.ones(len(ids), 1)
    hypothesis = Hypothesis(tuple(ids), -1.0, (-1.0,), attention, finished=True)
    found = reading.part(hypothesis, translator.subwords).translation
    assert found.alignment.shape[0] == len(found.words)
    assert found.text == translator.subwords.decode(ids).removesuffix(".") + mark


def test_what_stands_around_a_sentence_stays_with_its_alignment(of_sentences):
    plain = of_sentences.translate(["A man."])[0].text
    found = of_sentences.translate(["ANNA: [Two dogs run] A man. ♪"], alignment=True)[0]
    assert found.text.startswith("ANNA: [")
    assert found.text.endswith(f"] {plain} ♪")
    assert found.source_words == ("ANNA:", "[Two", "dogs", "run]", "A", "man.", "♪")
    assert found.alignment.shape == (len(found.words), len(found.source_words))
    assert found.alignment[-1].tolist() == [0, 0, 0, 0, 0, 0, 1]


@pytest.fixture
def favouring(make_translator):
    """A translator that gives every place the same scores, of which some words have the best."""

    def make(words):
        model = make_translator()
        pieces = model.subwords.pieces(range(len(model.subwords)))
        usual = [
            place for place, piece in enumerate(pieces) if piece[:1] == "▁" and piece[1:].isalpha() and len(piece) > 4
        ]
        with torch.no_grad():
            for parameter in model.network.parameters():
                parameter.zero_()
            model.network.decoder.bias[usual[:words]] = 9.0
        return model, replace(model.config.search, length_penalty=4.0, max_length=8)

    return make


def test_a_translation_that_repeats_itself_is_searched_again(favouring, monkeypatch):
    model, options = favouring(4)
    (found,) = model.generate("Two dogs run.", options)[0]
    assert not repeats_itself(found.text)
    assert REPEATS not in found.warning
    monkeypatch.setattr("captioner.models.translation_search._loops", lambda parts: False)
    assert repeats_itself(model.generate("Two dogs run.", options)[0][0].text)


def test_a_translation_that_still_repeats_itself_has_a_warning(favouring, monkeypatch):
    model, options = favouring(1)
    monkeypatch.setattr("captioner.models.translation_search._loops", lambda parts: False)
    assert REPEATS in model.generate("Two dogs run.", options)[0][0].warning


def test_a_translation_that_does_not_end_has_a_warning(favouring):
    model, options = favouring(4)
    (cut,) = model.generate("Two dogs run.", replace(options, max_length=100, beam_size=1))[0]
    assert ENDLESS in cut.warning
    assert not repeats_itself(cut.text)
    assert ENDLESS not in model.generate("Two dogs run.", options)[0][0].warning  # which may not be longer


def test_what_a_sentence_says_twice_its_translation_may_say_twice(favouring):
    model, options = favouring(1)
    (found,) = model.generate("Dogs, dogs and dogs, dogs and dogs.", options)[0]
    assert repeats_itself(found.text)
    assert REPEATS not in found.warning


def test_words_before_a_colon_are_copied_with_a_warning_and_names_without(make_translator):
    plain = make_translator()
    known = {"whole_sentences": True, "familiar_words": "man dog foreground runs"}
    model = Translator(plain.config.model_copy(update=known), plain.subwords, plain.network)
    word, name, capitals = model.translate(["Foreground: a man runs.", "Anna: a man runs.", "DOG: a man runs."])
    assert word.text.startswith("Foreground: ")
    assert "copied as it stands: Foreground" in word.warning
    assert "copied" not in name.warning + capitals.warning
