"""`captioner evaluate-lines` from its arguments to its scores."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from captioner.pipelines import cli


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["captioner", "evaluate-lines", *map(str, arguments)])
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capsys.readouterr()
        return exit.value.code or 0, out, err

    return run


@pytest.fixture
def files(tmp_path):
    """Truth, a good and a bad system."""
    texts = ["Ein Hauſ", "am See", "<b>kalt</b>", "drei"]
    (tmp_path / "truth.tsv").write_text("".join(f"{place}.png\t{text}\n" for place, text in enumerate(texts)))
    Image.fromarray(np.zeros((20, 60), np.uint8)).save(tmp_path / "1.png")

    def results(name, read):
        rows = [{"path": str(tmp_path / f"{place}.png"), **row} for place, row in enumerate(read)]
        (tmp_path / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    results("good.jsonl", [{"text": "Ein Hauf"}, {"text": "am See"}, {"text": "<b>kalt</b>"}, {"text": "drei"}])
    results("bad.jsonl", [{"text": "Ei Hauf"}, {"text": "an Se"}, {"text": "<i>kalt</b>"}, {"error": "gone"}])
    return tmp_path


def test_scores_intervals_confusions_and_protocol_are_told(run, files):
    status, out, _ = run(files / "truth.tsv", files / "good.jsonl", "--json", "-")
    found = json.loads(out)
    assert status == 0
    assert found["scores"]["CER"] == pytest.approx(1 / 29)
    assert found["scores"]["accuracy"] == 0.75
    assert found["confusions"][0] == {"truth": "ſ", "text": "f", "count": 1}
    low, high = found["intervals"]["CER"]
    assert low <= found["scores"]["CER"] <= high
    assert "lines:4|characters:29" in found["signature"]


def test_a_table_compares_two_systems(run, files):
    status, out, _ = run(files / "truth.tsv", files / "good.jsonl", "--compare", files / "bad.jsonl")
    assert status == 0
    assert "character error rate" in out
    assert "difference" in out
    assert "ſ as f 1" in out


def test_pictures_that_could_not_be_read_count_as_empty_and_the_signature_says_so(run, files):
    found = json.loads(run(files / "truth.tsv", files / "bad.jsonl", "--json", "-")[1])
    assert "unreadable:1" in found["signature"]
    assert found["scores"]["accuracy"] == 0.0


def test_the_page_shows_the_worst_lines_marked_and_harmless(run, files):
    run(files / "truth.tsv", files / "bad.jsonl", "--html", files / "o.html", "--quiet")
    page = (files / "o.html").read_text()
    assert "<del>m</del>" in page
    assert "&lt;" in page
    assert "<b>kalt" not in page
    assert "data:image/jpeg;base64," in page
    assert "<!--" not in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["truth.tsv", "none.jsonl"], "cannot be read"),
        (["truth.tsv", "some.jsonl"], "no text for 3 of the 4 lines"),
        (["truth.tsv", "good.jsonl", "--html", "none/o.html"], "there is no folder"),
    ],
)
def test_wrong_files_are_one_sentence(run, files, monkeypatch, arguments, message):
    monkeypatch.chdir(files)
    (files / "some.jsonl").write_text('{"path": "0.png", "text": "x"}\n')
    status, _, err = run(*arguments)
    assert status == 2
    assert message in err


def test_a_report_does_not_take_the_place_of_the_truth(run, files):
    before = (files / "truth.tsv").read_text()
    status, _, err = run(files / "truth.tsv", files / "good.jsonl", "--html", files / "truth.tsv")
    assert status == 2
    assert "is read" in err
    assert (files / "truth.tsv").read_text() == before


def test_two_texts_of_one_line_are_refused_and_the_same_one_twice_is_not(run, files):
    rows = (files / "good.jsonl").read_text().splitlines(keepends=True)
    (files / "twice.jsonl").write_text("".join([*rows, rows[0]]))
    assert run(files / "truth.tsv", files / "twice.jsonl", "--quiet")[0] == 0
    (files / "twice.jsonl").write_text("".join([*rows, rows[0].replace("Hauf", "Hund")]))
    status, _, err = run(files / "truth.tsv", files / "twice.jsonl")
    assert status == 2
    assert "0.png twice" in err


def test_what_is_left_out_of_the_truth_is_said_beside_json_too(run, files):
    with (files / "truth.tsv").open("a") as truth:
        truth.write("3.png\tdrei!\n")
    status, out, err = run(files / "truth.tsv", files / "good.jsonl", "--json", "-")
    assert status == 0
    assert "lines:4|" in json.loads(out)["signature"]
    assert "lines 4 and 5 both name 3.png; the second is left out" in err
