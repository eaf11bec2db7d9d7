"""Trainings by two processes on a CPU, which talk through gloo."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
import yaml

from captioner.errors import ConfigError, UsageError
from captioner.models.base import load
from captioner.pipelines.train.command import train
from captioner.training import processes

STAGES = {
    "language": {"epochs": 1, "batch_size": 16, "learning_rate": 0.01},
    "cross_entropy": {"epochs": 3, "batch_size": 4, "learning_rate": 0.01, "captions_per_photo": 2},
    "fine_tune": {"epochs": 1, "batch_size": 4, "learning_rate": 0.003, "captions_per_photo": 2},
}
# half of each batch in each of two processes; without chance in a process of its own
SETTINGS = {"stages": STAGES, "decoder__dropout": 0.0, "decoder__content_vector": False, "workers": 0}


TORCHRUN = ["torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
ACCELERATE = ["accelerate.commands.launch", "--multi_gpu", "--num_processes", "2", "--main_process_port", "0"]


def start(config, folder, *more, launcher=TORCHRUN):
    launched = [sys.executable, "-m", *launcher, "-m", "captioner"]
    command = [*launched, "train", config, "--device", "cpu", "-o", folder, *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def lines(folder):
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if '"loss"' in line] if path.exists() else []


def losses(folder):
    return [line["loss"] for line in lines(folder)]


@pytest.fixture(scope="module")
def both(tmp_path_factory):
    """The run folder of a finished training by two processes, once it is wanted."""
    made = {}

    def run(config):
        if not made:
            made["folder"] = tmp_path_factory.mktemp("two") / "run"
            process = start(config, made["folder"])
            made["output"], errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
        return made["folder"], made["output"]

    return run


def test_two_processes_follow_the_losses_of_one_with_batches_twice_as_large(both, write_config, tmp_path):
    folder, output = both(write_config(**SETTINGS))
    whole = {name: {**stage, "batch_size": 2 * stage["batch_size"]} for name, stage in STAGES.items()}
    train(write_config(**{**SETTINGS, "stages": whole}), [], tmp_path / "one", resume=False, device="cpu")
    assert losses(folder) == pytest.approx(losses(tmp_path / "one"), rel=1e-3)
    words = [line["words"] for line in lines(folder)]
    assert words == [line["words"] for line in lines(tmp_path / "one")]  # so that no photo is lost or read twice
    assert output.count("The model is in") == 1
    one, two = (load(place / "model", "cpu") for place in (tmp_path / "one", folder))
    assert two.config.scores == one.config.scores
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in (tmp_path / "one").iterdir())


@pytest.mark.slow
def test_two_killed_processes_continue_with_exactly_the_losses_of_an_uninterrupted_run(both, write_config, tmp_path):
    config = write_config(**SETTINGS)
    folder, _ = both(config)
    process = start(config, tmp_path / "killed")
    while process.poll() is None and len(lines(tmp_path / "killed")) < 8:
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)  # torchrun then ends both
    process.communicate()
    again = start(config, tmp_path / "killed", "--resume")
    _, errors = again.communicate(timeout=300)
    assert again.returncode == 0, errors
    assert losses(tmp_path / "killed") == losses(folder)


def test_what_is_for_one_process_is_refused_before_any_work(squares_clips, tmp_path):
    config = tmp_path / "clips.yaml"
    config.write_text(f"kind: classify\ndata:\n  root: {squares_clips}\nencoder:\n  model: photos\n")
    process = start(config, tmp_path / "run")
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert errors.count("a classifier is trained by one process") == 1
    assert not (tmp_path / "run").exists()


def finished(values, tmp_path, launcher=TORCHRUN):
    """The model of a training by two processes, and how often each step's loss was written."""
    (tmp_path / "two.yaml").write_text(yaml.safe_dump(values))
    process = start(tmp_path / "two.yaml", tmp_path / "run", launcher=launcher)
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert output.count("The model is in") == 1
    assert "FutureWarning" not in errors
    return load(tmp_path / "run" / "model", "cpu"), [line["step"] for line in lines(tmp_path / "run")]


