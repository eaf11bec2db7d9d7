"""Converted networks are kept on disk, found again, never stale, and made again when damaged."""

import os
import subprocess
import sys
import threading
from contextlib import suppress

import numpy as np
import pytest
import torch

from captioner.vision import compiled
from captioner.vision.encoder import Encoder, Engine
from captioner.vision.images import Transform


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Encoder("test_resnet", Transform(size=(64, 64))).eval()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "captioner"


def test_a_kept_network_gives_the_same_features(encoder, pixels):
    assert compiled.find("key") is None
    expected = Engine(encoder, key="key")(pixels).grid
    network = compiled.find("key")
    assert (network.grid, network.channels) == (encoder.grid_shape(), encoder.channels)
    torch.testing.assert_close(network.compile("float32")(pixels), expected)


def test_damaged_files_are_made_again(encoder, folder):
    compiled.convert(encoder, encoder.transform.size, encoder.grid_shape(), encoder.channels, "key")
    (folder / "key" / "cnn.xml").write_text("<net")
    assert compiled.find("key") is None
    compiled.convert(encoder, encoder.transform.size, encoder.grid_shape(), encoder.channels, "key")
    assert compiled.find("key") is not None


def test_only_the_latest_used_are_kept(encoder, folder, monkeypatch):
    monkeypatch.setattr(compiled, "_KEPT", 2)
    for key in ("first", "second"):
        compiled.convert(encoder, encoder.transform.size, encoder.grid_shape(), encoder.channels, key)
    os.utime(folder / "second", (1, 1))
    assert compiled.find("first") is not None
    compiled.convert(encoder, encoder.transform.size, encoder.grid_shape(), encoder.channels, "third")
    assert sorted(path.name for path in folder.iterdir()) == ["first", "third"]


def test_kept_networks_have_a_size_that_they_do_not_exceed_but_the_latest_stays(encoder, folder, monkeypatch):
    monkeypatch.setattr(compiled, "_BYTES", 1000)
    for key in ("first", "second"):
        compiled.convert(encoder, encoder.transform.size, encoder.grid_shape(), encoder.channels, key)
        assert [path.name for path in folder.iterdir()] == [key]


def test_the_digest_tells_weights_and_transforms_apart(encoder):
    weights = encoder.state_dict()
    first = next(iter(weights))
    other = {**weights, first: weights[first] + 1}
    keys = {
        compiled.digest({"name": "a"}, weights),
        compiled.digest({"name": "b"}, weights),
        compiled.digest({"name": "a"}, other),
    }
    assert len(keys) == 3
    assert compiled.digest({"name": "a"}, dict(reversed(weights.items()))) in keys


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(encoder, pixels, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert Engine(encoder, key="key")(pixels).grid.shape[0] == 3
    assert compiled.find("key") is None


DROPPED = """
import os, signal, threading, time
from captioner.vision.compiled import compile_model, import_openvino

openvino = import_openvino()
number = openvino.opset13.parameter([1], openvino.Type.f32)
model = openvino.Model([openvino.opset13.relu(number)], [number])
kept = [compile_model(model, "float32") for _ in range(3)]
kept.pop(0)
kept.pop(0)
thread = threading.Thread(target=kept.clear)
thread.start()
thread.join()
signal.signal(signal.SIGINT, signal.default_int_handler)  # what runs in the background of a shell ignores it
try:
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(5000):  # another thread may be the one that gets it, which would not wake this one
        time.sleep(0.01)
except KeyboardInterrupt:
    print("interrupted")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are those of POSIX")
def test_after_networks_are_gone_in_any_order_and_thread_an_interrupt_is_only_that():
    done = subprocess.run([sys.executable, "-c", DROPPED], capture_output=True, text=True, timeout=100)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system tells no threads' cores")
def test_a_process_that_shares_its_cores_binds_no_stream_and_sees_the_same(encoder, pixels, monkeypatch):
    monkeypatch.setattr(compiled, "_hints", dict(compiled._hints))
    network = compiled.convert(encoder, encoder.transform.size, encoder.grid_shape(), encoder.channels)
    expected = network.compile("float32")(pixels)
    compiled.share_cores(1)
    streams = network.compile("float32")
    before = set(os.listdir("/proc/self/task"))
    cores, ended = set(), threading.Event()

    def watch():
        while not ended.is_set():
            for thread in before:
                with suppress(OSError):
                    cores.add(frozenset(os.sched_getaffinity(int(thread))))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        found = [streams(pixels) for _ in range(50)]
    finally:
        ended.set()
        watcher.join()
    assert all(torch.equal(each, expected) for each in found)
    assert cores == {frozenset(os.sched_getaffinity(0))}
