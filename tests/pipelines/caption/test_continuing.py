"""Continuing an output: photos are known by where they are, rows by what made them, and nothing is mixed silently."""

import io
import json
import os
import shutil
import sys

import cv2
import numpy as np
import pytest

from captioner.models.base import load
from captioner.pipelines import cli


def draw(seed):
    small = np.random.default_rng(100 + seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(small, (96, 80), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def run(model_folder, monkeypatch, capfd):
    """Runs the command in this process; returns its status and what it said."""

    def run(*arguments, model=model_folder):
        monkeypatch.setattr(sys, "argv", ["captioner", "caption", *map(str, arguments), "--model", str(model)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        return exit.value.code or 0, out + err

    return run


def rows_of(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_equal_names_in_two_folders_are_two_photos(run, make_photos, tmp_path, monkeypatch, model_folder):
    for seed, trip in enumerate(("trip1", "trip2")):
        (tmp_path / trip / "photos").mkdir(parents=True)
        cv2.imwrite(str(tmp_path / trip / "photos" / "IMG_0001.jpg"), draw(seed))
        monkeypatch.chdir(tmp_path / trip)
        assert run("photos", "-o", "../all.jsonl", "-o", "../all.csv")[0] == 0
    rows = rows_of(tmp_path / "all.jsonl")
    photos = [tmp_path / trip / "photos" / "IMG_0001.jpg" for trip in ("trip1", "trip2")]
    assert [row["path"] for row in rows] == ["photos/IMG_0001.jpg"] * 2
    assert [row["caption"] for row in rows] == [each.text for each in load(str(model_folder)).caption(photos)]
    for trip in ("trip1", "trip2"):
        monkeypatch.chdir(tmp_path / trip)
        assert "1 were done before" in run("photos", "-o", "../all.jsonl", "-o", "../all.csv")[1]
    assert len(rows_of(tmp_path / "all.jsonl")) == 2


def test_a_folder_that_has_moved_is_not_done_again(run, make_photos, tmp_path, monkeypatch):
    make_photos(2, "project/photos" if (tmp_path / "project").mkdir() is None else "")
    monkeypatch.chdir(tmp_path / "project")
    run("photos", "-o", "all.jsonl")
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tmp_path / "project", tmp_path / "renamed", copy_function=shutil.copy)  # with new times
    shutil.rmtree(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "renamed")
    assert "2 were done before" in run("photos", "-o", "all.jsonl")[1]


def test_a_photo_that_was_replaced_is_done_again_and_one_that_was_touched_is_not(run, make_photos, tmp_path):
    photos = make_photos(3)
    outputs = [part for suffix in ("jsonl", "csv", "html") for part in ("-o", tmp_path / f"out.{suffix}")]
    run(photos, *outputs)
    before = rows_of(tmp_path / "out.jsonl")
    cv2.imwrite(str(photos / "photo0001.jpg"), draw(9))
    os.utime(photos / "photo0000.jpg", (5, 5))
    status, said = run(photos, *outputs)
    after = rows_of(tmp_path / "out.jsonl")
    assert status == 0
    assert "2 were done before\n1 had changed since they were done, and are done again" in said
    assert [os.path.basename(row["path"]) for row in after] == ["photo0000.jpg", "photo0002.jpg", "photo0001.jpg"]
    assert after[:2] == [before[0], before[2]]
    page = (tmp_path / "out.html").read_text().partition('id="rows">')[2].partition("</script>")[0]
    assert [row["path"] for row in json.loads(page)] == [row["path"] for row in after]
    assert (tmp_path / "out.csv").read_text().count("photo0001.jpg") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--num-captions", "3"], "its rows were made with num_captions 1, and now it is num_captions 3"),
        (["--lm", "captions"], "its rows were made with lm none, lm_weight none, and now it is lm captions@"),
        (["--beam-size", "2"], "made with beam_size 4, and now it is beam_size 2"),
    ],
)
def test_rows_made_with_other_options_are_not_mixed_in(run, make_photos, tmp_path, options, said):
    photos = make_photos(1)
    run(photos, "-o", tmp_path / "out.jsonl")
    before = (tmp_path / "out.jsonl").read_bytes()
    status, found = run(photos, "-o", tmp_path / "out.jsonl", *options)
    assert status == 2
    assert said in found
    assert "choose another output, or --overwrite" in found
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_rows_of_another_model_or_version_are_not_mixed_in(run, make_photos, tmp_path, model_folder, monkeypatch):
    photos = make_photos(1)
    run(photos, "-o", tmp_path / "out.csv")
    shutil.copytree(model_folder, tmp_path / "copy")
    assert run(photos, "-o", tmp_path / "out.csv", model=tmp_path / "copy")[0] == 0  # the same model elsewhere
    config = json.loads((tmp_path / "copy" / "config.json").read_text())
    config["search"]["max_length"] = 7
    (tmp_path / "copy" / "config.json").write_text(json.dumps(config))
    status, said = run(photos, "-o", tmp_path / "out.csv", model=tmp_path / "copy")
    assert status == 2
    assert "its rows were made with model copy@" in said
    monkeypatch.setattr("captioner.pipelines.folder.made.__version__", "99")
    assert run(photos, "-o", tmp_path / "out.csv")[0] == 2
    assert run(photos, "-o", tmp_path / "out.csv", "--overwrite")[0] == 0


def test_rows_of_which_nothing_tells_what_made_them_are_kept_and_said(run, make_photos, tmp_path):
    photos = make_photos(2)
    run(photos, "-o", tmp_path / "out.jsonl")
    (tmp_path / "out.jsonl.made").unlink()
    assert (
        "nothing tells what made 2 of its rows; they are kept as done" in run(photos, "-o", tmp_path / "out.jsonl")[1]
    )


def test_retry_does_only_what_failed(run, make_photos, tmp_path):
    photos = make_photos(2)
    (photos / "broken.jpg").write_bytes(b"words")
    run(photos, "-o", tmp_path / "out.jsonl", "-o", tmp_path / "out.csv")
    before = rows_of(tmp_path / "out.jsonl")
    status, said = run(photos, "-o", tmp_path / "out.jsonl", "-o", tmp_path / "out.csv")
    assert (status, "(--retry tries them again)" in said) == (1, True)
    status, said = run(photos, "-o", tmp_path / "out.jsonl", "-o", tmp_path / "out.csv", "--retry")
    assert (status, "1 failed: 1 not an image" in said, "2 were done before" in said) == (1, True, True)
    assert sorted(rows_of(tmp_path / "out.jsonl"), key=str) == sorted(before, key=str)


def test_overwriting_empties_nothing_before_there_is_something_to_write(run, make_photos, tmp_path):
    photos = make_photos(1)
    run(photos, "-o", tmp_path / "out.jsonl")
    before = (tmp_path / "out.jsonl").read_bytes()
    assert run(photos, "-o", tmp_path / "out.jsonl", "--overwrite", "--num-captions", "99")[0] == 2
    assert (tmp_path / "out.jsonl").read_bytes() == before


def test_two_photos_of_one_id_are_not_taken_for_each_other(run, make_photos, tmp_path, monkeypatch):
    for trip in ("one", "two"):
        make_photos(1, trip, "{:012}.jpg")
    cv2.imwrite(str(tmp_path / "two" / "000000000000.jpg"), draw(5))
    assert run(tmp_path / "one", "-o", tmp_path / "r.json")[0] == 0
    status, said = run(tmp_path / "two", "-o", tmp_path / "r.json")
    assert (status, "holds image 0 already, which is" in said) == (2, True)
