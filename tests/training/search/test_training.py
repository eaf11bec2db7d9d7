import json
import shutil

import pytest
import torch
import yaml

from captioner.errors import ConfigError, ModelError
from captioner.models.base import find, load
from captioner.models.concepts import ConceptWords
from captioner.models.search import Finder
from captioner.pipelines.train.command import train
from captioner.pipelines.train.search import SearchTraining
from captioner.training.config import load_config


@pytest.fixture(scope="module")
def captioner_folder(squares, tmp_path_factory):
    """A captioner with random weights that knows the words of the squares' captions."""
    import torch

    from captioner.data.captions import CaptionSet
    from captioner.models.caption import CaptionConfig, Captioner
    from captioner.models.caption_network import DecoderConfig
    from captioner.text.vocabulary import Vocabulary
    from captioner.vision.encoder import EncoderConfig
    from captioner.vision.images import Transform

    words = [tokens for image in CaptionSet.read(squares / "train.json") for tokens in image.tokens]
    config = CaptionConfig(
        encoder=EncoderConfig(name="test_resnet", transform=Transform(size=(64, 64))),
        decoder=DecoderConfig(hidden_size=16, embedding_size=16, heads=2),
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("captioner")
    Captioner.build(config, Vocabulary.build(words, 1)).save(folder, "# A captioner\n\n## What it scores\n\nLittle.\n")
    return folder


@pytest.fixture
def write(tmp_path, squares, captioner_folder):
    """Writes a configuration with changes; returns its path."""

    def write(init=captioner_folder, **contrastive):
        stage = {"epochs": 12, "batch_size": 12, "learning_rate": 0.02, "average": 0.8, **contrastive}
        settings = {
            "kind": "search",
            "init": str(init),
            "seed": 1,
            "precision": "float32",
            "data": {
                "root": str(squares),
                "sets": {
                    "squares": {"captions": "train.json", "photos": ["photos"]},
                    "held out": {"captions": "val.json", "photos": ["photos"], "split": "val"},
                },
                "mirror": True,
            },
            "network": {"hidden_size": 24, "size": 16, "dropout": 0.1},
            "stages": {"contrastive": stage},
        }
        path = tmp_path / "search.yaml"
        path.write_text(yaml.safe_dump(settings))
        return path

    return write


def test_a_training_of_seconds_finds_squares_by_their_colours(write, tmp_path, captioner_folder):
    folder = train(write(), [], tmp_path / "run", resume=False, device="cpu")
    model = load(folder)
    finder = Finder.load(find(folder), model)
    assert finder.config is not None
    scores = finder.config.scores["held out val"]
    assert scores["photos R@1"] >= 0.3  # of six photos, of which a guess finds one in six
    assert scores["photos R@5"] >= 0.9
    assert (folder / "model.safetensors").read_bytes() == (captioner_folder / "model.safetensors").read_bytes()
    card = (folder / "README.md").read_text()
    assert "## What it scores" in card
    assert "## Search" in card


def test_the_concept_words_of_a_captioner_stay_with_it(write, tmp_path, squares, captioner_folder):
    origin = tmp_path / "captioner"
    shutil.copytree(captioner_folder, origin)
    before = load(origin)
    words = ConceptWords(before.decoder.config.hidden_size, 3)
    words.ids.copy_(torch.tensor([4, 5, 6]))
    words.save(origin)
    photo = next((squares / "photos").iterdir())
    told = load(origin).concepts([photo])
    folder = train(write(init=origin, epochs=1), [], tmp_path / "run", resume=False, device="cpu")
    assert load(folder).concepts([photo]) == told


def test_a_search_of_another_captioner_is_refused_and_none_is_no_error(write, tmp_path, captioner_folder):
    folder = train(write(epochs=1), [], tmp_path / "run", resume=False, device="cpu")
    assert Finder.load(captioner_folder, load(captioner_folder)).network is None
    about = json.loads((folder / "search.json").read_text())
    (folder / "search.json").write_text(json.dumps({**about, "captioner": "0" * 16}))
    with pytest.raises(ModelError, match="was trained beside another"):
        Finder.load(folder, load(folder))
    (folder / "search.json").write_text(json.dumps({**about, "format": 99}))
    with pytest.raises(ModelError, match="format: Input should be 1"):
        Finder.load(folder, load(folder))


def test_a_resumed_training_ends_with_the_same_search(write, tmp_path):
    path = write(epochs=2)
    whole = train(path, [], tmp_path / "whole", resume=False, device="cpu")
    train(path, [], tmp_path / "run", resume=False, device="cpu")
    shutil.rmtree(tmp_path / "run" / "model")
    for checkpoint in (tmp_path / "run" / "checkpoints").iterdir():
        shutil.rmtree(checkpoint)
    again = train(path, [], tmp_path / "run", resume=True, device="cpu")
    assert (again / "search.safetensors").read_bytes() == (whole / "search.safetensors").read_bytes()


def test_only_a_photo_captioner_gets_a_search(write, tmp_path):
    with pytest.raises(ConfigError, match="captions is no photo captioner"):
        train(write(init="captions"), [], tmp_path / "run", resume=False, device="cpu")


def test_captions_become_the_tokens_of_their_captioner(write, tmp_path, captioner_folder):
    folder = tmp_path / "cased"
    shutil.copytree(captioner_folder, folder)
    about = json.loads((folder / "vocabulary.json").read_text())
    about["tokenization"] = {"scheme": "unicode", "lower": False}
    (folder / "vocabulary.json").write_text(json.dumps(about))
    config = load_config(write(init=folder))
    training = SearchTraining(config, tmp_path / "run", "", device="cpu", resume=False)
    assert training.sets["squares"][0].tokens[0][0] == "A"  # as written


def test_a_batch_of_one_has_no_wrong_answers(write):
    with pytest.raises(ConfigError, match="batch_size is 1"):
        load_config(write(batch_size=1))


def test_phrases_are_learnt_with_the_quick_part_or_beside_the_one_that_is_there(write, tmp_path, squares):
    first = train(write(epochs=1), ["phrase_weight=1.0"], tmp_path / "both", resume=False, device="cpu")
    photos = sorted((squares / "photos").iterdir())[:4]
    model = load(first)
    assert model.finder.phrases is not None
    assert model.finder.network is not None
    assert len(model.caption(photos)) == 4
    card = (first / "README.md").read_text()
    assert card.index("## Search") < card.index("## Phrases")
    overrides = ["phrase_weight=2.0", "stages.contrastive=null", f"init={first}"]
    again = train(write(), overrides, tmp_path / "phrases", resume=False, device="cpu")
    assert load(again).finder.phrases.weight == 2.0
    assert (again / "search.safetensors").read_bytes() == (first / "search.safetensors").read_bytes()
    assert (again / "README.md").read_text().count("## Phrases") == 1


def test_a_training_that_would_learn_nothing_is_refused(write, tmp_path):
    with pytest.raises(ConfigError, match="nothing to learn; or set phrase_weight"):
        train(write(), ["stages.contrastive=null"], tmp_path / "run", resume=False, device="cpu")
