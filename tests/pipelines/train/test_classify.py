"""`captioner train` of classifiers, on clips of coloured squares and with a tiny CNN."""

import csv
import json
import shutil
import sys

import pytest
import torch
import yaml

from captioner.models.base import load
from captioner.pipelines import cli


@pytest.fixture
def run(squares_clips, tmp_path, monkeypatch, capfd):
    """Runs the command; returns its status, standard error and the run folder."""
    settings = {
        "kind": "classify",
        "data": {"root": str(squares_clips), "views": 1},
        "encoder": {"name": "test_resnet", "pretrained": False, "size": 32},
        "frames": {"count": 3},
        "network": {"hidden_size": 8, "components": 16, "dropout": 0.2},
        "stages": {"fit": {"steps": 60, "batch_size": 8, "learning_rate": 0.01}},
    }

    def run(*overrides, folder="run", without=(), **changes):
        path = tmp_path / "squares.yaml"
        path.write_text(yaml.safe_dump({k: v for k, v in (settings | changes).items() if k not in without}))
        arguments = ["captioner", "train", path, *overrides, "-o", tmp_path / folder, "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", list(map(str, arguments)))
        try:
            cli.main()
            status = 0
        except SystemExit as exit:
            status = exit.code or 0
        return status, capfd.readouterr().err, tmp_path / folder

    return run


def test_a_folder_of_clips_becomes_a_model_with_its_scores(run, squares_clips):
    status, err, folder = run()
    assert status == 0, err
    scores = json.loads((folder / "scores.json").read_text())
    assert scores["protocol"] == "validation split"
    assert scores["accuracy"] == 1.0
    assert scores["classes"]["blue"] == {"precision": 1.0, "recall": 1.0, "count": 1}
    assert (folder / "confusion.png").stat().st_size > 1000
    answers = list(csv.DictReader((folder / "answers.tsv").open(), delimiter="\t"))
    assert [row["said"] for row in answers] == [row["label"] for row in answers]
    model = load(folder / "model", "cpu", kinds=("classify",))
    assert model.config.scores["validation split"]["accuracy"] == 1.0
    assert "validation split, 2 clips): accuracy 1.000" in (folder / "model" / "README.md").read_text()
    found = model.classify(sorted(squares_clips.glob("*/*.avi")))
    assert (
        sum(
            one.label == path.parent.name
            for one, path in zip(found, sorted(squares_clips.glob("*/*.avi")), strict=True)
        )
        >= 9
    )


def test_cross_validation_tests_every_clip_once_and_the_model_learns_from_all(run):
    status, err, folder = run("data.folds=2")
    assert status == 0, err
    answers = list(csv.DictReader((folder / "answers.tsv").open(), delimiter="\t"))
    assert sorted(row["part"] for row in answers) == ["0"] * 4 + ["1"] * 6 or len(answers) == 10
    assert len({row["path"] for row in answers}) == 10
    assert "Learnt from: 10 clips" in (folder / "model" / "README.md").read_text()
    assert json.loads((folder / "scores.json").read_text())["protocol"] == "2-fold cross-validation"


def test_the_same_seed_gives_the_same_answers_from_the_same_features(run, tmp_path):
    _, _, first = run(f"data.cache={tmp_path / 'cache'}", folder="first")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}
    _, _, second = run(f"data.cache={tmp_path / 'cache'}", folder="second")
    assert (first / "answers.tsv").read_text() == (second / "answers.tsv").read_text()
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "cache").rglob("*.npz")}


def test_clips_and_classes_that_cannot_be_used_are_said_and_the_rest_learnt(run, squares_clips, tmp_path):
    root = shutil.copytree(squares_clips, tmp_path / "clips")
    (root / "red" / "bad.mp4").write_text("no video")
    (root / "empty").mkdir()
    (root / "lone").mkdir()
    shutil.copy(root / "red" / "0.avi", root / "lone" / "0.avi")
    status, err, folder = run(f"data.root={root}")
    assert status == 0, err
    assert f"{root / 'red' / 'bad.mp4'}: not a video; it is left out." in err
    assert f"{root / 'empty'}: no clip in this class folder; it is left out." in err
    assert "class lone has only one clip" in err
    assert load(folder / "model", "cpu").config.labels == ["blue", "red"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.root=/nowhere"], "/nowhere: no such folder"),
        (["data.table=none.tsv"], "none.tsv: cannot be read"),
        (["network.unit=rnn"], "network.unit is 'rnn'"),
        (["init=yoga"], "give either init, a classifier to go on from, or encoder"),
        (["encoder.model=photos"], "give either model, whose CNN is shared, or name"),
        (["encoder.name=mobilenet_v9"], "timm has no network called 'mobilenet_v9'"),
        (["data.folds=2", "stages.fine_tune={epochs: 1, learning_rate: 0.1}"], "leave out data.folds"),
        (["data.folds=20"], "use fewer"),
    ],
)
def test_what_cannot_work_is_one_sentence(run, overrides, message):
    status, err, _ = run(*overrides)
    assert status == 2
    assert message in err
    assert "Traceback" not in err


