import json

import pytest
import torch

from captioner.errors import ModelError, UsageError
from captioner.models.base import load
from captioner.models.language import LanguageConfig, LanguageModel
from captioner.models.language_network import NetworkConfig
from captioner.pipelines.language.options import PerplexityOptions
from captioner.pipelines.language.perplexity import perplexity as run
from captioner.text.vocabulary import SPECIALS, Vocabulary


def perplexity(model, files, **options):
    return run(PerplexityOptions(model=model, files=files, **options))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A language model with random weights."""
    torch.manual_seed(0)
    config = LanguageConfig(network=NetworkConfig(hidden_size=8, embedding_size=8))
    model = LanguageModel.build(config, Vocabulary([*SPECIALS, "a", "dog", "runs"]))
    with torch.no_grad():
        model.network.bias.normal_()
    folder = tmp_path_factory.mktemp("language") / "tiny"
    model.save(folder, "Random weights, for tests.")
    return str(folder)


@pytest.fixture
def texts(tmp_path):
    (tmp_path / "one.txt").write_text("a dog runs\na zebra runs\n")
    (tmp_path / "two.txt").write_text("dog dog\n")
    return [str(tmp_path / name) for name in ("one.txt", "two.txt")]


def report(capsys):
    return json.loads(capsys.readouterr().out)


def test_json_has_each_file_and_all_together(folder, texts, capsys):
    assert perplexity(folder, texts, json="-") == 0
    found = report(capsys)
    assert list(found) == ["perplexity", "tokens", "unknown", "files"]
    assert [file["path"] for file in found["files"]] == texts
    assert [(file["tokens"], file["unknown"]) for file in found["files"]] == [(8, 1), (3, 0)]
    assert (found["tokens"], found["unknown"]) == (11, 1)
    model = load(folder, "cpu")
    assert found["files"][0]["perplexity"] == pytest.approx(model.score_text(["a dog runs", "a zebra runs"]).perplexity)


def test_lines_are_printed_most_fluent_first_and_kept_in_order_in_json(folder, texts, capsys, tmp_path):
    assert perplexity(folder, texts[:1], per_line=True, json=str(tmp_path / "scores.json")) == 0
    printed = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert sorted(printed, key=lambda row: float(row[0])) == printed
    lines = json.loads((tmp_path / "scores.json").read_text())["files"][0]["lines"]
    assert [(line["text"], line["unknown"]) for line in lines] == [("a dog runs", 0), ("a zebra runs", 1)]
    alone = load(folder, "cpu").score_text(["a zebra runs"])
    assert lines[1]["perplexity"] == pytest.approx(alone.perplexity, rel=1e-5)


def test_a_table_shows_all_files(folder, texts, capsys):
    assert perplexity(folder, texts) == 0
    shown = capsys.readouterr().out
    assert "all" in shown
    assert all(path in shown for path in texts)


def test_a_file_that_cannot_be_read_is_said_and_the_others_are_scored(folder, texts, capsys, tmp_path):
    (tmp_path / "latin.txt").write_bytes("Bär".encode("latin1"))
    assert perplexity(folder, [*texts, str(tmp_path / "latin.txt")], json="-") == 1
    captured = capsys.readouterr()
    assert "latin.txt: not UTF-8" in captured.err
    found = json.loads(captured.out)
    assert found["tokens"] == 11
    assert "latin.txt: not UTF-8" in found["files"][2]["error"]


def test_nothing_readable_has_no_perplexity(folder, tmp_path, capsys):
    (tmp_path / "empty.txt").write_text("")
    assert perplexity(folder, [str(tmp_path / "empty.txt")], json="-") == 1
    assert report(capsys)["perplexity"] is None


def test_a_model_of_another_kind_is_refused_with_the_command_that_fits(texts):
    with pytest.raises(ModelError, match="photos is a photo captioner, not a language model; use it with: captioner"):
        perplexity("photos", texts)


def test_a_missing_output_folder_is_said_before_any_work(texts, tmp_path):
    with pytest.raises(UsageError, match="there is no folder"):
        perplexity("no model", texts, json=str(tmp_path / "none/scores.json"))


@pytest.mark.parametrize("per_line", [False, True])
def test_texts_of_mostly_unknown_words_are_named(folder, texts, capsys, tmp_path, per_line):
    (tmp_path / "foreign.txt").write_text("ein Hund läuft\n")
    assert perplexity(folder, [texts[1], str(tmp_path / "foreign.txt")], per_line=per_line) == 0
    err = capsys.readouterr().err
    name = "ein Hund läuft" if per_line else str(tmp_path / "foreign.txt")
    assert f"knows less than half of the words of 1 of 2 texts, such as '{name}'; their perplexity says little." in err
    assert perplexity(folder, texts, per_line=per_line) == 0
    assert capsys.readouterr().err == ""
