"""A captioned data set of drawn squares, small enough to train on in seconds, and configurations for it."""

import json

import cv2
import numpy as np
import pytest
import yaml

COLOURS = {"red": (40, 40, 220), "green": (40, 180, 40), "blue": (220, 80, 40)}
SIDES = {"left": 4, "right": 36}


def draw_square(colour, side, noise):
    picture = np.random.default_rng(noise).integers(200, 256, (64, 64, 3), np.uint8)
    x = SIDES[side]
    picture[20:44, x : x + 24] = COLOURS[colour]
    return picture


@pytest.fixture(scope="session")
def squares(tmp_path_factory):
    """Photos and COCO captions of coloured squares: 36 to train on, 6 to validate."""
    root = tmp_path_factory.mktemp("squares")
    (root / "photos").mkdir()
    for split, count in (("train", 6), ("val", 1)):
        images, annotations = [], []
        for colour in COLOURS:
            for side in SIDES:
                for copy in range(count):
                    name = f"{split}-{colour}-{side}-{copy}.png"
                    number = len(images)
                    cv2.imwrite(
                        str(root / "photos" / name), draw_square(colour, side, number + 1000 * (split == "val"))
                    )
                    images.append({"id": number, "file_name": name})
                    for text in (f"A {colour} square on the {side}.", f"there is a {colour} square at the {side} side"):
                        annotations.append({"id": len(annotations), "image_id": number, "caption": text})
        (root / f"{split}.json").write_text(json.dumps({"images": images, "annotations": annotations}))
    return root


@pytest.fixture
def settings(squares):
    """A configuration with all four stages, as plain values."""
    return {
        "seed": 3,
        "precision": "float32",
        "checkpoint_steps": 2,
        "data": {
            "root": str(squares),
            "sets": {
                "squares": {"captions": "train.json", "photos": ["photos"]},
                "held out": {"captions": "val.json", "photos": ["photos"], "split": "val"},
            },
            "min_count": 1,
        },
        "encoder": {"name": "test_resnet", "pretrained": False, "size": 64},
        "decoder": {"hidden_size": 32, "embedding_size": 32, "heads": 2, "dropout": 0.1, "content_vector": True},
        "search": {"beam_size": 2, "max_length": 9},
        "stages": {
            "language": {"epochs": 1, "batch_size": 16, "learning_rate": 0.01},
            "cross_entropy": {"epochs": 2, "batch_size": 8, "learning_rate": 0.01, "captions_per_photo": 2},
            "fine_tune": {
                "epochs": 1,
                "batch_size": 8,
                "learning_rate": 0.003,
                "captions_per_photo": 2,
            },
            "self_critical": {"epochs": 1, "batch_size": 8, "learning_rate": 0.001, "samples": 3},
        },
    }


@pytest.fixture
def write_config(tmp_path, settings):
    """Writes the configuration, with changes at dotted keys; returns its path."""

    def write(**changes):
        for dotted, value in changes.items():
            place, *keys = settings, *dotted.split("__")
            for key in keys[:-1]:
                place = place[key]
            place[keys[-1]] = value
        path = tmp_path / "squares.yaml"
        path.write_text(yaml.safe_dump(settings))
        return path

    return write