def test_fine_tuning_changes_the_cnn_and_keeps_it_in_the_model(run, draw_clip, tmp_path):
    stage = {"epochs": 1, "batch_size": 4, "learning_rate": 0.001, "frozen": 0.0}
    status, err, folder = run(precision="float32", stages={"fit": {"steps": 5}, "fine_tune": stage})
    assert status == 0, err
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert sum("loss" in line for line in lines) == 2
    assert lines[-1]["validation"]["val"]["accuracy"] in (0.0, 0.5, 1.0)
    model = load(folder / "model", "cpu")
    _, _, frozen = run(folder="frozen", stages={"fit": {"steps": 5}})
    assert model.encoder.digest != load(frozen / "model", "cpu").encoder.digest
    assert model.classify([draw_clip(tmp_path / "a.avi")])[0].label in ("blue", "red")


BROUGHT = ("encoder", "frames", "network")  # by a classifier to go on from


def test_a_training_goes_on_from_a_classifier_with_its_networks_and_the_classes_of_the_same_name(
    run, squares_clips, tmp_path
):
    _, _, first = run(folder="first")
    root = shutil.copytree(squares_clips, tmp_path / "clips")
    (root / "blue").rename(root / "green")
    steps = {"fit": {"steps": 1, "learning_rate": 1e-9}}
    init = f"init={first / 'model'}"
    status, err, folder = run(init, f"data.root={root}", without=BROUGHT, stages=steps)
    assert status == 0, err
    assert f"{first / 'model'} also knows blue, of which there are no clips; the new model will not." in err
    before, after = load(first / "model", "cpu"), load(folder / "model", "cpu")
    assert after.config.labels == ["green", "red"]
    assert (after.config.frames, after.config.network) == (before.config.frames, before.config.network)
    assert after.encoder.digest == before.encoder.digest
    old, new = before.network.state_dict(), after.network.state_dict()
    for key, value in old.items():
        rows = slice(1, 2) if ".readout." in key else slice(None)  # red is the second class of both
        assert torch.allclose(new[key][rows], value[rows], atol=1e-3), key
    assert torch.allclose(new["members.0.readout.bias"][0], old["members.0.readout.bias"].mean(), atol=1e-3)
    assert f"Goes on from: {first / 'model'}." in (folder / "model" / "README.md").read_text()


def test_a_classifier_that_goes_on_from_its_own_classes_begins_with_its_answers(run, squares_clips):
    _, _, first = run(folder="first")
    steps = {"fit": {"steps": 1, "learning_rate": 1e-9}}
    status, err, folder = run(f"init={first / 'model'}", "data.folds=2", without=BROUGHT, stages=steps)
    assert status == 0, err
    clips = sorted(squares_clips.glob("*/*.avi"))
    before, after = (load(each / "model", "cpu").classify(clips) for each in (first, folder))
    assert [one.score for one in after] == pytest.approx([one.score for one in before], abs=0.02)


@pytest.mark.parametrize(
    ("init", "overrides", "message"),
    [
        ("photos", [], "no video classifier; name one, such as yoga; for its CNN alone set encoder.model=photos."),
        ("words", [], "words is no video classifier; name one, such as yoga."),
        ("yoga", ["frames.count=3"], "init brings its frames along; leave frames out"),
        ("yoga", ["network.members=2"], "init brings its network along; leave network out"),
    ],
)
def test_what_a_classifier_cannot_go_on_from_is_one_sentence(run, init, overrides, message):
    status, err, _ = run(f"init={init}", *overrides, without=BROUGHT)
    assert (status, "Traceback" in err) == (2, False)
    assert message in " ".join(err.split())
