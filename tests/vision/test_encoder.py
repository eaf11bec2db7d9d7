import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from captioner.errors import ModelError
from captioner.vision.encoder import Encoder, Engine, default_transform, load_encoder_weights
from captioner.vision.images import Transform


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return Encoder("test_resnet", Transform(size=(64, 96))).eval()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (3, 64, 96, 3), np.uint8)


def test_openvino_equals_pytorch(encoder, pixels):
    with torch.no_grad():
        expected = encoder(torch.from_numpy(pixels))
    features = Engine(encoder)(pixels)
    assert features.grid.shape == (3, np.prod(encoder.grid_shape()), encoder.channels)
    torch.testing.assert_close(features.grid, expected, atol=1e-3, rtol=0)
    torch.testing.assert_close(features.pooled, expected.mean(1), atol=1e-3, rtol=0)


def test_a_batch_of_any_size_gives_each_photo_the_same_features(encoder, pixels):
    engine = Engine(encoder)
    torch.testing.assert_close(engine(pixels).grid[1], engine(pixels[1:2]).grid[0], atol=1e-5, rtol=1e-4)


def test_alone_in_parallel_or_beside_others_a_photo_has_the_same_features(encoder):
    pixels = np.random.default_rng(1).integers(0, 256, (9, 64, 96, 3), np.uint8)
    engine = Engine(encoder)
    expected = torch.cat([engine(pixels[place : place + 1]).grid for place in range(9)])
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: (engine(pixels).grid, engine(pixels, parallel=False).grid), range(8)))
    assert all(torch.equal(grid, expected) for pair in found for grid in pair)
    assert engine(pixels[:0]).grid.shape == (0, *expected.shape[1:])


def test_without_openvino_pytorch_runs_and_says_so_in_one_line(encoder, pixels, monkeypatch, caplog):
    expected = Engine(encoder)(pixels).grid
    monkeypatch.setitem(sys.modules, "openvino", None)
    features = Engine(encoder)(pixels)
    assert [record.getMessage().count("\n") for record in caplog.records] == [0]
    assert "pip install openvino" in caplog.text
    torch.testing.assert_close(features.grid, expected, atol=1e-3, rtol=0)


def test_normalisation_comes_from_timms_data_configuration():
    transform = default_transform("mobilenetv2_100")
    assert transform == Transform((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "bicubic", "squash", 1.0)
    assert default_transform("mobilenetv2_100", 128, "center").size == (128, 128)
    assert default_transform("mobilenetv2_100", crop="center").crop_pct == pytest.approx(0.875)


def test_an_unknown_network_is_refused_with_names_that_are_close():
    with pytest.raises(ModelError, match=r"no network called 'resnet5'.*resnet50"):
        Encoder("resnet5", Transform())


def test_a_network_without_a_grid_is_refused():
    with pytest.raises(ModelError, match=r"choose a convolutional network"):
        Encoder("test_vit", Transform(size=(160, 160)))(torch.zeros(1, 160, 160, 3, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("conv1.0.weight"), "lacks conv1.0.weight"),
        (lambda weights: weights.update({"conv1.0.weight": torch.zeros(2)}), "has another shape for conv1.0.weight"),
        (lambda weights: weights.update(strange=torch.zeros(2)), "has the unknown strange"),
    ],
)
def test_weights_that_do_not_fit_are_refused(encoder, tmp_path, change, message):
    weights = {name: value.clone() for name, value in encoder.cnn.state_dict().items()}
    change(weights)
    save_file(weights, tmp_path / "w.safetensors")
    with pytest.raises(ModelError, match=rf"w.safetensors: {message}.*test_resnet"):
        load_encoder_weights(encoder, tmp_path / "w.safetensors")


def test_local_weights_with_a_classifier_load(encoder, tmp_path, pixels):
    weights = {**encoder.cnn.state_dict(), "fc.weight": torch.zeros(5, 3)}
    save_file(weights, tmp_path / "w.safetensors")
    other = Encoder("test_resnet", Transform(size=(64, 96)))
    load_encoder_weights(other, tmp_path / "w.safetensors")
    torch.testing.assert_close(Engine(other)(pixels).grid, Engine(encoder)(pixels).grid)


def test_gradients_of_depthwise_filters_are_those_of_float32_also_where_the_rest_is_bfloat16(pixels):
    encoder = Encoder("test_efficientnet", Transform(size=(64, 64))).train()
    encoder.freeze(0.0)
    filters = next(value for name, value in encoder.cnn.named_parameters() if "conv_dw" in name)
    encoder(torch.from_numpy(pixels)).pow(2).mean().backward()
    exact = filters.grad.clone()
    filters.grad = None
    with torch.autocast("cpu", torch.bfloat16):
        encoder(torch.from_numpy(pixels)).float().pow(2).mean().backward()
    assert filters.dtype == filters.grad.dtype == torch.float32
    assert torch.nn.functional.cosine_similarity(exact.flatten(), filters.grad.flatten(), dim=0) > 0.99


def test_freezing_starts_at_the_stem_and_batch_statistics_never_train(encoder):
    encoder.freeze(0.5)
    trained = [value.requires_grad for value in encoder.cnn.parameters()]
    assert not trained[0]
    assert trained[-1]
    encoder.freeze(0.0)
    assert all(value.requires_grad for value in encoder.cnn.parameters())
    encoder.train()
    assert not any(m.training for m in encoder.modules() if isinstance(m, torch.nn.BatchNorm2d))
    encoder.eval()
