"""Trainings from WebDataset shards at other addresses: listed once, streamed, shuffled, and continued exactly."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from safetensors.torch import load_file

from captioner.errors import ConfigError, DataError
from captioner.pipelines.train.command import train
from captioner.training.caption.photo_parts import PhotoParts
from captioner.training.config import load_config

STAGES = {
    "cross_entropy": {"epochs": 2, "batch_size": 4, "learning_rate": 0.01, "captions_per_photo": 2},
    "fine_tune": {"epochs": 2, "batch_size": 4, "learning_rate": 0.003, "captions_per_photo": 2},
}


@pytest.fixture
def shards(s3, squares, make_tar, tmp_path):
    """The squares in six shards for training and one for validation, captions beside each photo; returns the tars."""
    made = {}
    for split in ("train", "val"):
        described = json.loads((squares / f"{split}.json").read_text())
        for image in described["images"]:
            texts = [each["caption"] for each in described["annotations"] if each["image_id"] == image["id"]]
            name = f"{split}-{image['id'] % 6 if split == 'train' else 0}.tar"
            key = f"{image['id']:04}"
            made.setdefault(name, []).extend(
                [
                    (f"{key}.png", (squares / "photos" / image["file_name"]).read_bytes()),
                    (f"{key}.txt", "\n".join(texts).encode()),
                ]
            )
    for name, files in made.items():
        s3.put_file(str(make_tar(tmp_path / name, files)), f"photos/squares/{name}")
    return tmp_path


@pytest.fixture
def config(write_config, shards):
    def write(**changes):
        photos = ["s3://photos/squares/train-{0..5}.tar", "s3://photos/squares/val-*.tar"]
        values = {"data__sets": {"squares": {"photos": photos}}, "stages": STAGES, "workers": 0, **changes}
        return write_config(**values)

    return write


def start(config, folder, *more, torchrun=()):
    launch = ["torch.distributed.run", *torchrun, "-m"] if torchrun else []
    command = [sys.executable, "-m", *launch, "captioner", "train", config, "--device", "cpu", "-o", folder, *more]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(list(map(str, command)), env=environment, stderr=subprocess.PIPE, text=True)


def lines(folder):
    path = folder / "metrics.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines() if '"loss"' in line] if path.exists() else []


def test_shards_of_a_bucket_train_as_the_same_shards_here(config, shards, write_config, tmp_path, s3):
    cached = {"stages": {"cross_entropy": STAGES["cross_entropy"]}}
    train(config(**cached), [], tmp_path / "remote", resume=False, device="cpu")
    local = {"squares": {"captions": "tars", "photos": ["tars/*.tar"]}}
    (tmp_path / "tars").mkdir()
    for path in shards.glob("*.tar"):
        path.rename(tmp_path / "tars" / path.name)
    train(write_config(data__root=str(tmp_path), data__sets=local), [], tmp_path / "here", resume=False, device="cpu")
    assert [line["loss"] for line in lines(tmp_path / "remote")] == [line["loss"] for line in lines(tmp_path / "here")]


def test_a_set_may_have_shards_here_and_in_a_bucket(config, shards, write_config, tmp_path, s3):
    stages = {"cross_entropy": {**STAGES["cross_entropy"], "epochs": 1}}
    (tmp_path / "here").mkdir()
    for number in range(3):
        (shards / f"train-{number}.tar").rename(tmp_path / "here" / f"train-{number}.tar")
        s3.rm(f"photos/squares/train-{number}.tar")
    mixed = {"squares": {"photos": ["here/train-{0..2}.tar", "s3://photos/squares/*.tar"]}}
    train(
        config(data__root=str(tmp_path), data__sets=mixed, stages=stages),
        [],
        tmp_path / "run",
        resume=False,
        device="cpu",
    )
    assert len(lines(tmp_path / "run")) == 9  # of all 36 photos, four a batch


def test_two_shards_of_one_name_here_and_in_a_bucket_are_refused(config, shards, tmp_path):
    mixed = {"squares": {"photos": ["train-0.tar", "s3://photos/squares/*.tar"]}}
    with pytest.raises(DataError) as raised:
        train(config(data__root=str(shards), data__sets=mixed), [], tmp_path / "run", resume=False, device="cpu")
    assert str(raised.value) == (
        f"s3://photos/squares/train-0.tar: train-0.tar/0000.png is called as a file of {shards / 'train-0.tar'} is; "
        "rename one of the two."
    )


def test_a_kill_in_the_middle_of_an_epoch_changes_nothing(config, tmp_path):
    # room for copies of a few shards only, so that they come and go
    fine = {"stages": {"fine_tune": STAGES["fine_tune"]}, "data__copies": 0.0004, "workers": 1}
    path = config(**fine)
    whole_run = start(path, tmp_path / "whole")  # on one thread as the others, which adds up in another order than two
    _, errors = whole_run.communicate(timeout=300)
    assert whole_run.returncode == 0, errors
    process = start(path, tmp_path / "killed")
    while process.poll() is None and len(lines(tmp_path / "killed")) < 5:  # of nine steps an epoch
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    finished = start(path, tmp_path / "killed", "--resume")
    _, errors = finished.communicate(timeout=300)
    assert finished.returncode == 0, errors
    runs = [tmp_path / name for name in ("whole", "killed")]
    assert lines(runs[0]) == lines(runs[1])
    assert len(lines(runs[0])) == 18
    whole, killed = (load_file(run / "model" / "model.safetensors") for run in runs)
    assert all((killed[key] == value).all() for key, value in whole.items())


def test_an_address_as_the_root_is_one_sentence(write_config):
    with pytest.raises(ConfigError, match=r"data\.root is 's3://bucket/photos': .*a folder of this machine is wanted"):
        load_config(write_config(data__root="s3://bucket/photos"))


WORDS = 36 * (7 + 10)  # of an epoch, with the end of each caption


def words(folder, stage):
    return sum(line["words"] for line in lines(folder) if line["stage"] == stage)


def test_two_processes_read_all_photos_once_an_epoch(config, tmp_path):
    process = start(config(), tmp_path / "two", torchrun=("--standalone", "--nproc_per_node", 2))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert [words(tmp_path / "two", stage) for stage in STAGES] == [2 * WORDS, 2 * WORDS]
    assert len(lines(tmp_path / "two")) == 2 * 2 * 5  # of 36 photos, four a batch in each process


@pytest.mark.slow
def test_two_machines_share_the_run_folder_only(config, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    where = ("--nnodes", 2, "--nproc_per_node", 1, "--master_addr", "127.0.0.1", "--master_port", port, "--node_rank")
    both = [
        start(config(), tmp_path / "two", f"data.cache={tmp_path / f'disk-{rank}'}", torchrun=(*where, rank))
        for rank in range(2)
    ]
    for process in both:
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
    assert [words(tmp_path / "two", stage) for stage in STAGES] == [2 * WORDS, 2 * WORDS]
    rows = [len(np.load(next((tmp_path / f"disk-{rank}").glob("*/done.npy")))) for rank in range(2)]
    assert rows == [24, 18]  # of the training photos half each, and on the first machine those for validation


@pytest.mark.parametrize(
    ("photos", "sentence"),
    [
        ("s3://photos/squares/train-{0..6}.tar", "s3://photos/squares/train-6.tar: no such shard of photos."),
        ("s3://photos/squares/none-*.tar", "s3://photos/squares/none-*.tar: no such shard of photos."),
        ("gs://photos/a.tar", "such addresses need another package"),
        ("nothing://photos/a.tar", "not an address that fsspec knows"),
    ],
)
def test_shards_that_cannot_be_found_are_one_sentence(config, tmp_path, photos, sentence):
    with pytest.raises(DataError) as raised:
        train(config(data__sets={"squares": {"photos": [photos]}}), [], tmp_path / "run", resume=False, device="cpu")
    assert sentence in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_shard_cut_short_gives_the_photos_before_and_says_so(config, shards, s3, tmp_path, caplog):
    data = (shards / "train-0.tar").read_bytes()
    s3.pipe_file("photos/squares/train-0.tar", data[: len(data) // 2])
    train(config(stages={"cross_entropy": STAGES["cross_entropy"]}), [], tmp_path / "run", resume=False, device="cpu")
    assert caplog.text.count("s3://photos/squares/train-0.tar: the archive ends too soon; only the") == 1


def test_a_shard_here_that_is_cut_short_says_so_once(config, shards, tmp_path, caplog):
    path = shards / "train-0.tar"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    local = {"squares": {"photos": ["train-*.tar", "val-0.tar"]}}
    stages = {"cross_entropy": {**STAGES["cross_entropy"], "epochs": 1}}
    changes = {"data__root": str(shards), "data__sets": local, "stages": stages}
    train(config(**changes), [], tmp_path / "run", resume=False, device="cpu")
    assert caplog.text.count("train-0.tar: the archive ends too soon; only the") == 1


def test_a_shard_that_vanishes_while_training_stops_it_with_one_sentence(config, s3, tmp_path, monkeypatch):
    buckets = PhotoParts.buckets
    gone = "photos/squares/train-3.tar"
    monkeypatch.setattr(PhotoParts, "buckets", lambda *args, **options: (s3.rm(gone), buckets(*args, **options))[1])
    fine = {"stages": {"fine_tune": STAGES["fine_tune"]}, "data__copies": 0, "workers": 1}
    with pytest.raises(DataError) as raised:
        train(config(**fine), [], tmp_path / "run", resume=False, device="cpu")
    assert str(raised.value) == f"s3://{gone}: cannot be read (no such file or folder)."


def test_captions_may_lie_in_a_file_at_an_address(config, shards, s3, tmp_path):
    names = [f"train-{number % 6}.tar/{number:04}.png" for number in range(36)]
    rows = [{"image": name, "caption": "a red dog", "split": "val" if name < "train-1" else ""} for name in names]
    s3.pipe_file("photos/captions.json", json.dumps(rows).encode())
    sets = {"squares": {"captions": "s3://photos/captions.json", "photos": ["s3://photos/squares/train-*.tar"]}}
    stages = {"cross_entropy": {**STAGES["cross_entropy"], "epochs": 1}}
    train(config(data__sets=sets, stages=stages), [], tmp_path / "run", resume=False, device="cpu")
    assert len(lines(tmp_path / "run")) == 8  # of 30 photos
    assert "captions.json" in (tmp_path / "run" / "model" / "README.md").read_text()
