"""A server in this process and one in its own, with small models of every kind whose weights are random."""

import os
import re
import signal
import subprocess
import sys
import threading

import pytest
import torch

from captioner.models.classify import ClassifyConfig, VideoClassifier
from captioner.models.classify_network import ClassifierConfig, ClassifierNetwork
from captioner.models.read import ReadConfig, Reader
from captioner.models.read_network import ReaderConfig, ReaderNetwork
from captioner.models.shared_encoder import FrameEncoder
from captioner.text.alphabet import Alphabet
from captioner.vision.clip_features import FramesConfig
from captioner.vision.encoder import Encoder, EncoderConfig
from captioner.vision.images import Transform
from captioner.vision.line_pictures import LineTransform
from captioner.weights import named

pytest.importorskip("fastapi", reason="the extra captioner[serve] is not installed")


@pytest.fixture(scope="session")
def folders(tmp_path_factory, model_folder, make_translator):
    """The folders of a captioner (`tiny`), a classifier, a reader and a translator."""
    root = tmp_path_factory.mktemp("models")
    torch.manual_seed(5)
    config = ClassifyConfig(
        labels=["jump", "run"],
        frames=FramesConfig(count=2),
        encoder=EncoderConfig(name="test_resnet", transform=Transform(size=(32, 32))),
        network=ClassifierConfig(components=4, hidden_size=6),
    )
    weights = named("", Encoder("test_resnet", config.encoder.transform).state_dict())
    encoder = FrameEncoder(config.encoder, torch.device("cpu"), weights)
    network = ClassifierNetwork(config.network, encoder.channels, 2)
    network.projection.fit(0.1 * torch.randn(60, 2, encoder.channels))
    VideoClassifier(config, encoder, network).save(root / "moves", "For tests.")
    reading = ReadConfig(
        picture=LineTransform(height=16, step=32),
        network=ReaderConfig(channels=4, features=6, hidden_size=6, layers=1, unit="gru"),
    )
    Reader(reading, ReaderNetwork(reading.network, 16, 4), Alphabet("abc")).save(root / "lines", "For tests.")
    make_translator().save(root / "words", "For tests.")
    return {"tiny": model_folder, **{name: root / name for name in ("moves", "lines", "words")}}


@pytest.fixture(scope="session")
def worker(folders):
    """Models that every server here shares."""
    from captioner.pipelines.serve.jobs import Worker
    from captioner.pipelines.serve.models import Models
    from captioner.pipelines.serve.options import ServeOptions

    return Worker(Models([str(folder) for folder in folders.values()], "cpu"), ServeOptions(max_seconds=30))


@pytest.fixture
def make_client(worker):
    """Makes a client of a server in this process."""
    from starlette.testclient import TestClient

    from captioner.pipelines.serve.app import create_app
    from captioner.pipelines.serve.options import ServeOptions

    running = []

    def make(worker=worker, loopback=True, **options):
        app = create_app(worker, ServeOptions(**options), loopback=loopback, workers=1)
        running.append(TestClient(app, base_url="http://localhost", raise_server_exceptions=False))
        return running[-1].__enter__()

    yield make
    for client in running:
        client.__exit__(None, None, None)


@pytest.fixture
def client(make_client):
    return make_client()


@pytest.fixture
def fill_queue(worker, monkeypatch):
    """Fills the queue of a client's server, which is made afterwards with `queue=1`; returns what empties it again."""
    going, held = threading.Event(), threading.Event()
    going.set()
    work = worker.work

    def gated(items):
        held.set()
        going.wait(60)
        work(items)

    monkeypatch.setattr(worker, "work", gated)

    def fill(client):
        batcher = client.app.app.state.batcher
        going.clear()
        held.clear()
        answers = batcher.submit("busy", ["a"])
        assert held.wait(60)
        answers += batcher.submit("waiting", ["b"])

        def empty():
            going.set()
            for answer in answers:
                answer.exception(60)

        return empty

    yield fill
    going.set()


class Process:
    """`captioner serve` in a process of its own.

    Attributes:
        address: such as `http://127.0.0.1:12345`.
        lines: of its standard error so far.
    """

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "captioner", "serve", "--port", "0", *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        self.lines = []
        self._ready = threading.Event()
        self._reading = threading.Thread(target=self._read)
        self._reading.start()
        assert self._ready.wait(120)
        assert self.process.poll() is None, self.lines
        self.address = re.search(r"http://\S+", self.lines[0])[0]

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)
            if "startup complete" in line:
                self._ready.set()
        self._ready.set()

    def stop(self):
        """End it as a system does; returns its exit status."""
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(60)
        self._reading.join()
        return status


@pytest.fixture(scope="session")
def start():
    """Starts servers; they are ended with the tests."""
    running = []

    def start(*arguments):
        running.append(Process(*arguments))
        return running[-1]

    yield start
    for each in running:
        if each.process.poll() is None:
            each.stop()