def test_two_processes_train_a_language_model_of_captions(tmp_path):
    rows = [{"image": f"{place}.jpg", "caption": f"a {['dog', 'cat', 'cow'][place % 3]} runs"} for place in range(24)]
    for place, row in enumerate(rows):
        row["split"] = "val" if place < 6 else "train"
    (tmp_path / "captions.json").write_text(json.dumps(rows))
    values = {
        "kind": "language",
        "precision": "float32",
        "data": {
            "root": str(tmp_path),
            "tokens": "captions",
            "train": ["captions.json"],
            "valid": ["captions.json"],
        },
        "network": {"hidden_size": 8, "embedding_size": 8, "layers": 1},
        "stages": {"language": {"epochs": 2, "batch_size": 4, "learning_rate": 0.02}},
    }
    model, steps = finished(values, tmp_path)
    assert model.config.scores
    assert steps == sorted(set(steps))


def test_two_processes_of_accelerate_train_a_captioner_of_clips(squares_clips, tmp_path):
    clips = sorted(squares_clips.rglob("*.avi"))
    rows = [f"{clip.relative_to(squares_clips).as_posix()},a {clip.parent.name} square" for clip in clips]
    (tmp_path / "captions.csv").write_text("\n".join(["clip,caption", *rows]))
    values = {
        "kind": "video",
        "precision": "float32",
        "data": {
            "root": str(tmp_path),
            "captions": "captions.csv",
            "clips": str(squares_clips),
            "hold_out": 2,
            "min_count": 1,
        },
        "encoder": {"name": "test_resnet", "pretrained": False, "size": 32},
        "frames": 2,
        "temporal": {"hidden_size": 8},
        "decoder": {"hidden_size": 8, "embedding_size": 8, "heads": 2},
        "stages": {"cross_entropy": {"epochs": 1, "batch_size": 2, "learning_rate": 0.01}},
    }
    model, steps = finished(values, tmp_path, ACCELERATE)
    assert model.config.scores
    assert steps == [1, 2]  # eight clips, four a step


@pytest.mark.parametrize(
    ("setting", "value"), [("ACCELERATE_USE_FSDP", "true"), ("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")]
)
def test_what_else_accelerate_was_told_to_do_is_refused(monkeypatch, setting, value):
    monkeypatch.setenv(setting, value)
    with pytest.raises(UsageError, match=f"accelerate was told {setting}={value}, which trainings here do not know"):
        processes.join("cpu")


def test_a_language_model_of_a_text_is_refused_before_any_work(tmp_path):
    (tmp_path / "a.txt").write_text("a dog runs\n")
    data = {"root": str(tmp_path), "train": ["a.txt"], "valid": ["a.txt"]}
    stages = {"language": {"epochs": 1, "learning_rate": 0.01}}
    config = tmp_path / "text.yaml"
    config.write_text(yaml.safe_dump({"kind": "language", "data": data, "stages": stages}))
    process = start(config, tmp_path / "run")
    _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert errors.count("a language model of a text is trained by one process") == 1
    assert not (tmp_path / "run").exists()


def test_what_is_for_one_machine_is_refused_before_any_work(squares_clips, tmp_path, monkeypatch):
    config = tmp_path / "clips.yaml"
    data = {"root": str(squares_clips), "captions": "captions.csv"}
    stages = {"cross_entropy": {"epochs": 1, "learning_rate": 0.01}}
    config.write_text(yaml.safe_dump({"kind": "video", "data": data, "encoder": {"model": "photos"}, "stages": stages}))
    monkeypatch.setattr(processes, "machines", lambda: 2)
    with pytest.raises(ConfigError, match="share a cache of features; start them all on one machine"):
        train(config, [], tmp_path / "run", resume=False, device="cpu")
    assert not (tmp_path / "run").exists()


def test_machines_that_see_other_folders_are_told(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "machines", lambda: 2)
    monkeypatch.setattr(processes, "is_main", lambda: False)  # so that nothing is written here
    monkeypatch.setattr(processes, "broadcast_object_list", lambda values: None)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    with pytest.raises(UsageError, match="this is another folder than on the first machine; name one with -o"):
        processes.check_shared(tmp_path)
