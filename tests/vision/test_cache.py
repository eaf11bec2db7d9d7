import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from captioner.errors import DataError
from captioner.vision import compiled
from captioner.vision.cache import BATCH, FeatureCache, digest_of_weights, find_unreadable
from captioner.vision.encoder import Encoder as RealEncoder
from captioner.vision.encoder import Engine as RealEngine
from captioner.vision.encoder import Features, default_transform
from captioner.vision.images import Transform


class Photos:
    """Small random photos by name, as an `ImageStore` would give them."""

    def __init__(self, count=BATCH + 8):
        draw = np.random.default_rng(0)
        self.names = [f"{number}.png" for number in range(count)]
        self.files = {name: cv2.imencode(".png", draw.integers(0, 255, (8, 8, 3)))[1].ravel() for name in self.names}
        self.version = dict.fromkeys(self.names, "1")

    def read(self, name):
        return self.files[name]

    def fingerprint(self, name):
        return self.version[name]


@dataclass
class Network:
    """What the cache asks of an encoder: its mean colours in a 2 x 2 grid."""

    name: str = "colours"
    channels: int = 3
    transform: Transform = field(default_factory=lambda: Transform(size=(4, 4)))

    def grid_shape(self):
        return 2, 2


@dataclass
class Engine:
    """Runs `Network` and counts the photos it sees; fails when it has seen `last`."""

    encoder: Network = field(default_factory=Network)
    precision: str = "float32"
    device: Any = field(default_factory=lambda: torch.device("cpu"))
    seen: int = 0
    last: float = float("inf")

    def __call__(self, pixels):
        if self.seen >= self.last:
            raise KeyboardInterrupt
        self.seen += len(pixels)
        cells = torch.from_numpy(pixels.copy()).float().reshape(-1, 2, 2, 2, 2, 3).mean((2, 4))
        return Features.of(cells.flatten(1, 2))


@pytest.fixture
def photos():
    return Photos()


def fill(root, photos, engine=None, names=None, **options):
    engine = engine or Engine()
    options = {"weights_digest": "w1", **options}
    return FeatureCache.fill(root, engine, photos, names or photos.names, **options), engine


def expected(photos, name, mirror=False):
    image = Network().transform(cv2.imdecode(photos.read(name), cv2.IMREAD_COLOR_RGB))
    return Engine()(image[None, :, :: -1 if mirror else 1]).grid[0].numpy()


def test_a_photo_has_the_features_that_the_network_gives_it(tmp_path, photos):
    cache, _ = fill(tmp_path, photos)
    features = cache.read(["3.png", "35.png", "3.png"])
    for row, name in enumerate(["3.png", "35.png", "3.png"]):
        assert np.allclose(features.grid[row], expected(photos, name), rtol=1e-3)
    assert torch.allclose(features.pooled, features.grid.mean(1))


def test_the_mirror_image_is_another_view(tmp_path, photos):
    cache, _ = fill(tmp_path, photos, mirror=True)
    assert cache.views == 2
    assert np.allclose(cache.grid("3.png", 0), expected(photos, "3.png"), rtol=1e-3)
    assert np.allclose(cache.grid("3.png", 1), expected(photos, "3.png", mirror=True), rtol=1e-3)


def test_features_stay_on_disk(tmp_path, photos):
    cache, _ = fill(tmp_path, photos)
    assert isinstance(cache.grids, np.memmap)


def test_what_is_there_is_not_computed_again(tmp_path, photos):
    _, first = fill(tmp_path, photos)
    cache, second = fill(tmp_path, photos)
    assert (first.seen, second.seen) == (len(photos.names), 0)
    assert np.allclose(cache.grid("3.png"), expected(photos, "3.png"), rtol=1e-3)


def test_an_interrupted_cache_goes_on_where_it_stopped(tmp_path, photos):
    with pytest.raises(KeyboardInterrupt):
        fill(tmp_path, photos, Engine(last=BATCH))
    reported = []
    cache, engine = fill(tmp_path, photos, progress=lambda *numbers: reported.append(numbers))
    assert engine.seen == len(photos.names) - BATCH
    assert reported == [(len(photos.names), len(photos.names))]
    whole, _ = fill(tmp_path / "other", photos)
    assert np.array_equal(cache.grids, whole.grids)


