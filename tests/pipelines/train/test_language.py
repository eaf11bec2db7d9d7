import json

import pytest
import yaml

from captioner.errors import ConfigError, DataError
from captioner.models.base import load
from captioner.pipelines.train.command import train
from captioner.training.record import Bar

LINES = ["the cat sees the dog", "the dog sees the cat", "a man sees the dog", "a man walks"]


@pytest.fixture
def config(tmp_path):
    """A small language model's configuration, with `words` as text."""
    (tmp_path / "train.txt").write_text("\n".join(LINES * 30))
    (tmp_path / "valid.txt").write_text("\n".join(LINES * 3))
    values = {
        "kind": "language",
        "precision": "float32",
        "checkpoint_steps": 4,
        "data": {"root": str(tmp_path), "train": ["train.txt"], "valid": ["valid.txt"]},
        "network": {"hidden_size": 16, "embedding_size": 12, "layers": 2, "weight_dropout": 0.1, "dropout": 0.1},
        "stages": {"language": {"epochs": 2, "batch_size": 4, "steps": 10, "learning_rate": 0.02}},
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def run(config, folder, *overrides, resume=False):
    return train(config, overrides, folder, resume=resume, device="cpu")


def losses(folder):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def test_training_learns_the_language(config, tmp_path):
    folder = run(config, tmp_path / "run", "stages.language.epochs=8", "stages.language.average=0.8")
    model = load(folder, "cpu")
    assert model.config.scores["valid valid"]["perplexity"] < 3  # that of single words is above 6
    assert model.score_lines(["the dog sees the cat"])[0].perplexity < 4
    assert "Perplexity" in (folder / "README.md").read_text()
    assert (tmp_path / "run/curves.png").stat().st_size > 0


def test_an_interrupted_run_continues_with_exactly_the_losses_of_an_uninterrupted_one(config, tmp_path, monkeypatch):
    run(config, tmp_path / "whole")
    steps = []

    def stop(self, loss, count, advance=Bar.advance):
        steps.append(loss)
        if len(steps) in (10, 20):  # between two checkpoints
            raise KeyboardInterrupt
        advance(self, loss, count)

    monkeypatch.setattr(Bar, "advance", stop)
    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "stopped", resume=resume)
    run(config, tmp_path / "stopped", resume=True)
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")


def test_captions_of_held_out_photos_are_not_learnt(config, tmp_path):
    photos = {"1": ("train", "a red bird"), "2": ("val", "a green fish"), "3": ("test", "a blue horse")}
    karpathy = [
        {"filename": f"{name}_x.jpg", "split": split, "sentences": [{"raw": text}]}
        for name, (split, text) in photos.items()
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"images": karpathy}))
    (tmp_path / "more").mkdir()
    (tmp_path / "more/train_images.txt").write_text("".join(f"{name}.jpg\n" for name in photos))
    (tmp_path / "more/train.1.en").write_text("".join(f"{text.title()}.\n" for _, text in photos.values()))
    data = f"data={{root: {tmp_path}, tokens: captions, train: [more], valid: [dataset.json]}}"
    model = load(run(config, tmp_path / "run", data, "stages.language.batch_size=1"), "cpu")
    assert set(model.vocabulary.tokens[4:]) == {"a", "red", "bird"}
    assert model.score_lines(["A green bird."])[0].unknown == 1


@pytest.mark.parametrize(
    ("override", "error", "message"),
    [
        ("network.unit=qrnn", ConfigError, r"network.unit is 'qrnn': .*'mlp', 'tanh', 'lstm' or 'gru'"),
        ("network.layers=0", ConfigError, "network.layers is 0"),
        ("network.hiden_size=3", ConfigError, "unknown key network.hiden_size; .*Did you mean hidden_size"),
        ("data.tokens=letters", ConfigError, "data.tokens is 'letters'"),
        ("data.valid=[]", ConfigError, "data.valid"),
        ("data.train=[none.txt]", DataError, "none.txt: cannot be read"),
        ("stages.language.batch_size=2000", ConfigError, "batch_size is 2000, but the text has only"),
    ],
)
def test_wrong_values_are_named(config, tmp_path, override, error, message):
    with pytest.raises(error, match=message):
        run(config, tmp_path / "run", override)


def test_a_training_goes_on_from_a_language_model_with_its_words_and_new_ones(config, tmp_path):
    first = run(config, tmp_path / "first", "stages.language.epochs=1")
    (tmp_path / "train.txt").write_text("\n".join(["the zebra sees the cat", *LINES] * 30))
    values = yaml.safe_load(config.read_text())
    del values["network"]
    config.write_text(yaml.safe_dump({**values, "init": str(first)}))
    second = run(config, tmp_path / "second", "stages.language.epochs=1", "stages.language.learning_rate=1e-9")
    before, after = load(first, "cpu"), load(second, "cpu")
    assert after.vocabulary.tokens == (*before.vocabulary.tokens, "zebra")
    assert after.config.network == before.config.network
    known = len(before.vocabulary)
    assert after.network.embedding.weight[:known].allclose(before.network.embedding.weight, atol=1e-3)
    assert f"Goes on from: {first}" in (second / "README.md").read_text()
    with pytest.raises(ConfigError, match="is no language model"):
        run(config, tmp_path / "third", "init=photos")
    with pytest.raises(ConfigError, match=r"set data\.tokens=captions"):
        run(config, tmp_path / "third", "init=captions")
    with pytest.raises(ConfigError, match="leave network out"):
        run(config, tmp_path / "third", "network={hidden_size: 8}")


def test_a_text_is_not_learnt_from_and_validated_on(config, tmp_path):
    (tmp_path / "copy.txt").write_text((tmp_path / "train.txt").read_text())
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "valid.txt").write_text("a man walks\n")
    for valid in ("train.txt", "copy.txt", "more/../train.txt"):
        with pytest.raises(DataError, match="is learnt from and validated on"):
            run(config, tmp_path / "run", f"data.valid=[valid.txt, {valid}]")
    with pytest.raises(ConfigError, match="would have one name"):
        run(config, tmp_path / "run", "data.valid=[valid.txt, more/valid.txt]")
