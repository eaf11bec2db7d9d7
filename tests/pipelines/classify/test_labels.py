import csv
import io
import json

import pytest
from rich.console import Console

from captioner.pipelines import cli
from captioner.pipelines.classify.outputs import LabelTable
from captioner.pipelines.folder.outputs import Record


@pytest.fixture
def run(tmp_path, model_folder, monkeypatch, capsys):
    """Runs `captioner classify` on a captioner in a folder; returns status, rows and what went to standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, model=model_folder):
        named = [] if model is None else ["--model", str(model)]
        monkeypatch.setattr("sys.argv", ["captioner", "classify", *arguments, *named])
        with pytest.raises(SystemExit) as found:
            cli.main()
        out, err = capsys.readouterr()
        return found.value.code or 0, [json.loads(line) for line in out.splitlines()], err

    return run


def test_photos_and_clips_are_told_by_labels_that_nobody_trained(run, make_photos, draw_clip, tmp_path):
    make_photos(3)
    draw_clip(tmp_path / "photos" / "clip.avi", frames=30)
    (tmp_path / "photos" / "photo0001.jpg").write_bytes(b"no photo")
    status, rows, err = run("photos", "--labels", "dog, cat, red hat", "--every", "1")
    assert status == 1
    assert len(rows) == 4
    good = [row for row in rows if "error" not in row]
    assert len(good) == 3
    for row in good:
        assert sum(each["score"] for each in row["top"]) == pytest.approx(1, abs=1e-3)
        assert (row["label"] == "none fits") == (row["margin"] < 0)
    clip = next(row for row in rows if row["path"].endswith(".avi"))
    assert [segment["start"] for segment in clip["segments"]] == pytest.approx([0, 1, 2], abs=0.1)
    assert "1 failed" in err


def test_labels_come_from_a_file_and_outputs_continue(run, make_photos, tmp_path):
    make_photos(2)
    (tmp_path / "labels.txt").write_text("dog\ncat\n\n")
    assert run("photos", "--labels", "labels.txt", "-o", "told.csv", "-o", "told.html")[0] == 0
    make_photos(3)
    status, _, err = run("photos", "--labels", "dog,cat", "-o", "told.csv")
    assert (status, "1 images or clips done" in err) == (0, True)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "told.csv").read_text())))
    assert len(rows) == 3
    assert all(row["margin"] for row in rows)
    status, _, err = run("photos", "--labels", "dog,man", "-o", "told.csv")
    assert status == 2
    assert "they are not mixed" in err
    assert (tmp_path / "told.html").read_text().count('"label"') > 2


def test_where_no_label_fits_tables_say_so_too(run, make_photos, tmp_path, monkeypatch):
    make_photos(2)
    monkeypatch.setattr("captioner.models.label.NEEDED", 1000.0)
    assert run("photos", "--labels", "dog, cat", "-o", "told.csv", "-o", "told.jsonl", "-o", "told.html")[0] == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "told.csv").read_text())))
    assert [row["label"] for row in rows] == ["none fits"] * 2
    told = [json.loads(line) for line in (tmp_path / "told.jsonl").read_text().splitlines()]
    assert [row["label_2"] for row in rows] == [row["top"][1]["label"] for row in told]
    terminal = Console(file=io.StringIO(), width=80)
    LabelTable(terminal, ["a.jpg"]).write([Record("a.jpg", {**told[0], "path": "a.jpg"})])
    assert terminal.file.getvalue().split()[1:3] == ["none", "fits"]


def test_a_label_that_the_model_does_not_know_is_named_and_left_out(run, make_photos):
    make_photos(1)
    status, rows, err = run("photos", "--labels", "dog, zebra, a gras, red kat")
    assert status == 0
    assert {each["label"] for each in rows[0]["top"]} == {"dog", "red kat"}
    assert "label 'zebra': 'zebra' is no word that this model knows; the label is left out" in err
    assert "label 'a gras': 'gras' is no word that this model knows (near ones for 'gras': grass); the label" in err
    assert "label 'red kat': 'kat' is no word that this model knows" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--labels", "dog"], "give at least two different labels"),
        (["--labels", "gone.txt"], "--labels gone.txt: there is no such file; name one, or write 'cat, dog'."),
        (["--labels", "a zebra,giraffe"], "--labels: none is left; label 'a zebra': 'zebra' is no word"),
        (["--labels", "dog,cat", "--template", "a photo"], "has no place for a label"),
        (["--labels", "dog,cat", "--cluster", "local"], "leave --cluster out"),
    ],
)
def test_wrong_labels_are_one_sentence(run, make_photos, arguments, message):
    make_photos(1)
    status, rows, err = run("photos", *arguments)
    assert (status, rows) == (2, [])
    assert message in err


def test_without_labels_a_classifier_is_needed(run, make_photos):
    make_photos(1)
    status, _, err = run("photos", model=None)
    assert status == 2
    assert "give --model yoga, or --labels" in err


def test_labels_that_are_one_to_the_model_are_one_label(run, make_photos):
    make_photos(1)
    status, rows, err = run("photos", "--labels", "dog, Dog, a dog, cat")
    assert status == 0
    assert {each["label"] for each in rows[0]["top"]} == {"dog", "cat"}
    assert "label 'Dog': the same as 'dog' to this model; the label is left out" in err
    assert "label 'a dog': the same as 'dog'" in err


def test_a_file_as_windows_writes_unicode_and_a_text_of_several_lines_hold_labels(run, make_photos, tmp_path):
    make_photos(1)
    (tmp_path / "labels.txt").write_bytes("dog\r\ncat\r\n".encode("utf-16"))
    for given in ("labels.txt", "dog\ncat", "dog,\n cat\n"):
        status, rows, _ = run("photos", "--labels", given)
        assert status == 0
        assert {each["label"] for each in rows[0]["top"]} == {"dog", "cat"}
