import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from captioner.decoding.ctc import best_path, log_probabilities
from captioner.errors import DataError, UsageError
from captioner.models.base import load
from captioner.models.classify import ClassifyConfig, VideoClassifier
from captioner.models.classify_network import ClassifierConfig, ClassifierNetwork
from captioner.models.language import LanguageConfig, LanguageModel
from captioner.models.language_network import NetworkConfig
from captioner.models.read import ReadConfig, Reader
from captioner.models.read_network import ReaderConfig, ReaderNetwork
from captioner.models.shared_encoder import FrameEncoder
from captioner.pipelines.gradients.command import gradients
from captioner.pipelines.gradients.options import GradientsOptions
from captioner.recurrent import capacity
from captioner.text.alphabet import Alphabet
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.vision.clip_features import FramesConfig, encode
from captioner.vision.encoder import Encoder, EncoderConfig
from captioner.vision.images import Transform, read_image
from captioner.vision.line_pictures import LineTransform
from captioner.vision.video import Video
from captioner.weights import named

COMMAND = Path(sys.executable).with_name("captioner")


@pytest.fixture(scope="module")
def language_folder(tmp_path_factory):
    """A language model of two layers with random weights."""
    torch.manual_seed(0)
    config = LanguageConfig(network=NetworkConfig(unit="gru", layers=2, hidden_size=8, embedding_size=6))
    model = LanguageModel.build(config, Vocabulary([*SPECIALS, "a", "dog", "runs"]))
    folder = tmp_path_factory.mktemp("language") / "tiny"
    model.save(folder, "Random weights, for tests.")
    return str(folder)


@pytest.fixture(scope="module")
def classifier_folder(tmp_path_factory):
    """A bidirectional classifier of clips with random weights."""
    torch.manual_seed(3)
    config = ClassifyConfig(
        labels=["red", "blue"],
        frames=FramesConfig(count=4),
        encoder=EncoderConfig(name="test_resnet", transform=Transform(size=(32, 32))),
        network=ClassifierConfig(components=8, hidden_size=6, unit="gru", bidirectional=True),
    )
    weights = named("", Encoder("test_resnet", config.encoder.transform).state_dict())
    encoder = FrameEncoder(config.encoder, torch.device("cpu"), weights)
    network = ClassifierNetwork(config.network, encoder.channels, 2)
    network.projection.fit(0.1 * torch.randn(60, 2, encoder.channels))
    folder = tmp_path_factory.mktemp("classifier") / "tiny"
    VideoClassifier(config, encoder, network).save(folder, "Random weights, for tests.")
    return str(folder)


@pytest.fixture(scope="module")
def reader_folder(tmp_path_factory):
    """A bidirectional reader of lines with random weights."""
    torch.manual_seed(4)
    config = ReadConfig(
        picture=LineTransform(height=16, step=32),
        network=ReaderConfig(channels=4, features=6, hidden_size=6, layers=1, unit="gru"),
    )
    network = ReaderNetwork(config.network, 16, 4)
    torch.nn.init.normal_(network.readout.weight, std=3)
    folder = tmp_path_factory.mktemp("reader") / "tiny"
    Reader(config, network, Alphabet("abc")).save(folder, "Random weights, for tests.")
    return str(folder)


@pytest.fixture
def text(tmp_path):
    (tmp_path / "text.txt").write_text("a dog runs\na zebra runs\n")
    return str(tmp_path / "text.txt")


def run(capsys, *what, status=0, **options):
    assert gradients(GradientsOptions(what=what, json="-", **options)) == status
    return json.loads(capsys.readouterr().out)


def test_fresh_units_are_compared_at_three_spectral_radii(capsys):
    found = run(capsys, "tanh", "gru", "mlp", steps=40)
    assert found["norm"] == "spectral"
    curves = {(curve["label"], curve["radius"]): curve for curve in found["curves"]}
    assert len(curves) == 9
    vanishing, steady, exploding = (curves["tanh", radius]["norms"]["h"][-1] for radius in (0.5, 1.0, 1.5))
    assert vanishing < 1e-9 < 0.1 < steady < 1 < exploding
    for radius in (0.5, 1.0, 1.5):
        curve = curves["tanh", radius]
        assert curve["largest_singular_values"]["h"] == pytest.approx(radius, rel=1e-4)
        assert all(norm <= limit * (1 + 1e-6) for norm, limit in zip(curve["norms"]["h"], curve["bound"], strict=True))
        assert curves["mlp", radius]["norms"]["h"] == [1.0] + [0.0] * 39


