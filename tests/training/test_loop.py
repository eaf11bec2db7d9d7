import json
import math
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import timm
import torch
import yaml
from filelock import FileLock
from safetensors.torch import load_file, save_file

from captioner.errors import ConfigError, DataError, ModelError
from captioner.models.base import load
from captioner.pipelines.train.caption import CaptionTraining
from captioner.pipelines.train.command import train
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.training.batches import TextItems, make_loader
from captioner.training.config import Stage, TrainingConfig, load_config
from captioner.training.loop import Run

RUNS = ("fine_tune_1", "fine_tune_2")


def run(config, folder, *overrides, resume=False):
    return train(config, overrides, folder, resume=resume, device="cpu")


def losses(folder):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [(line["step"], line["stage"], line["loss"]) for line in lines if "loss" in line]


def start(config, folder, *more):
    command = [Path(sys.executable).with_name("captioner"), "train", config, "--device", "cpu", "-o", folder]
    return subprocess.Popen([*command, *more], env={**os.environ, "OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE)


@pytest.mark.slow
def test_a_killed_run_continues_with_exactly_the_losses_of_an_uninterrupted_one(write_config, tmp_path):
    config = write_config()
    assert start(config, tmp_path / "whole").wait() == 0
    expected = losses(tmp_path / "whole")
    assert {stage for _, stage, _ in expected} == {"language", "cross_entropy", "fine_tune", "self_critical"}
    killed = tmp_path / "killed"
    metrics = killed / "metrics.jsonl"
    # in the middle of an epoch of each of the last three stages, between two checkpoints
    for stop in (8, 17, 22):
        process = start(config, killed, *(["--resume"] if metrics.exists() else []))
        while process.poll() is None and not (metrics.exists() and len(losses_so_far(metrics)) >= stop):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    finished = start(config, killed, "--resume")
    assert finished.wait() == 0, finished.stderr.read().decode()
    assert losses(killed) == expected


def losses_so_far(metrics):
    return [line for line in metrics.read_text().splitlines() if '"loss"' in line]


def test_a_run_leaves_a_model_its_card_metrics_and_curves(write_config, tmp_path):
    folder = tmp_path / "run"
    config = write_config()
    model = run(config, folder)
    assert model == folder / "model"
    for name in ("model/README.md", "curves.png", "config.yaml", "language/config.json", "self_critical/config.json"):
        assert (folder / name).stat().st_size > 0
    assert list((folder / "tensorboard").iterdir())
    trained = load(model, "cpu")
    assert set(trained.config.scores) == {"held out val"}
    assert f"captioner train {config}" in (model / "README.md").read_text()


def test_the_mean_of_several_runs_is_kept(write_config, tmp_path):
    config = write_config(runs=2, stages__self_critical=None)
    folder = run(config, tmp_path / "run")
    assert not (tmp_path / "run" / "language_2").exists()
    first, second, mean = (load_file(tmp_path / "run" / name / "model.safetensors") for name in (*RUNS, "model"))
    for key, value in mean.items():
        assert torch.allclose(value.float(), (first[key].float() + second[key].float()) / 2, atol=2e-3, rtol=5e-3)
    word = "decoder.embedding.weight"
    assert not torch.allclose(first[word], second[word], atol=1e-2)
    assert "the mean of fine_tune_1 and fine_tune_2" in (folder / "README.md").read_text()
    with pytest.raises(ConfigError, match="runs"):
        run(write_config(runs=0), tmp_path / "none")


def fitted_cnn(squares):
    """A random CNN whose batch statistics fit the squares, so that their features differ as a trained CNN's do."""
    torch.manual_seed(0)
    network = timm.create_model("test_resnet").train()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # plain means instead of moving ones
    pictures = np.stack([cv2.imread(str(path))[..., ::-1] for path in sorted((squares / "photos").glob("train-*"))])
    with torch.no_grad():
        network(torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1)
    save_file(network.state_dict(), squares / "fitted.safetensors")
    return "fitted.safetensors"


def test_training_learns_to_tell_colours_and_sides(write_config, tmp_path, squares):
    stages = {"cross_entropy": {"epochs": 8, "batch_size": 8, "learning_rate": 0.01, "average": 0.9, "patience": 8}}
    changes = {"decoder__dropout": 0.0, "data__mirror": False, "encoder__weights": fitted_cnn(squares)}
    model = load(run(write_config(stages=stages, **changes), tmp_path / "run"), "cpu")
    for path in sorted((squares / "photos").glob("val-*")):
        _, colour, side, _ = path.stem.split("-")
        assert {colour, side} <= set(model.caption([path])[0].tokens)


def test_a_second_run_in_the_same_folder_is_refused(write_config, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run/config.yaml").write_text("seed: 99\n")
    with pytest.raises(ConfigError, match="--resume"):
        run(write_config(), tmp_path / "run")
    with pytest.raises(ConfigError, match="another configuration"):
        run(write_config(), tmp_path / "run", resume=True)


def test_a_run_that_never_began_leaves_its_folder_to_the_next(write_config, tmp_path):
    language = {"language": {"epochs": 1, "batch_size": 16, "learning_rate": 0.01}}
    for resume in (False, True):
        with pytest.raises(DataError):
            run(write_config(stages=language), tmp_path / "run", "data.root=typo", resume=resume)
    model = run(write_config(stages=language), tmp_path / "run", "seed=4")
    assert "seed=4" in (model / "README.md").read_text()


def test_two_trainings_at_once_do_not_share_a_folder(write_config, tmp_path, monkeypatch):
    monkeypatch.setattr("captioner.pipelines.train.command._ENDING", 0.1)
    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run" / ".lock"), pytest.raises(ConfigError, match="another training is at work"):
        run(write_config(), tmp_path / "run")


@pytest.mark.skipif(os.name != "posix", reason="locks that a child shares are those of POSIX")
def test_a_training_waits_for_the_workers_of_a_killed_one(write_config, tmp_path):
    import fcntl

    (tmp_path / "run").mkdir()
    with open(tmp_path / "run" / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        worker = subprocess.Popen(["sleep", "1"], pass_fds=[lock.fileno()])
    with pytest.raises(DataError):  # of the data, which are read once the folder is the training's own
        run(write_config(), tmp_path / "run", "data.root=typo")
    assert worker.wait() == 0


def test_a_card_repeats_the_command_and_names_captions_but_no_folder_of_this_machine(write_config, tmp_path, squares):
    config = write_config(stages={"language": {"epochs": 1, "learning_rate": 0.01}})
    model = run(config, tmp_path / "run", "data.min_count=2", f"data.root={squares}")
    card = (model / "README.md").read_text()
    assert f"`captioner train {config} data.min_count=2 data.root=DATA`" in card
    assert "squares: train.json" in card


def test_text_about_held_out_photos_is_not_read_where_those_photos_are_absent(write_config, tmp_path, squares):
    content = json.loads((squares / "val.json").read_text())
    for image in content["images"][1:]:
        image["file_name"] = f"absent-{image['file_name']}"
    for entry in content["annotations"]:
        entry["caption"] = "a secret square"
    (squares / "absent.json").write_text(json.dumps(content))
    training = CaptionTraining(
        load_config(
            write_config(data__text=["absent.json", "train.json"]),
            [
                "data.allow_missing=true",
                "data.sets.held out.captions=absent.json",
            ],
        ),
        tmp_path / "run",
        "",
        device="cpu",
        resume=False,
    )
    assert not any("secret" in words for words in training.text)


def test_missing_photos_are_counted_and_named_or_left_out(write_config, tmp_path, squares, caplog):
    content = json.loads((squares / "train.json").read_text())
    content["images"].append({"id": 999, "file_name": "gone.png"})
    content["annotations"].append({"id": 999, "image_id": 999, "caption": "a square that is gone"})
    (squares / "more.json").write_text(json.dumps(content))
    config = write_config(
        data__sets__squares__captions="more.json", stages={"language": {"epochs": 1, "learning_rate": 0.01}}
    )
    with pytest.raises(DataError, match=r"1 photo \(gone.png\) of 37 .*data.allow_missing"):
        run(config, tmp_path / "refused")
    run(config, tmp_path / "allowed", "data.allow_missing=true")
    assert "gone.png" in caplog.text


def test_photos_that_are_damaged_are_left_out_and_named(write_config, tmp_path, squares, capsys):
    content = json.loads((squares / "train.json").read_text())
    for number, name in ((998, "empty.png"), (999, "cut.png")):
        content["images"].append({"id": number, "file_name": name})
        content["annotations"].append({"id": number, "image_id": number, "caption": "a square that is damaged"})
    (squares / "damaged.json").write_text(json.dumps(content))
    (squares / "photos" / "empty.png").write_bytes(b"")
    (squares / "photos" / "cut.png").write_bytes(b"no image at all")
    stage = {"epochs": 1, "batch_size": 8, "learning_rate": 0.01}
    for stages in ({"cross_entropy": stage}, {"fine_tune": stage}):
        folder = tmp_path / next(iter(stages))
        model = run(write_config(data__sets__squares__captions="damaged.json", stages=stages), folder)
        said = capsys.readouterr().err
        assert all(said.count(name) == 1 for name in ("empty.png", "cut.png"))
        assert "36 photos" in (model / "README.md").read_text()


def test_a_finders_file_among_the_checkpoints_is_no_checkpoint(write_config, tmp_path):
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "checkpoints" / ".DS_Store").write_bytes(b"\0")
    run(write_config(stages={"language": {"epochs": 1, "learning_rate": 0.01}}), tmp_path / "run")


def test_a_score_that_is_no_number_still_leaves_a_model(tmp_path):
    class Loss(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, batch):
            return (self.weight * batch.tokens.float().mean()).sum(), {"words": 3}

    vocabulary = Vocabulary([*SPECIALS, "a"])
    loader = make_loader(TextItems([["a"]] * 3, vocabulary, 5), batch_size=2, seed=0)
    kept, loss = [], Loss()
    machine = Run(tmp_path, TrainingConfig(kind="any", purpose="", precision="float32"), device="cpu")
    stage = Stage(epochs=3, learning_rate=0.01, patience=2)
    groups = [{"params": list(loss.parameters()), "lr": 1.0}]
    machine.train(
        "any", 0, stage, loss, groups, loader, lambda: (math.nan, {"x": {"y": math.nan}}), lambda *_: kept.append(1)
    )
    assert kept == [1]


class InOneBlock(torch.nn.Module):
    """Weights that lie in one block of memory, as those of a recurrent network on a GPU do."""

    def __init__(self, value):
        super().__init__()
        block = torch.full((4,), value)
        self.first, self.second = torch.nn.Parameter(block[:2]), torch.nn.Parameter(block[2:])

    def forward(self, batch):
        return (self.first.sum() - self.second.sum()) ** 2 + self.second.sum(), {"words": 1}


def test_a_checkpoint_holds_all_weights_that_lie_in_one_block_of_memory(tmp_path):
    vocabulary = Vocabulary([*SPECIALS, "a"])

    def trained(folder, value, killed_after=9, resume=False):
        loader = make_loader(TextItems([["a"]] * 4, vocabulary, 5), batch_size=2, seed=0)
        module = InOneBlock(value)
        config = TrainingConfig(kind="any", purpose="", precision="float32")
        machine = Run(tmp_path / folder, config, device="cpu", resume=resume)

        def validate():
            if machine.progress.epoch == killed_after:
                raise KeyboardInterrupt
            return 0.0, {}

        stage = Stage(epochs=3, learning_rate=0.1, patience=9)
        groups = [{"params": list(module.parameters()), "lr": 1.0}]
        machine.train("any", 0, stage, module, groups, loader, validate, lambda *_: None)
        return module

    whole = trained("whole", 1.0)
    with pytest.raises(KeyboardInterrupt):
        trained("killed", 1.0, killed_after=1)
    resumed = trained("killed", 7.0, resume=True)
    assert torch.equal(resumed.first, whole.first)
    assert torch.equal(resumed.second, whole.second)


def interrupted(config, folder):
    """A run that ends after its first checkpoint; returns that."""

    def stop(*_, **__):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("captioner.training.loop.Run._end_epoch", stop)
        with pytest.raises(KeyboardInterrupt):
            run(config, folder)
    (checkpoint,) = (folder / "checkpoints").iterdir()
    return checkpoint


LANGUAGE = {"language": {"epochs": 2, "batch_size": 16, "learning_rate": 0.01}}


def test_a_damaged_checkpoint_is_not_gone_on_from(write_config, tmp_path):
    config = write_config(stages=LANGUAGE)
    checkpoint = interrupted(config, tmp_path / "run")
    files = {path: path.read_bytes() for path in checkpoint.iterdir()}
    assert len(files) == 5
    for path, content in files.items():
        for damaged in (content[: len(content) // 2], b"", bytes(len(content)), None):
            path.unlink() if damaged is None else path.write_bytes(damaged)
            if path.name == "progress.json" and damaged is None:
                continue  # without its last file a folder is no checkpoint
            with pytest.raises(DataError, match=f"{path.name}: damaged or missing"):
                run(config, tmp_path / "run", resume=True)
        path.write_bytes(content)
    run(config, tmp_path / "run", resume=True)


def test_a_full_disk_is_one_sentence_and_the_run_goes_on_when_there_is_room(write_config, tmp_path):
    config = write_config(stages=LANGUAGE)
    run(config, tmp_path / "whole")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in (20_000, 150_000, 400_000):  # for no checkpoint, no average of weights, no model
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
            with pytest.raises((DataError, ModelError), match=r"cannot be written \(.*make room"):
                run(config, tmp_path / "run", resume=True)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    run(config, tmp_path / "run", resume=True)
    assert losses(tmp_path / "run") == losses(tmp_path / "whole")


def test_a_run_whose_data_have_changed_is_not_continued(write_config, tmp_path, squares):
    shutil.copytree(squares, tmp_path / "data")
    config = write_config(stages=LANGUAGE, data__root=str(tmp_path / "data"))
    interrupted(config, tmp_path / "run")
    captions = tmp_path / "data" / "train.json"
    before = captions.read_text()
    captions.write_text(before.replace("square", "circle"))  # as many words as before
    with pytest.raises(ConfigError, match="began with other data"):
        run(config, tmp_path / "run", resume=True)
    captions.write_text(before)
    shutil.move(tmp_path / "data", tmp_path / "moved")
    run(config, tmp_path / "run", f"data.root={tmp_path / 'moved'}", resume=True)


def test_a_run_whose_photos_have_changed_is_not_continued(write_config, tmp_path, squares):
    shutil.copytree(squares, tmp_path / "data")
    config = write_config(stages=LANGUAGE, data__root=str(tmp_path / "data"))
    interrupted(config, tmp_path / "run")
    photo = min((tmp_path / "data" / "photos").glob("train-*"))
    before, times = cv2.imread(str(photo)), photo.stat()
    cv2.imwrite(str(photo), before[:, ::-1])
    os.utime(photo, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(ConfigError, match="their pictures, or the model of init, have changed since"):
        run(config, tmp_path / "run", resume=True)


def test_a_run_whose_beginning_is_another_model_now_is_not_continued(write_config, tmp_path):
    first = run(write_config(stages=LANGUAGE), tmp_path / "first")
    settings = yaml.safe_load(write_config(stages=LANGUAGE, init=str(first)).read_text())
    del settings["encoder"], settings["decoder"]
    config = tmp_path / "more.yaml"
    config.write_text(yaml.safe_dump(settings))
    interrupted(config, tmp_path / "run")
    weights = load_file(first / "model.safetensors")
    save_file({name: value + 0.1 for name, value in weights.items()}, first / "model.safetensors")
    with pytest.raises(ConfigError, match="or the model of init, have changed since"):
        run(config, tmp_path / "run", resume=True)


def test_copies_of_held_out_photos_are_not_learnt_from(write_config, tmp_path, squares, capsys):
    shutil.copytree(squares, tmp_path / "data")
    photos = tmp_path / "data" / "photos"
    held_out = sorted(photos.glob("val-*"))
    for learnt in sorted(photos.glob("train-*"))[:2]:
        shutil.copy(held_out[0], learnt)
    folder = run(write_config(stages=LANGUAGE, data__root=str(tmp_path / "data")), tmp_path / "run")
    assert "2 photos to learn from (train-" in capsys.readouterr().err
    assert "34 photos" in (folder / "README.md").read_text()


def test_an_empty_training_split_is_said(write_config, tmp_path):
    config = write_config(data__sets__squares__split="val")
    with pytest.raises(DataError, match="no photo in the train split"):
        run(config, tmp_path / "run")


def test_without_validation_photos_the_remedy_is_named(write_config, tmp_path):
    config = write_config()
    with pytest.raises(ConfigError, match="hold_out"):
        run(config, tmp_path / "run", "data.sets={only: {captions: train.json, photos: [photos]}}")


def test_a_training_may_follow_another_of_other_precision(write_config, tmp_path):
    language = {"language": {"epochs": 1, "batch_size": 16, "learning_rate": 0.01}}
    for precision in ("float32", "bfloat16"):
        run(write_config(stages=language, precision=precision), tmp_path / precision)


def test_no_stage_is_an_error(write_config, tmp_path):
    with pytest.raises(ConfigError, match="language, cross_entropy, fine_tune, self_critical"):
        run(write_config(stages={}), tmp_path / "run")


def test_weights_of_another_network_are_refused(write_config, tmp_path, squares):
    save_file(timm.create_model("test_efficientnet").state_dict(), squares / "other.safetensors")
    with pytest.raises(ModelError, match=r"other.safetensors: .*test_resnet"):
        run(write_config(encoder__weights="other.safetensors"), tmp_path / "run")


def test_a_loss_that_is_no_number_stops_the_run_with_a_remedy(write_config, tmp_path):
    config = write_config(
        stages={"language": {"epochs": 60, "batch_size": 8, "learning_rate": 1e30, "clip_norm": 1e30, "warmup": 0.0}}
    )
    with pytest.raises(DataError, match=r"stages.language.learning_rate"):
        run(config, tmp_path / "run")


def test_a_training_goes_on_from_a_model_with_its_words_and_new_ones(write_config, settings, tmp_path, squares):
    stage = {"epochs": 1, "batch_size": 8, "learning_rate": 0.0001}
    first = run(write_config(stages={"cross_entropy": stage}), tmp_path / "first")
    content = json.loads((squares / "train.json").read_text())
    for entry in content["annotations"][:5]:
        entry["caption"] = "A purple surprise."
    (squares / "new_words.json").write_text(json.dumps(content))
    del settings["encoder"], settings["decoder"]
    config = write_config(
        init=str(first), stages={"cross_entropy": stage}, data__sets__squares__captions="new_words.json"
    )
    second = run(config, tmp_path / "second")
    before, after = load(first, "cpu"), load(second, "cpu")
    known = len(before.vocabulary)
    assert after.vocabulary.tokens[:known] == before.vocabulary.tokens
    assert set(after.vocabulary.tokens[known:]) == {"purple", "surprise"}
    assert torch.allclose(
        after.decoder.embedding.weight[:known], before.decoder.embedding.weight, atol=0.02
    )  # a rate so low changes little
    assert f"Goes on from: {first}" in (second / "README.md").read_text()
    with pytest.raises(ConfigError, match="no photo captioner"):
        run(config, tmp_path / "third", "init=yoga")
    with pytest.raises(ConfigError, match="either init"):
        run(config, tmp_path / "third", "encoder={name: test_resnet}")
