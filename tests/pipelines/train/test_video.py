"""A captioner of clips learns from clips of drawn squares that grow or shrink, and captions them by the command."""

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml

from captioner.data.captions import CaptionSet, ImageStore
from captioner.decoding.steps import DecodingConfig
from captioner.errors import ConfigError, DataError
from captioner.models.base import load
from captioner.models.caption import CaptionConfig, Captioner
from captioner.models.caption_network import DecoderConfig
from captioner.pipelines.cli import app
from captioner.pipelines.train.command import train
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.vision.encoder import EncoderConfig
from captioner.vision.images import Transform, decode_image

SHARED = Path(os.environ.get("CAPTIONER_SHARED", Path(__file__).parents[4] / "shared")) / "data/flickr8k"
COLOURS = {"red": (40, 40, 220), "green": (40, 180, 40)}


def draw_clip(path, colour, grows, noise):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 8.0, (64, 64))
    sides = np.linspace(8, 56, 8).astype(int)
    draws = np.random.default_rng(noise)
    for side in sides if grows else sides[::-1]:
        frame = draws.integers(200, 256, (64, 64, 3), np.uint8)
        frame[32 - side // 2 : 32 + side // 2, 32 - side // 2 : 32 + side // 2] = COLOURS[colour]
        writer.write(frame)
    writer.release()


@pytest.fixture(scope="module")
def squares(tmp_path_factory):
    root = tmp_path_factory.mktemp("clips")
    videos, sentences = [], []
    for colour in COLOURS:
        for does in ("grows", "shrinks"):
            for copy in range(5):
                name = f"video{len(videos)}"
                draw_clip(root / f"{name}.avi", colour, does == "grows", len(videos))
                videos.append({"video_id": name, "split": "train" if copy else "validate"})
                sentences += [{"video_id": name, "caption": f"A {colour} square {does}."}]
    (root / "captions.json").write_text(json.dumps({"videos": videos, "sentences": sentences}))
    return root


@pytest.fixture
def settings(squares):
    return {
        "kind": "video",
        "seed": 1,
        "precision": "float32",
        "data": {"root": str(squares), "captions": "captions.json", "min_count": 1, "cache": str(squares / "f")},
        "encoder": {"name": "test_resnet", "pretrained": False, "size": 64},
        "frames": 6,
        "temporal": {"hidden_size": 64, "dropout": 0.0},
        "decoder": {"hidden_size": 64, "embedding_size": 64, "heads": 2, "dropout": 0.0},
        "search": {"beam_size": 2, "max_length": 6},
        "stages": {
            "cross_entropy": {
                "epochs": 40,
                "batch_size": 4,
                "learning_rate": 0.003,
                "captions_per_photo": 1,
                "label_smoothing": 0.0,
                "average": 0.9,
                "patience": 40,
            }
        },
    }


@pytest.fixture
def write_config(tmp_path, settings):
    def write(**changes):
        values = settings | {"data": settings["data"] | changes}
        (tmp_path / "squares.yaml").write_text(yaml.safe_dump(values))
        return tmp_path / "squares.yaml"

    return write


def test_it_learns_what_happens_in_clips(write_config, squares, tmp_path, capsys):
    folder = train(write_config(), [], tmp_path / "run", resume=False, device="cpu")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert np.mean(losses[-3:]) < 0.5 * np.mean(losses[:3])
    paths = [squares / f"video{number}.avi" for number in range(20)]
    truth = [entry["caption"] for entry in json.loads((squares / "captions.json").read_text())["sentences"]]
    captions = [caption.text for caption in load(folder).caption(paths)]
    assert np.mean(np.array(captions) == np.array(truth)) > 0.7, captions  # chance is a quarter
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        app(["caption", str(squares), "--model", str(folder), "-o", str(tmp_path / "out.jsonl"), "-q"])
    assert left.value.code == 0
    written = {
        row["path"]: row["caption"] for row in map(json.loads, (tmp_path / "out.jsonl").read_text().splitlines())
    }
    assert [written[str(path)] for path in paths] == captions


def test_without_a_validation_split_it_says_what_to_do(write_config, squares, tmp_path):
    content = json.loads((squares / "captions.json").read_text())
    for video in content["videos"]:
        video["split"] = "train"
    (squares / "all.json").write_text(json.dumps(content))
    with pytest.raises(ConfigError, match=r"no clip in a val split; set data.hold_out"):
        train(write_config(captions="all.json"), [], tmp_path / "run", resume=False, device="cpu")


def test_clips_that_cannot_be_read_are_said(write_config, squares, tmp_path):
    content = json.loads((squares / "captions.json").read_text())
    content["videos"].append({"video_id": "broken", "split": "train"})
    content["sentences"].append({"video_id": "broken", "caption": "Nothing."})
    (squares / "more.json").write_text(json.dumps(content))
    (squares / "broken.mp4").write_bytes(b"no clip")
    try:
        with pytest.raises(DataError, match=r"broken.mp4: not a video \(1 such clips\); replace them, or set"):
            train(write_config(captions="more.json"), [], tmp_path / "run", resume=False, device="cpu")
    finally:
        (squares / "broken.mp4").unlink()


ONE_STEP = {"epochs": 1, "batch_size": 16, "learning_rate": 1e-9, "captions_per_photo": 1}  # changes nothing
OWN = Path(__file__).parents[3] / "configs" / "own_clips.yaml"


@pytest.fixture
def surprising(squares):
    """Captions in which words appear that no model knows."""
    content = json.loads((squares / "captions.json").read_text())
    for entry in content["sentences"][1:4]:
        entry["caption"] = "A purple surprise."
    (squares / "surprising.json").write_text(json.dumps(content))
    return "surprising.json"


def test_a_training_goes_on_from_a_captioner_of_clips_with_its_words_and_new_ones(
    write_config, settings, surprising, tmp_path
):
    settings["stages"]["cross_entropy"] = ONE_STEP
    first = train(write_config(), [], tmp_path / "first", resume=False, device="cpu")
    for brought in ("encoder", "decoder", "temporal", "frames"):
        del settings[brought]
    second = train(write_config(captions=surprising), [f"init={first}"], tmp_path / "run", resume=False, device="cpu")
    before, after = load(first, "cpu"), load(second, "cpu")
    known = len(before.vocabulary)
    assert after.vocabulary.tokens[:known] == before.vocabulary.tokens
    assert set(after.vocabulary.tokens[known:]) == {"purple", "surprise"}
    assert (after.config.frames, after.config.temporal) == (before.config.frames, before.config.temporal)
    for key, value in before.weights().items():
        assert torch.allclose(after.weights()[key][: len(value)], value, atol=1e-3), key
    assert f"Goes on from: {first}" in (second / "README.md").read_text()
    for override, message in (
        ("temporal.hidden_size=8", "leave temporal out"),
        ("decoder.heads=2", "leave decoder out"),
        ("encoder={model: photos}", "either init"),
        ("init=captions", "captions neither clips nor photos"),
    ):
        with pytest.raises(ConfigError, match=message):
            train(write_config(), [f"init={first}", override], tmp_path / "third", resume=False, device="cpu")


@pytest.mark.parametrize("content_vector", [False, True])
def test_a_captioner_of_clips_goes_on_from_a_photo_captioner(
    write_config, settings, surprising, tmp_path, content_vector
):
    config = CaptionConfig(
        encoder=EncoderConfig(name="test_resnet", transform=Transform(size=(64, 64))),
        decoder=DecoderConfig(hidden_size=16, embedding_size=12, heads=4, content_vector=content_vector),
        search=DecodingConfig(beam_size=3, max_length=7),
    )
    photos = Captioner.build(config, Vocabulary([*SPECIALS, "a", "red", "dog"]))
    photos.save(tmp_path / "photos", "For tests.")
    for brought in ("encoder", "decoder", "search"):
        del settings[brought]
    settings["stages"]["cross_entropy"] = ONE_STEP
    overrides = [f"init={tmp_path / 'photos'}", f"data.cache={tmp_path / 'features'}"]
    folder = train(write_config(captions=surprising), overrides, tmp_path / "run", resume=False, device="cpu")
    clips = load(folder, "cpu")
    assert clips.vocabulary.tokens[:7] == photos.vocabulary.tokens
    assert {"purple", "surprise", "square"} <= set(clips.vocabulary.tokens[7:])
    assert clips.config.search == config.search
    before, after = photos.decoder.state_dict(), clips.network.decoder.state_dict()
    taken = {
        key
        for key, value in before.items()
        if value.shape[1:] == after[key].shape[1:] and torch.allclose(after[key][: len(value)], value, atol=5e-3)
    }
    assert before.keys() - taken == {
        "content.weight" if content_vector else "image_projection.weight",
        "regions.0.weight",
    }
    for key, value in photos.encoder.state_dict().items():
        assert torch.allclose(clips.encoder.encoder.state_dict()[key].float(), value.float(), atol=2e-3), key


def test_the_configuration_for_own_clips_needs_a_folder_of_clips_and_texts_alone(
    squares, model_folder, tmp_path
):
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in range(6):
        shutil.copy(squares / f"video{number}.avi", folder)
        (folder / f"video{number}.txt").write_text("A red square grows.\nIt gets larger.\n")
    overrides = [f"data.root={folder}", f"init={model_folder}", "data.hold_out=2", "stages.cross_entropy.epochs=1"]
    overrides += ["temporal.hidden_size=8", "data.views=1"]
    model = train(OWN, overrides, tmp_path / "run", resume=False, device="cpu")
    assert "Learnt from: 4 clips" in (model / "README.md").read_text()
    assert {"red", "square", "grows"} <= set(load(model, "cpu").vocabulary.tokens)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there")
def test_it_learns_captions_of_photos_that_are_panned_and_zoomed_over(write_config, tmp_path):
    photos = ImageStore([SHARED])
    images = CaptionSet.read(SHARED / "dataset_flickr8k.json.zip").split("train").images[:24]
    videos, sentences = [], []
    for number, image in enumerate(images):
        pixels = decode_image(photos.read(image.file_name), image.file_name)[:, :, ::-1]
        writer = cv2.VideoWriter(str(tmp_path / f"video{number}.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 4.0, (224, 224))
        for share in np.linspace(0, 1, 8):
            side = round(len(pixels) * (0.6 + 0.3 * share))
            place = round((len(pixels) - side) * (share if number % 2 else 1 - share))
            writer.write(cv2.resize(pixels[place : place + side, place : place + side], (224, 224)))
        writer.release()
        videos.append({"video_id": f"video{number}", "split": "train" if number < 20 else "val"})
        sentences.append({"video_id": f"video{number}", "caption": image.captions[0]})
    (tmp_path / "captions.json").write_text(json.dumps({"videos": videos, "sentences": sentences}))
    data = {"root": str(tmp_path), "cache": str(tmp_path / "features")}
    overrides = [
        "encoder={model: photos}",
        "temporal.hidden_size=128",
        "decoder.hidden_size=128",
        "search.max_length=25",
        "stages.cross_entropy.learning_rate=0.01",
    ]
    folder = train(write_config(**data), overrides, tmp_path / "run", resume=False, device="cpu")
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in rows if "loss" in row]
    assert np.mean(losses[-5:]) < 0.3 * np.mean(losses[:5])
    assert (folder / "model.safetensors").stat().st_size < 3e6  # the CNN is not stored again