def test_clipping_shrinks_every_lag_by_the_same_factor(capsys):
    vanishing, _, exploding = run(capsys, "tanh", steps=30, clip=0.5)["curves"]
    for curve in (vanishing, exploding):
        assert curve["gradient"] > 0.5
        ratios = [clipped / share for clipped, share in zip(curve["clipped"], curve["shares"], strict=True) if share]
        assert max(ratios) < 1
    # explosion is cured; what has vanished beside the last step's share stays so
    for kind in ("clipped", "shares"):
        assert vanishing[kind][20] / vanishing[kind][0] < 1e-5


def test_an_estimate_is_near_the_exact_norm_and_says_which_norm_it_is(capsys):
    estimated = run(capsys, "lstm", steps=20, samples=24)
    exact = run(capsys, "lstm", steps=20, samples=64)
    assert estimated["norm"] == exact["norm"] == "frobenius"
    for one, other in zip(estimated["curves"], exact["curves"], strict=True):
        for state in ("h", "c"):
            assert one["norms"][state] == pytest.approx(other["norms"][state], rel=0.5)


def test_a_captioner_is_looked_at_on_its_own_captions(capsys, model_folder, make_photos):
    photos = make_photos(3)
    (curve,) = run(capsys, str(model_folder), str(photos))["curves"]
    captions = load(str(model_folder), "cpu").caption(sorted(photos.iterdir()))
    # picture, start and words
    lengths = [sum(norm is not None for norm in norms) for norms in curve["each"]["h"]]
    assert lengths == [len(caption.tokens) + 2 for caption in captions]
    assert curve["layer"] == "layer 1"
    assert curve["unit"] == "lstm"
    assert curve["norms"]["h"][0] == pytest.approx(1)


def test_a_language_model_is_looked_at_on_the_first_words_of_texts(capsys, language_folder, text):
    first, second = run(capsys, language_folder, text, steps=3)["curves"]
    assert [first["layer"], second["layer"]] == ["layer 1", "layer 2"]
    assert len(first["norms"]["h"]) == 3
    assert first["shares"] is None
    assert second["gradient"] > 0
    assert len(run(capsys, language_folder, text)["curves"][0]["norms"]["h"]) == 8  # words and line ends


def test_a_reader_is_looked_at_over_the_columns_of_its_lines(capsys, reader_folder, tmp_path):
    for name, width in (("a", 60), ("b", 110)):
        pixels = np.full((20, width), 250, np.uint8)
        pixels[4:-4, 6:-6] = np.random.default_rng(width).integers(0, 2, (12, width - 12)) * 240
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    (tmp_path / "c.png").write_text("no picture")
    both = run(capsys, reader_folder, str(tmp_path), status=1)["curves"]
    assert [curve["layer"] for curve in both] == ["layer 1 forward", "layer 1 backward"]
    # inputs of 64 and 96 pixels
    assert [sum(norm is not None for norm in norms) for norms in both[0]["each"]["h"]] == [16, 24]
    model = load(reader_folder, "cpu")
    weights = [model.network.recurrent.network.weight_hh_l0, model.network.recurrent.network.weight_hh_l0_reverse]
    expected = torch.zeros(2)
    for name in ("a", "b"):
        pixels = model.prepare(read_image(tmp_path / f"{name}.png")).pixels
        log_probs = model.network(torch.from_numpy(pixels)[None]).log_softmax(-1)
        loss = -log_probabilities(log_probs, [best_path(log_probs[0])])
        expected += torch.tensor([float(value.norm()) for value in torch.autograd.grad(loss, weights)]) / 2
    assert [curve["gradient"] for curve in both] == pytest.approx(expected.tolist(), rel=1e-2)


def test_folders_of_frames_and_gifs_are_clips_as_for_the_classifier(capsys, classifier_folder, tmp_path):
    pictures = [Image.fromarray(np.full((32, 32, 3), 60 * number, np.uint8)) for number in range(4)]
    (tmp_path / "clips" / "frames").mkdir(parents=True)
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / "clips" / "frames" / f"{number}.png")
    pictures[0].save(tmp_path / "clips" / "a.gif", save_all=True, append_images=pictures[1:])
    assert run(capsys, classifier_folder, str(tmp_path / "clips"))["curves"]


