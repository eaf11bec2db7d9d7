import gzip
import json
import re

import pytest
import torch
import yaml

from captioner.errors import ConfigError, DataError
from captioner.models.base import load
from captioner.pipelines.train.command import train
from captioner.training.record import Bar


@pytest.fixture
def config(tmp_path, sentence_pairs):
    """A small translator's configuration, with a few pairs as text."""
    for column, language in enumerate(["en", "de"]):
        lines = "".join(f"{pair[column]}\n" for pair in sentence_pairs * 4)
        (tmp_path / f"train.{language}.gz").write_bytes(gzip.compress(lines.encode()))
        (tmp_path / f"val.{language}").write_text("".join(f"{pair[column]}\n" for pair in sentence_pairs))
    (tmp_path / "pairs.tsv").write_text("".join(f"{source}\t{target}\n" for source, target in sentence_pairs * 4))
    values = {
        "kind": "translate",
        "source": "en",
        "target": "de",
        "precision": "float32",
        "checkpoint_steps": 3,
        "data": {
            "root": str(tmp_path),
            "train": [{"source": "train.en.gz", "target": "train.de.gz"}],
            "valid": {"small": {"source": "val.en", "target": "val.de"}},
            "pieces": 100,
        },
        "reader": {"hidden_size": 8, "dropout": 0.1},
        "decoder": {"unit": "gru", "hidden_size": 16, "embedding_size": 12, "heads": 4, "dropout": 0.1},
        "search": {"beam_size": 2, "max_length": 20},
        "stages": {"cross_entropy": {"epochs": 3, "batch_size": 4, "learning_rate": 0.01}},
    }
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(values))
    return path


def run(config, folder, *overrides, resume=False):
    return train(config, overrides, folder, resume=resume, device="cpu")


def losses(folder):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def test_a_training_leaves_a_translator_with_its_scores_and_card(config, tmp_path):
    model = load(run(config, tmp_path / "run"), "cpu")
    assert (model.config.source, model.config.target) == ("en", "de")
    assert model.config.whole_sentences
    assert set(model.config.scores["small valid"]) == {"BLEU", "chrF"}
    assert model.config.familiar_words == ""  # no word is in five different sentences
    assert "Learnt from: 12 pairs of train.en.gz, train.de.gz" in (tmp_path / "run/model/README.md").read_text()
    assert losses(tmp_path / "run")[-1] < losses(tmp_path / "run")[0]


def test_a_table_gives_the_same_training_as_two_files(config, tmp_path):
    run(config, tmp_path / "files")
    run(config, tmp_path / "table", "data.train=[{table: pairs.tsv}]")
    assert losses(tmp_path / "table") == losses(tmp_path / "files")


def test_an_interrupted_run_continues_with_exactly_the_losses_of_an_uninterrupted_one(config, tmp_path, monkeypatch):
    run(config, tmp_path / "whole")
    steps = []

    def stop(self, loss, count, advance=Bar.advance):
        steps.append(loss)
        if len(steps) == 5:  # between two checkpoints
            raise KeyboardInterrupt
        advance(self, loss, count)

    with monkeypatch.context() as patch:
        patch.setattr(Bar, "advance", stop)
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "cut")
    run(config, tmp_path / "cut", resume=True)
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")


def test_files_that_slipped_are_refused_before_training(config, tmp_path):
    (tmp_path / "train.de.gz").write_bytes(gzip.compress(b"Ein Mann.\n"))
    with pytest.raises(DataError, match=r"train\.en\.gz has 12 lines, but .*train\.de\.gz has 1; .* at line "):
        run(config, tmp_path / "run")


def test_files_that_seem_to_have_slipped_are_told(config, tmp_path, capsys):
    lines = [b"x" * (3 + 37 * number % 80) for number in range(120)]
    (tmp_path / "a.en").write_bytes(b"\n".join(lines[:-1]))
    (tmp_path / "a.de").write_bytes(b"\n".join(b"y" + line for line in lines[1:]))
    run(config, tmp_path / "run", "data.train=[{source: a.en, target: a.de}]", "stages.cross_entropy.epochs=1")
    assert re.search(r"a\.de seem to have slipped: from line [12] on", " ".join(capsys.readouterr().err.split()))


def test_a_training_without_a_pair_that_is_short_enough_says_so(config, tmp_path):
    with pytest.raises(DataError, match=r"all 12 pairs are left out for their lengths; raise data\.max_words"):
        run(config, tmp_path / "run", "data.max_words=1")


@pytest.mark.parametrize("columns", ["[0, -1]", "[1, 1]"])
def test_a_table_has_two_columns_of_their_own(config, tmp_path, columns):
    with pytest.raises(ConfigError, match="name two different columns, the first of which is 0"):
        run(config, tmp_path / "run", f"data.train=[{{table: pairs.tsv, columns: {columns}}}]")


@pytest.mark.parametrize("files", ["{source: train.en.gz}", "{source: a, target: b, table: c}", "{}"])
def test_pairs_are_two_files_or_a_table(config, tmp_path, files):
    with pytest.raises(ConfigError, match="name either source and target, or table"):
        run(config, tmp_path / "run", f"data.train=[{files}]")