@pytest.mark.parametrize(
    "change",
    [
        {"weights_digest": "w2"},
        {"mirror": True},
        {"engine": Engine(precision="bfloat16")},
        {"engine": Engine(Network(name="other"))},
        {"engine": Engine(Network(transform=Transform(size=(4, 4), mean=(0, 0, 0))))},
        {"engine": Engine(Network(transform=Transform(size=(4, 4), crop="center")))},
    ],
)
def test_another_encoder_computes_afresh(tmp_path, photos, change):
    fill(tmp_path, photos)
    _, engine = fill(tmp_path, photos, **change)
    assert engine.seen >= len(photos.names)


def test_a_changed_photo_is_computed_afresh(tmp_path, photos):
    fill(tmp_path, photos)
    photos.files["3.png"] = photos.files["4.png"]
    photos.version["3.png"] = "2"
    cache, _ = fill(tmp_path, photos)
    assert np.allclose(cache.grid("3.png"), expected(photos, "4.png"), rtol=1e-3)


def test_photos_in_another_order_keep_their_own_features(tmp_path, photos):
    fill(tmp_path, photos)
    cache, _ = fill(tmp_path, photos, names=photos.names[::-1])
    for name in photos.names:
        assert np.allclose(cache.grid(name), expected(photos, name), rtol=1e-3)


def test_a_photo_named_twice_is_stored_once(tmp_path, photos):
    cache, engine = fill(tmp_path, photos, names=["3.png", "4.png", "3.png"])
    assert engine.seen == len(cache.grids) == 2


def test_a_photo_that_is_no_image_is_named_and_the_others_have_features(tmp_path, photos):
    photos.files["3.png"] = np.zeros(10, np.uint8)
    cache, _ = fill(tmp_path, photos)
    assert list(cache.unreadable) == ["3.png"]
    assert "3.png" in cache.unreadable["3.png"]
    assert np.allclose(cache.grid("35.png"), expected(photos, "35.png"), rtol=1e-3)
    assert find_unreadable(photos, photos.names) == cache.unreadable


def test_processes_fill_a_cache_side_by_side(tmp_path, photos):
    with ThreadPoolExecutor(3) as pool:
        filled = list(pool.map(lambda place: fill(tmp_path, photos, mine=photos.names[place::3]), range(3)))
    assert sum(engine.seen for _, engine in filled) == len(photos.names)
    for name in photos.names:
        assert np.allclose(filled[0][0].grid(name), expected(photos, name), rtol=1e-3)


def test_without_openvino_a_gpus_way_makes_the_same_features_of_mirror_images(tmp_path, photos, monkeypatch):
    encoder = RealEncoder("test_resnet", default_transform("test_resnet", 64))
    compiled_engine = RealEngine(encoder)
    monkeypatch.setattr(compiled, "available", lambda: False)
    made = [
        fill(tmp_path / str(n), photos, each, mirror=True)[0]
        for n, each in enumerate((compiled_engine, RealEngine(encoder)))
    ]
    assert np.allclose(made[0].grids, made[1].grids, atol=2e-2)


def test_a_cut_cache_file_is_named(tmp_path, photos):
    cache, _ = fill(tmp_path, photos)
    path = cache.folder / "grids.npy"
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DataError, match=r"grids\.npy"):
        fill(tmp_path, photos)


def test_a_digest_tells_weights_apart():
    network = torch.nn.Linear(2, 2)
    before = digest_of_weights(network)
    assert digest_of_weights(network) == before
    with torch.no_grad():
        network.bias += 1
    assert digest_of_weights(network) != before


def test_a_disk_without_room_for_all_features_is_said_before_any_is_computed(tmp_path, photos, monkeypatch):
    each = 2 * 2 * 3 * 2
    fill(tmp_path, photos, names=photos.names[:9])
    room = shutil.disk_usage(tmp_path)._replace(free=len(photos.names) * each - 1)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: room)
    with pytest.raises(DataError, match=r"need .* GB more, and .* GB are free; make room"):
        fill(tmp_path, photos)
    fill(tmp_path, photos, names=photos.names[:9])  # there is nothing to write