def test_a_classifier_is_looked_at_in_both_directions(capsys, classifier_folder, draw_clip, tmp_path):
    clips = [draw_clip(tmp_path / f"{seed}.avi", seed=seed) for seed in range(2)]
    both = run(capsys, classifier_folder, *map(str, clips))["curves"]
    assert [curve["layer"] for curve in both] == ["layer 1 forward", "layer 1 backward"]
    assert [len(curve["norms"]["h"]) for curve in both] == [4, 4]
    model = load(classifier_folder, "cpu")
    lengths, recurrent = torch.tensor([4]), model.network.members[0].recurrent.network
    expected = torch.zeros(2)
    for clip in clips:
        with Video(clip) as video:
            (features,) = encode([model.see(video, 0.0, video.duration).pixels], model.encoder)
        logits, _ = model.network.members[0](model.network.project(features.clone()[None]), lengths)
        weights = [recurrent.weight_hh_l0, recurrent.weight_hh_l0_reverse]
        found = torch.autograd.grad(-logits.log_softmax(-1).max(), weights)
        expected += torch.tensor([float(value.norm()) for value in found]) / 2
    assert [curve["gradient"] for curve in both] == pytest.approx(expected.tolist(), rel=1e-3)


def test_the_error_is_the_next_word_s_cross_entropy(capsys, language_folder, text):
    (_, curve) = run(capsys, language_folder, text, steps=5)["curves"]
    model = load(language_folder, "cpu")
    read = torch.tensor([[model.vocabulary.end, *model.vocabulary.encode(["a", "dog", "runs", "<end>"])]])
    error = -model.network.logits(model.network(read)[0])[0, -1].log_softmax(-1)[model.vocabulary.encode(["a"])]
    gradient = torch.autograd.grad(error, model.network.recurrent.network.weight_hh_l1)[0]
    assert curve["gradient"] == pytest.approx(float(gradient.norm()), rel=1e-3)


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_a_figure_is_drawn(suffix, tmp_path, capsys):
    path = tmp_path / f"figure{suffix}"
    assert gradients(GradientsOptions(what=["tanh", "mlp", "lstm"], output=path, steps=5)) == 0
    assert path.stat().st_size > 5000
    shown = capsys.readouterr().out
    assert "tanh, radius 1.5" in shown
    assert "gamma_W" in shown


def test_a_figure_of_a_model_is_drawn(tmp_path, language_folder, text):
    assert gradients(GradientsOptions(what=[language_folder, text, text], output=tmp_path / "figure.png")) == 0
    assert (tmp_path / "figure.png").stat().st_size > 5000


def test_inputs_that_cannot_be_read_are_said_and_the_rest_is_done(capsys, language_folder, text, tmp_path):
    (tmp_path / "empty.txt").write_text("")
    status = gradients(
        GradientsOptions(what=[language_folder, text, str(tmp_path / "empty.txt"), "none.txt"], json="-")
    )
    shown = capsys.readouterr()
    assert status == 1
    assert len(json.loads(shown.out)["curves"][0]["each"]["h"]) == 1
    assert "empty.txt: holds no words" in shown.err
    assert "none.txt: cannot be read" in shown.err


def test_a_damaged_photo_is_said(capsys, model_folder, tmp_path):
    (tmp_path / "photo.jpg").write_bytes(b"no photo")
    assert gradients(GradientsOptions(what=[str(model_folder), str(tmp_path / "photo.jpg")])) == 1
    assert "photo.jpg" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"what": ["lstn"]}, r"lstn: neither a unit \(mlp, tanh, lstm, gru\) nor a model \(.*photos"),
        ({"what": ["tanh", "photo.jpg"]}, "photo.jpg: no unit"),
        ({"what": ["photos"]}, r"captioner gradients photos PHOTO\.\.\."),
        ({"what": ["tanh"], "output": Path("figure.txt")}, r"figure\.txt: a figure is \.png"),
        ({"what": ["tanh"], "output": Path("no/figure.png")}, "there is no folder no"),
        ({"what": ["tanh"], "clip": 0.0}, "clip is 0.0"),
    ],
)
def test_wrong_usage_is_said(options, message):
    with pytest.raises(UsageError, match=message):
        gradients(GradientsOptions(**options))


def test_more_steps_than_memory_allows_are_refused_before_they_are_tried(monkeypatch, language_folder, text):
    with pytest.raises(DataError, match=r"over 1,000,000,000,000 steps need about .* GB .* at most"):
        gradients(GradientsOptions(what=["lstm"], steps=10**12))
    monkeypatch.setattr(capacity, "free_memory", lambda device: 1000)
    with pytest.raises(DataError, match="memory"):
        gradients(GradientsOptions(what=[language_folder, text]))


def test_the_command_runs_and_errors_have_no_traceback():
    done = subprocess.run(
        [COMMAND, "gradients", "tanh", "--steps", "4", "--json", "-"], capture_output=True, text=True, check=True
    )
    assert [curve["radius"] for curve in json.loads(done.stdout)["curves"]] == [0.5, 1.0, 1.5]
    failed = subprocess.run([COMMAND, "gradients", "lstn"], capture_output=True, text=True, check=False)
    assert failed.returncode == 2
    assert failed.stderr.startswith("captioner: lstn: neither a unit")
