import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from captioner import load
from captioner.errors import CaptionerError, ModelError, UsageError
from captioner.models.base import choose_device, find
from captioner.text.vocabulary import Vocabulary


@pytest.fixture(scope="module")
def saved(tmp_path_factory, captioner):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    captioner.save(folder, "# A model card")
    return folder


@pytest.fixture
def folder(saved, tmp_path):
    return shutil.copytree(saved, tmp_path / "tiny")


def change_config(folder, change):
    config = json.loads((folder / "config.json").read_text())
    change(config)
    (folder / "config.json").write_text(json.dumps(config))


def change_weights(folder, change):
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


def test_a_folder_is_a_model(folder):
    model = load(folder, device="cpu")
    assert model.name == str(folder)
    assert not model.decoder.training


def test_weights_are_float16_on_disk_and_float32_in_use(folder):
    stored = load_file(folder / "model.safetensors")
    assert {value.dtype for value in stored.values()} == {torch.float16}
    assert {value.dtype for value in load(folder, device="cpu").weights().values()} == {torch.float32}


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "model.safetensors").unlink(), r"here model\.safetensors is missing"),
        (lambda f: (f / "config.json").unlink(), r"here config\.json is missing"),
        (lambda f: cut(f / "model.safetensors"), r"model\.safetensors: not a complete safetensors file"),
        (lambda f: (f / "config.json").write_text('{"kind": '), r"config\.json"),
        (lambda f: change_config(f, lambda c: c.update(colour="red")), r"config\.json: colour"),
        (lambda f: change_config(f, lambda c: c["decoder"].update(unit="mlp")), r"config\.json: decoder\.unit"),
        (lambda f: change_config(f, lambda c: c["decoder"].update(layers=0)), r"config\.json: decoder\.layers"),
        (lambda f: change_config(f, lambda c: c["search"].update(beam_size=0)), "beam_size"),
        (lambda f: change_config(f, lambda c: c["encoder"].update(name="resnet0")), "no network called 'resnet0'"),
        (
            lambda f: change_config(f, lambda c: c["encoder"].update(name="hf-hub:someone/large")),
            "no network called 'hf-hub:someone/large'",
        ),
        (lambda f: change_config(f, lambda c: c["encoder"].update(name="resnet18.no_such")), "timm cannot make"),
        (
            lambda f: change_config(f, lambda c: c["decoder"].update(hidden_size=32)),
            r"shape .* but config\.json makes it",
        ),
        (lambda f: change_weights(f, lambda w: w.pop("decoder.bias")), r"tensor decoder\.bias is missing"),
        (lambda f: change_weights(f, lambda w: w.update(spare=torch.zeros(1))), "tensor spare"),
        (lambda f: (f / "vocabulary.json").write_text("[]"), r"vocabulary\.json: not a vocabulary"),
        (
            lambda f: Vocabulary.build([["a", "dog"]], min_count=1).save(f / "vocabulary.json"),
            r"embedding of 20 words, but vocabulary\.json has 6",
        ),
    ],
)
def test_a_damaged_model_folder_is_an_error_that_names_the_fault(folder, damage, message):
    damage(folder)
    with pytest.raises(CaptionerError, match=message) as error:
        load(folder, device="cpu")
    assert "\n" not in str(error.value)


def test_a_kind_that_the_caller_cannot_use_is_refused_with_the_command_that_can(folder):
    assert load(folder, "cpu", ("caption", "video")).config.kind == "caption"
    with pytest.raises(ModelError, match=r"is a photo captioner, not a language model; use it with: captioner caption"):
        load(folder, "cpu", ("language",))


def test_an_unknown_kind_of_model_is_answered_with_the_kinds(folder):
    change_config(folder, lambda c: c.update(kind="painter"))
    known = "caption, classify, language, translate, video"
    with pytest.raises(ModelError, match=f"kind is 'painter'; this captioner knows {known}"):
        load(folder, "cpu")


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(ModelError, match=r"nosuchmodel: no such model\. In the package: "):
        find("nosuchmodel")


@pytest.mark.parametrize("name", ["hf-hub:owner/name", "hf-hub:owner/name@v1.2", "hf-hub:owner/name@refs/pr/3"])
def test_a_model_of_the_hub_may_be_pinned_to_a_revision(name, monkeypatch, folder):
    asked = {}
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download", lambda name, **more: asked.update(name=name, **more) or folder
    )
    assert find(name) == folder
    assert asked["name"] == "owner/name"
    assert asked["revision"] == (name.partition("@")[2] or None)


@pytest.mark.parametrize("name", ["hf-hub:", "hf-hub:name", "hf-hub:../../etc", "hf-hub:owner/name@", "hf-hub:a/b/c"])
def test_what_names_no_model_of_the_hub_is_refused_before_anything_is_asked_for(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: pytest.fail("asked for"))
    with pytest.raises(ModelError, match="not the name of a model on the hub; write hf-hub:owner/name"):
        find(name)


def test_a_folder_that_holds_no_model_says_what_is_missing(tmp_path):
    with pytest.raises(ModelError, match=r"config\.json, model\.safetensors, vocabulary\.json is missing"):
        find(tmp_path)


def test_devices_are_chosen_by_name():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")
    for wrong in ("gpu", "cuda:x", "cuda:99"):
        with pytest.raises(UsageError, match=f"device is '?{wrong}"):
            choose_device(wrong)
