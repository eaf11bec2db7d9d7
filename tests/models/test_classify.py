"""A classifier with a tiny CNN: what it says, how its folder is read, and the CNN that it may share."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from captioner.errors import ModelError, VideoError
from captioner.models import shared_encoder
from captioner.models.base import load
from captioner.models.classify import ClassifyConfig, VideoClassifier
from captioner.models.classify_network import ClassifierConfig, ClassifierNetwork
from captioner.models.shared_encoder import FrameEncoder, SharedEncoder, encoder_digest
from captioner.vision.clip_features import FramesConfig
from captioner.vision.encoder import Encoder, EncoderConfig
from captioner.vision.images import Transform
from captioner.vision.video import Video, windows
from captioner.weights import named, read_tensors

LABELS = ["jump", "run", "sit"]
TINY = EncoderConfig(name="test_resnet", transform=Transform(size=(64, 64)))


def make(encoder=TINY, **network):
    torch.manual_seed(3)
    config = ClassifyConfig(
        labels=LABELS,
        frames=FramesConfig(count=4),
        encoder=encoder,
        network=ClassifierConfig(**{"components": 8, "hidden_size": 6, "members": 2, **network}),
    )
    cpu = torch.device("cpu")
    if isinstance(encoder, EncoderConfig):
        eyes = FrameEncoder(encoder, cpu, named("", Encoder(encoder.name, encoder.transform).state_dict()))
    else:
        eyes = FrameEncoder(encoder, cpu)
    built = ClassifierNetwork(config.network, eyes.channels, len(LABELS))
    built.projection.fit(torch.randn(60, len(built.streams), eyes.channels))
    return VideoClassifier(config, eyes, built)


@pytest.fixture(scope="module")
def classifier():
    return make()


@pytest.fixture
def clips(draw_clip, tmp_path):
    return [draw_clip(tmp_path / f"{number}.avi", seed=number, frames=8 + number) for number in range(3)]


def test_guesses_are_probabilities_the_surest_first(classifier, clips):
    for found in classifier.classify(clips):
        assert {guess.label for guess in found.top} == set(LABELS)
        assert sum(guess.score for guess in found.top) == pytest.approx(1)
        assert [guess.score for guess in found.top] == sorted((guess.score for guess in found.top), reverse=True)
        assert (found.label, found.score) == (found.top[0].label, found.top[0].score)
        assert (found.start, found.warning) == (0, None)
        assert found.states.shape == (len(found.times), 6)
    assert len(classifier.classify(clips[:1], top_k=2)[0].top) == 2


def test_a_batch_says_what_each_clip_alone_says(classifier, clips):
    seen = []
    for clip in clips:
        with Video(clip) as video:
            seen.append(classifier.see(video, 0, video.duration))
    seen[1] = replace(seen[1], pixels=seen[1].pixels[:2])  # a shorter one, so that the batch is padded
    for one, together in zip(seen, classifier.judge(seen), strict=True):
        alone = classifier.judge([one])[0]
        assert [guess.label for guess in alone] == [guess.label for guess in together]
        assert [guess.score for guess in alone] == pytest.approx([guess.score for guess in together], abs=1e-5)


def test_one_clip_is_one_clip(classifier, clips):
    for one in (clips[0], str(clips[0])):
        assert [each.top for each in classifier.classify(one)] == [classifier.classify([clips[0]])[0].top]


def test_a_saved_model_says_the_same(classifier, clips, tmp_path):
    classifier.save(tmp_path / "model", "A card.")
    assert {path.name for path in (tmp_path / "model").iterdir()} == {"config.json", "model.safetensors", "README.md"}
    loaded = load(tmp_path / "model", "cpu", kinds=("classify",))
    before, after = (model.classify(clips)[0] for model in (classifier, loaded))
    assert [guess.label for guess in before.top] == [guess.label for guess in after.top]
    assert before.score == pytest.approx(after.score, abs=0.01)


def test_windows_of_a_long_clip_are_classified_one_by_one(classifier, draw_clip, tmp_path):
    clip = draw_clip(tmp_path / "long.avi", frames=34)
    parts = list(classifier.classify_windows(clip, every=1.0, top_k=1))
    assert [(part.start, round(part.end, 6)) for part in parts] == [(0, 1), (1, 2), (2, 3.4)]
    for part in parts:
        assert part.times.min() >= part.start - 0.1
        assert part.times.max() <= part.end


@pytest.mark.parametrize(
    ("duration", "every", "ends"),
    [(10, 2, [2, 4, 6, 8, 10]), (4.9, 2, [2, 4.9]), (5.1, 2, [2, 4, 5.1]), (0.3, 2, [0.3])],
)
def test_a_short_rest_joins_the_window_before(duration, every, ends):
    assert [end for _, end in windows(duration, every)] == pytest.approx(ends)


def test_a_clip_that_cannot_be_read_is_an_error(classifier, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError, match="not a video"):
        classifier.classify([tmp_path / "text.mp4"])


@pytest.fixture
def in_package(monkeypatch, tmp_path):
    """Lets a folder count as a model of the package."""

    def add(name):
        monkeypatch.setattr(shared_encoder, "shipped", lambda: {name: tmp_path / name})

    return add


@pytest.mark.parametrize("name", ["hf-hub:someone/large", "../photos", "/etc", "", "unheard"])
def test_only_models_in_the_package_share_their_cnn(name, monkeypatch):
    monkeypatch.setattr("captioner.models.base._download", lambda name: pytest.fail(f"{name} is asked for"))
    with pytest.raises(ModelError, match=r"only models in the package share their CNN: .*photos"):
        FrameEncoder(SharedEncoder(model=name, digest=""), torch.device("cpu"))


def test_the_cnn_of_another_model_is_shared_and_not_stored(build, tmp_path, draw_clip, in_package):
    captioner = build()
    captioner.save(tmp_path / "shared", "A captioner.")
    in_package("shared")
    shared = SharedEncoder(model="shared", digest="")
    model = make(shared, inputs="differences")
    shared = shared.model_copy(update={"digest": model.encoder.digest})
    model.config = model.config.model_copy(update={"encoder": shared})
    model.save(tmp_path / "model", "A card.")
    assert all(name.startswith("network.") for name in read_tensors(tmp_path / "model" / "model.safetensors"))
    clip = draw_clip(tmp_path / "a.avi")
    loaded = load(tmp_path / "model", "cpu")
    assert loaded.encoder.transform == captioner.transform
    assert loaded.classify([clip])[0].score == pytest.approx(model.classify([clip])[0].score, abs=0.01)
    with torch.no_grad():
        next(captioner.encoder.parameters()).mul_(1.5)
    captioner.save(tmp_path / "shared", "The same captioner, trained on.")
    with pytest.raises(ModelError, match="was trained on another CNN than"):
        load(tmp_path / "model", "cpu")


def test_only_a_captioners_cnn_can_be_shared(classifier, tmp_path, in_package):
    classifier.save(tmp_path / "model", "A card.")
    in_package("model")
    with pytest.raises(ModelError, match="only a photo captioner's CNN can be shared"):
        FrameEncoder(SharedEncoder(model="model", digest=""), torch.device("cpu"))


def test_the_digest_follows_the_weights():
    weights = {"a": torch.ones(3), "b": torch.zeros(2)}
    assert encoder_digest(TINY, weights) == encoder_digest(TINY, dict(reversed(weights.items())))
    assert encoder_digest(TINY, weights) != encoder_digest(TINY, {**weights, "b": torch.full((2,), 1e-3)})
    other = TINY.model_copy(update={"transform": Transform(size=(32, 32))})
    assert encoder_digest(TINY, weights) != encoder_digest(other, weights)


def test_a_folder_whose_parts_do_not_fit_is_refused(classifier, tmp_path):
    classifier.save(tmp_path / "model", "A card.")
    shutil.copytree(tmp_path / "model", tmp_path / "wide")
    config = json.loads((tmp_path / "wide" / "config.json").read_text())
    config["network"]["hidden_size"] = 7
    (tmp_path / "wide" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="makes it"):
        load(tmp_path / "wide", "cpu")
    (tmp_path / "model" / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="is missing"):
        load(tmp_path / "model", "cpu")