def test_the_mean_of_several_runs_is_kept_and_differs_from_each(config, tmp_path):
    folder = run(config, tmp_path / "run", "runs=2", "stages.cross_entropy.epochs=1")
    first, second, mean = (
        load(tmp_path / "run" / name, "cpu").weights()["decoder.embedding.weight"]
        for name in ("cross_entropy_1", "cross_entropy_2", "model")
    )
    assert not torch.equal(first, second)
    torch.testing.assert_close(mean, (first + second) / 2, atol=1e-3, rtol=0)
    assert "Last stage: the mean of cross_entropy_1 and cross_entropy_2." in (folder / "README.md").read_text()


def test_a_training_goes_on_from_a_translator_with_its_words_and_languages(config, tmp_path, capfd):
    before = load(run(config, tmp_path / "first"), "cpu")
    (tmp_path / "pairs.tsv").write_text("a dog runs\tein hund rennt\na dog ж\tein hund\n" * 4, encoding="utf-8")
    values = yaml.safe_load(config.read_text())
    for key in ("source", "target", "reader", "decoder"):
        del values[key]
    del values["data"]["pieces"]
    values |= {"init": str(tmp_path / "first/model"), "runs": 2}
    values["data"]["train"] = [{"table": "pairs.tsv"}]
    config.write_text(yaml.safe_dump(values))
    folder = run(config, tmp_path / "second", "stages.cross_entropy.learning_rate=0.0000001")
    after = load(folder, "cpu")
    assert after.config.target == "de"
    assert not after.config.whole_sentences
    assert "4 of 8 pairs hold characters" in " ".join(capfd.readouterr().err.split())
    for name in ("cross_entropy_1", "cross_entropy_2", "model"):
        for key, value in load(tmp_path / "second" / name, "cpu").weights().items():
            torch.testing.assert_close(value, before.weights()[key], atol=2e-3, rtol=0)
    assert "Went on from: " in (folder / "README.md").read_text()
    with pytest.raises(ConfigError, match="init: photos is no translator; name one, such as en-de"):
        run(config, tmp_path / "third", "init=photos")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["init=photos", "source=null", "target=null"], "init brings its source along; leave source out"),
        (["source=null"], "give source and target, the languages, or init"),
    ],
)
def test_a_translator_begins_in_one_way(config, tmp_path, overrides, sentence):
    with pytest.raises(ConfigError, match=sentence):
        run(config, tmp_path / "run", *overrides)


def test_a_text_is_not_learnt_from_and_validated_on(config, tmp_path):
    with pytest.raises(DataError, match=r"train\.en\.gz: is learnt from and validated on"):
        run(config, tmp_path / "run", "data.valid={small: {source: train.en.gz, target: train.de.gz}}")


def test_words_of_five_sentences_are_familiar_and_stay_so_in_a_training_that_goes_on(config, tmp_path):
    lines = [f"a gnu {verb}\tein gnu" for verb in ("runs", "sits", "eats", "sleeps", "plays")] * 2
    (tmp_path / "pairs.tsv").write_text("\n".join(lines))
    first = run(config, tmp_path / "first", "data.train=[{table: pairs.tsv}]", "stages.cross_entropy.epochs=1")
    assert load(first, "cpu").config.familiar_words == "gnu"
    (tmp_path / "more.tsv").write_text("\n".join(line.replace("gnu", "rat") for line in lines))
    values = yaml.safe_load(config.read_text())
    for key in ("source", "target", "reader", "decoder"):
        del values[key]
    del values["data"]["pieces"]
    values["data"]["train"] = [{"table": "more.tsv"}]
    config.write_text(yaml.safe_dump(values))
    second = run(config, tmp_path / "second", f"init={first}", "stages.cross_entropy.epochs=1")
    assert load(second, "cpu").config.familiar_words == "gnu rat"
    (first / "config.json").write_text((first / "config.json").read_text().replace('"gnu"', '""'))
    third = run(config, tmp_path / "third", f"init={first}", "stages.cross_entropy.epochs=1")
    assert load(third, "cpu").config.familiar_words == ""  # what the first one met is not known


@pytest.mark.parametrize("languages", [{}, {"source": "xx", "target": "yy"}])
def test_pairs_the_other_way_round_are_refused(config, tmp_path, languages):
    pairs = [("The dog is on the sofa with a cat.", "Der Hund ist auf dem Sofa mit einer Katze.")] * 4
    for name, turned in (("a", 1), ("b", -1)):
        (tmp_path / f"{name}.tsv").write_text("".join("\t".join(pair[::turned]) + "\n" for pair in pairs))
    options = [f"{key}={value}" for key, value in languages.items()]
    with pytest.raises(DataError, match=r"data\.valid\.b: the translations look like (en|xx), .* exchange"):
        run(config, tmp_path / "x", "data.train=[{table: a.tsv}]", "data.valid={b: {table: b.tsv}}", *options)
    if not languages:
        with pytest.raises(DataError, match=r"data\.train: the translations look like en"):
            run(config, tmp_path / "x", "data.train=[{table: b.tsv}]")


def test_sentences_that_are_validated_on_and_learnt_from_are_told(config, tmp_path, capsys):
    run(config, tmp_path / "run", "stages.cross_entropy.epochs=1")
    assert "3 of 3 sentences of data.valid.small are learnt from too" in capsys.readouterr().err
