"""Trainings on captions that are not English."""

import json

import pytest

from captioner.errors import ConfigError
from captioner.models.base import load
from captioner.pipelines.train.command import train
from captioner.text.tokenization import Tokenization

STAGE = {"epochs": 1, "batch_size": 8, "learning_rate": 0.01}
CAPTIONS = {
    "chinese": ({"red": "红", "green": "绿", "blue": "蓝"}, "这是一个{}色的方块。"),
    "japanese": ({"red": "赤", "green": "緑", "blue": "青"}, "{}い四角がある。"),
    "thai": ({"red": "แดง", "green": "เขียว", "blue": "น้ำเงิน"}, "สี่เหลี่ยมสี{}"),
    "german": ({"red": "rotes", "green": "grünes", "blue": "blaues"}, "Ein {} Quadrat auf dem Bild."),
}


@pytest.fixture
def translated(squares, write_config):
    """Writes the squares' captions in a language, and a configuration for them."""

    def make(language, **data):
        words, sentence = CAPTIONS[language]
        for split in ("train", "val"):
            content = json.loads((squares / f"{split}.json").read_text())
            names = {image["id"]: image["file_name"] for image in content["images"]}
            for entry in content["annotations"]:
                entry["caption"] = sentence.format(words[names[entry["image_id"]].split("-")[1]])
            (squares / f"{language}-{split}.json").write_text(json.dumps(content), encoding="utf-8")
        sets = {
            split: {"captions": f"{language}-{split}.json", "photos": ["photos"], "split": split}
            for split in ("train", "val")
        }
        return write_config(stages={"cross_entropy": STAGE}, data__sets=sets, **data), words, sentence

    return make


@pytest.mark.parametrize(("language", "key"), [("chinese", "tokens"), ("german", "lower")])
def test_a_captioner_learns_the_words_of_other_languages(translated, squares, tmp_path, language, key):
    value = {"tokens": "unicode", "lower": False}[key]
    config, words, sentence = translated(language, **{f"data__{key}": value})
    model = load(train(config, [], tmp_path / "run", resume=False, device="cpu"), "cpu")
    tokenization = Tokenization("unicode", lower=key == "tokens")
    assert model.vocabulary.tokenization == tokenization
    tokens = {token for word in words.values() for token in tokenization.tokenize(sentence.format(word))}
    assert set(model.vocabulary.tokens[4:]) == tokens
    assert ("Quadrat" in tokens) == (language == "german")
    (caption,) = model.caption(str(squares / "photos" / "val-red-left-0.png"))
    assert caption.text == tokenization.to_sentence(caption.tokens)


@pytest.mark.parametrize("language", ["chinese", "japanese", "thai"])
def test_captions_without_spaces_are_not_learnt_as_one_token_each(translated, tmp_path, language):
    config, *_ = translated(language)
    with pytest.raises(ConfigError, match=r"would be one token each; set data\.tokens=unicode"):
        train(config, [], tmp_path / "run", resume=False, device="cpu")


def test_the_tokens_of_english_have_no_case(write_config, tmp_path):
    with pytest.raises(ConfigError, match="tokens of ptb are in lower case"):
        train(write_config(data__tokens="ptb", data__lower=False), [], tmp_path / "run", resume=False, device="cpu")
