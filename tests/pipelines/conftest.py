"""Small real model folders with random weights, and small photos."""

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from captioner.decoding.steps import DecodingConfig
from captioner.models.base import load
from captioner.models.caption import CaptionConfig, Captioner
from captioner.models.caption_network import DecoderConfig
from captioner.models.search import SearchNetwork, write_search
from captioner.models.search_config import SearchConfig, captioner_digest
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.vision.encoder import EncoderConfig
from captioner.vision.images import Transform

WORDS = ["a", "dog", "cat", "man", "runs", "sits", "on", "the", "grass", "'s", "hat", "and", "two", "men", "red", "big"]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    config = CaptionConfig(
        encoder=EncoderConfig(name="test_resnet", transform=Transform(size=(64, 64))),
        decoder=DecoderConfig(hidden_size=16, embedding_size=12, heads=4),
        search=DecodingConfig(beam_size=4, max_length=8),
    )
    torch.manual_seed(2)
    model = Captioner.build(config, Vocabulary([*SPECIALS, *WORDS]))
    with torch.no_grad():  # else an untrained network says the same of every picture
        model.decoder.embedding.weight *= 4
        model.decoder.bias.normal_()
        model.decoder.image_projection.weight *= 40
    folder = tmp_path_factory.mktemp("model") / "tiny"
    model.save(folder, "A model with random weights, for tests.")
    return folder


@pytest.fixture(scope="session")
def finder_folder(model_folder, tmp_path_factory) -> Path:
    """The same captioner with the quick part of a search."""
    folder = tmp_path_factory.mktemp("finder") / "tiny"
    shutil.copytree(model_folder, folder)
    model = load(folder)
    config = SearchConfig(captioner=captioner_digest(folder), hidden_size=8, size=6)
    torch.manual_seed(0)
    network = SearchNetwork(config, model.config.decoder.embedding_size, model.encoder.channels)
    write_search(folder, config, network)
    return folder


def draw(seed: int, width: int = 96, height: int = 80) -> np.ndarray:
    """A smooth random picture, BGR."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def make_photos(tmp_path):
    """Makes a folder of photos; returns it."""

    def make(count: int, folder: str = "photos", name: str = "photo{:04}.jpg") -> Path:
        (tmp_path / folder).mkdir(exist_ok=True)
        for number in range(count):
            cv2.imwrite(str(tmp_path / folder / name.format(number)), draw(number))
        return tmp_path / folder

    return make


@pytest.fixture
def workers_here(monkeypatch):
    """Lets the workers of `--cluster here` run in this process, one after the other, without Ray."""
    from captioner.pipelines.cluster import on_ray
    from captioner.pipelines.cluster.job import versions
    from captioner.pipelines.cluster.worker import Expected, ShardWorker

    def run_shards(job, made_by, shards):
        todo = list(shards)
        worker = ShardWorker(job, Expected(versions(), made_by), 1)
        for shard, output in todo:
            yield on_ray.made(worker(on_ray.row_of(shard, output)))

    monkeypatch.setattr(on_ray, "run_shards", run_shards)
