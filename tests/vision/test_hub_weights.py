"""Weights from the hub's cache, and a hub that cannot be reached."""

import time

import huggingface_hub
import pytest
import timm
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

from captioner.errors import ModelError
from captioner.vision import hub_weights
from captioner.vision.encoder import Encoder
from captioner.vision.images import Transform

NAME = "test_resnet"
TRANSFORM = Transform((32, 32), (0, 0, 0), (1, 1, 1))


@pytest.fixture
def unreachable(monkeypatch):
    """No network, and no weights in the hub's cache."""
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    monkeypatch.setattr(hub_weights, "_unreachable", lambda _: "Name or service not known")


def test_a_hub_that_cannot_be_reached_is_one_sentence_at_once(unreachable):
    started = time.monotonic()
    with pytest.raises(ModelError, match=r"test_resnet: .*cannot be reached: Name or service not known.*init: photos"):
        Encoder(NAME, TRANSFORM, pretrained=True)
    assert time.monotonic() - started < hub_weights.SECONDS


def test_a_hub_that_must_not_be_reached_is_not(unreachable, monkeypatch):
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE is set, and they are not in the hub's cache"):
        Encoder(NAME, TRANSFORM, pretrained=True)


def test_weights_in_the_cache_are_read_without_a_network(unreachable, monkeypatch, tmp_path):
    torch.manual_seed(1)
    weights = timm.create_model(NAME).state_dict()
    save_file(weights, tmp_path / "model.safetensors")
    asked = []

    def cached(repository, file):
        asked.append(repository)
        return str(tmp_path / file)

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    encoder = Encoder(NAME, TRANSFORM, pretrained=True)
    assert asked[0].startswith("timm/test_resnet")
    assert torch.equal(encoder.cnn.state_dict()["conv1.0.weight"], weights["conv1.0.weight"])


def test_whether_a_hub_answers_is_found_out_in_seconds():
    started = time.monotonic()
    assert hub_weights._unreachable("http://127.0.0.1:9") is not None
    assert time.monotonic() - started < 2 * hub_weights.SECONDS
