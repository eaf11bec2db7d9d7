"""No report takes the place of what it is about, whatever command writes it."""

import json
import os

import pytest
from typer.testing import CliRunner

from captioner.pipelines.cli import app

IMAGES = {
    "images": [{"id": 1, "file_name": "a.jpg"}],
    "annotations": [{"id": 1, "image_id": 1, "caption": "A dog."}],
}
COMMANDS = [
    ["evaluate-text", "ref.txt", "hyp.txt", "--json", "ref.txt"],
    ["evaluate-text", "ref.txt", "hyp.txt", "--json", "./link.txt"],
    ["evaluate", "-a", "ann.json", "-r", "res.json", "--json", "ann.json"],
    ["evaluate", "-a", "ann.json", "-r", "res.json", "--html", "res.json"],
    ["evaluate-lines", "truth.tsv", "read.jsonl", "--json", "truth.tsv"],
    ["evaluate-lines", "truth.tsv", "read.jsonl", "--html", "read.jsonl"],
    ["perplexity", "captions", "ref.txt", "--json", "ref.txt"],
    ["gradients", "captions", "ref.txt", "--json", "ref.txt"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_report_never_takes_the_place_of_what_was_read(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ref.txt").write_text("a dog runs .\na man .\n")
    (tmp_path / "hyp.txt").write_text("a dog runs .\na man .\n")
    (tmp_path / "link.txt").symlink_to("ref.txt")
    (tmp_path / "ann.json").write_text(json.dumps(IMAGES))
    (tmp_path / "res.json").write_text(json.dumps([{"image_id": 1, "caption": "A dog."}]))
    (tmp_path / "truth.tsv").write_text("a.png\tab\n")
    (tmp_path / "read.jsonl").write_text('{"path": "a.png", "text": "ab"}\n')
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    result = CliRunner().invoke(app, command)
    assert "is read by this command; choose another file for the report" in str(result.exception)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["evaluate", "-a", "ann.json", "-r", "res.json", "--json", "r.x", "--html", "./r.x"], "two reports are the"),
        (["evaluate", "-a", "ann.json", "--images", ".", "-o", "r.jsonl", "--json", "./r.jsonl"], "is read by this"),
        (["evaluate-lines", "truth.tsv", "read.jsonl", "--json", "r.x", "--html", "r.x"], "two reports are the"),
        (["gradients", "captions", "ref.txt", "-o", "r.png", "--json", "r.png"], "two reports are the"),
        (["evaluate", "-a", "ann.json", "-r", "res.json", "--json", "folder"], "folder: cannot be written, for"),
    ],
)
def test_a_report_has_a_file_of_its_own_which_is_known_before_any_work(tmp_path, monkeypatch, command, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "ann.json").write_text(json.dumps(IMAGES))
    result = CliRunner().invoke(app, command)
    assert message in str(result.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ann.json", "folder"]


def test_a_report_may_be_about_a_file_whose_name_is_no_utf8(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    read, results = os.fsdecode(b"read\xff.jsonl"), os.fsdecode(b"res\xff.json")
    (tmp_path / "truth.tsv").write_text("a.png\tab\n")
    (tmp_path / read).write_text('{"path": "a.png", "text": "ab"}\n')
    (tmp_path / "ann.json").write_text(json.dumps(IMAGES))
    (tmp_path / results).write_text(json.dumps([{"image_id": 1, "caption": "A dog."}]))
    lines = CliRunner().invoke(app, ["evaluate-lines", "truth.tsv", read, "--json", "r.json", "--quiet"])
    assert lines.exit_code == 0
    assert json.loads((tmp_path / "r.json").read_text())["results"] == "read?.jsonl"
    captions = CliRunner().invoke(app, ["evaluate", "-a", "ann.json", "-r", results, "--html", "r.html", "--quiet"])
    assert captions.exit_code == 0
    assert "res?.json" in (tmp_path / "r.html").read_text()


def test_names_in_brackets_stay_names_in_tables(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("ref.txt", "a[red].txt"):
        (tmp_path / name).write_text("a dog runs .\na man .\n")
    (tmp_path / "ann.json").write_text(json.dumps(IMAGES))
    for name in ("res.json", "b[red].json"):
        (tmp_path / name).write_text(json.dumps([{"image_id": 1, "caption": "A dog."}]))
    texts = CliRunner().invoke(app, ["evaluate-text", "ref.txt", "a[red].txt"])
    assert "a[red].txt" in texts.output
    captions = CliRunner().invoke(app, ["evaluate", "-a", "ann.json", "-r", "res.json", "--compare", "b[red].json"])
    assert "b[red].json" in captions.output
