"""No value of any option, argument or key of a configuration ends in a traceback: it is used, or told in a sentence."""

import contextlib
import dataclasses
import io
import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import get_type_hints

import pytest
import torch
import typer.models
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from captioner.applications import APPLICATIONS, commands, resolve
from captioner.models.classify import ClassifyConfig, VideoClassifier
from captioner.models.classify_network import ClassifierConfig, ClassifierNetwork
from captioner.models.language import LanguageConfig, LanguageModel
from captioner.models.language_network import NetworkConfig
from captioner.models.read import ReadConfig, Reader
from captioner.models.read_network import ReaderConfig, ReaderNetwork
from captioner.models.shared_encoder import FrameEncoder
from captioner.pipelines import cli
from captioner.text.alphabet import Alphabet
from captioner.text.vocabulary import SPECIALS, Vocabulary
from captioner.vision.clip_features import FramesConfig
from captioner.vision.encoder import Encoder, EncoderConfig
from captioner.vision.images import Transform
from captioner.vision.line_pictures import LineTransform
from captioner.weights import named

ROUNDS = int(os.environ.get("CAPTIONER_OPTION_ROUNDS", "40"))  # docs/robustness.md records longer runs
CONFIGS = sorted((Path(__file__).parents[2] / "configs").glob("*.yaml"))

NUMBERS = [
    *("0", "-1", "1000000000", "99999999999999999999", "-99999999999999999999", "nan", "inf", "-inf", "1e308"),
    *("1e-300", "1e999", "", " ", "0x10", "\uff11", "1,5", "0.5", "1", "1_0", "-0.0", "+1", "true"),
]
TEXTS = [
    *("", " ", "\udcff", "nan", "a" * 5000, "/dev/null", "/dev/full", "hf-hub:", "hf-hub:a/b@", "-", "\u2603"),
    *("[" * 2000, "{}", "*", "cuda:-1", "cuda:99999999999999999999", "a.jsonl/b.jsonl", ".json", "deep.json"),
    *("utf16.json", "\n", "binary.json", "numbers.json", "photo.jpg", "clip.avi", "text.txt", "empty.csv", "folder"),
    *("..", "~", "x\u0301.csv", "out.jsonl", "out.csv", "out.json", "out.html", "out.parquet", "out.srt", "s3://"),
    *("https://[", "a=b", "=", "..=1"),
]
ANY_TEXT = st.text(st.characters(exclude_characters="\0"), max_size=20)  # no command line can hold a NUL
ANY_NUMBER = st.one_of(st.integers(), st.floats()).map(str)
YAML = [
    *("", "0", "-1", ".nan", ".inf", "1e999", "9" * 30, "[]", "{}", "null", "'", "\udcff", "[" * 3000, "&a [*a]"),
    *("!!x y", "2001-01-01", "2001-13-45", "true", "a" * 5000, "..", "/dev/null", "{a: 1}", "[[]]", "\u2028"),
    *("!!binary a", "1:30"),
]


def flags():
    """Each command's options that take a value, with whether it is a number."""
    for name, command in commands().items():
        options = resolve(command.options)
        hints, plain = get_type_hints(options, include_extras=True), get_type_hints(options)
        for field in dataclasses.fields(options):
            info = next((each for each in getattr(hints[field.name], "__metadata__", ())), None)
            kind = str(plain[field.name])
            if isinstance(info, typer.models.OptionInfo) and "bool" not in kind:
                declared = [each for each in info.param_decls or () if each.startswith("--")]
                flag = declared[0] if declared else "--" + field.name.replace("_", "-")
                yield name, flag, "int" in kind or "float" in kind


def keys(schema, before=""):
    """The dotted keys of a configuration."""
    for name, field in schema.model_fields.items():
        yield before + name
        for inner in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(inner, type) and issubclass(inner, BaseModel):
                yield from keys(inner, f"{before}{name}.")


FLAGS = list(flags())
KEYS = {kind: list(keys(resolve(each.config))) for kind, each in APPLICATIONS.items()}


def tiny_models(root):
    """Models with random weights, a folder each."""
    torch.manual_seed(0)
    language = LanguageConfig(network=NetworkConfig(hidden_size=8, embedding_size=8))
    LanguageModel.build(language, Vocabulary([*SPECIALS, "a", "dog", "runs"])).save(root / "language", "Tiny.")
    alphabet, network = Alphabet("abcdef <"), ReaderConfig(channels=4, features=8, hidden_size=8)
    reading = ReadConfig(picture=LineTransform(height=16, step=32), network=network)
    Reader(reading, ReaderNetwork(network, 16, len(alphabet)), alphabet).save(root / "read", "Tiny.")
    classify = ClassifyConfig(
        labels=["one", "two"],
        frames=FramesConfig(count=2),
        encoder=EncoderConfig(name="test_resnet", transform=Transform(size=(32, 32))),
        network=ClassifierConfig(components=8, hidden_size=6),
    )
    weights = named("", Encoder("test_resnet", classify.encoder.transform).state_dict())
    encoder = FrameEncoder(classify.encoder, torch.device("cpu"), weights)
    VideoClassifier(classify, encoder, ClassifierNetwork(classify.network, encoder.channels, 2)).save(
        root / "classify", "Tiny."
    )


@pytest.fixture(scope="module")
def call(tmp_path_factory, finder_folder, make_translator, draw_clip, module_photo):
    """Runs a command on small inputs, in a folder of its own; returns its status and what it wrote to standard error.

    `at` replaces one of the command's own arguments; others are appended.
    """
    root = tmp_path_factory.mktemp("values")
    tiny_models(root)
    make_translator().save(root / "translate", "Tiny.")
    files = root / "files"
    (files / "folder").mkdir(parents=True)
    shutil.copy(module_photo, files / "photo.jpg")
    draw_clip(files / "clip.avi", frames=4)
    (files / "text.txt").write_text("a dog runs\n", "utf-8")
    (files / "deep.json").write_text("[" * 100_000, "utf-8")
    (files / "utf16.json").write_text('[{"image_id": 1}]', "utf-16")
    (files / "binary.json").write_bytes(bytes(range(256)))
    (files / "numbers.json").write_text('{"images": [1e999, NaN], "annotations": 7}', "utf-8")
    (files / "empty.csv").write_bytes(b"")
    coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}]}
    (files / "references.json").write_text(json.dumps(coco), "utf-8")
    (files / "results.json").write_text('[{"image_id": 1, "caption": "a dog"}]', "utf-8")
    (files / "lines.jsonl").write_text('{"path": "photo.jpg", "text": "ab"}\n', "utf-8")
    (files / "clips.yaml").write_text("kind: classify\ndata: {root: none}\nencoder: {name: test_resnet}\n", "utf-8")
    language, model = str(root / "language"), str(finder_folder)
    given = {
        "caption": ["photo.jpg", "--model", model, "--quiet"],
        "classify": ["clip.avi", "--model", str(root / "classify"), "--quiet"],
        "perplexity": [language, "text.txt"],
        "generate": [language, "--max-length", "3"],
        "translate": ["text.txt", "--model", str(root / "translate"), "--quiet"],
        "search": ["a dog", "photo.jpg", "--model", model, "--quiet"],
        "read": ["photo.jpg", "--model", str(root / "read"), "--quiet"],
        "evaluate-lines": ["lines.jsonl", "lines.jsonl", "--quiet"],
        "train": ["clips.yaml", "-o", "run"],
        "evaluate": ["-a", "references.json", "-r", "results.json", "--quiet"],
        "evaluate-text": ["text.txt", "text.txt"],
        "gradients": ["lstm", "--steps", "3"],
        "export": [model, "-o", "exported", "--form", "openvino"],
        "push": [language, "owner/name", "--dry-run"],
        "serve": ["--model", language, "--port", "0"],
        "models": [],
    }

    def call(command, *more, at=None):
        arguments = list(given[command])
        if at is not None:
            arguments[at], more = more[0], more[1:]
        here = shutil.copytree(files, root / "here")
        before = os.getcwd()
        with (
            pytest.MonkeyPatch.context() as patch,
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as out,
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as err,
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            patch.setattr(sys, "argv", ["captioner", command, *arguments, *more])
            patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
            patch.setenv("HF_HUB_OFFLINE", "1")
            patch.setattr("uvicorn.Server.serve", answer_nobody)
            patch.setattr("captioner.pipelines.serve.command._logging", lambda: None)  # it would replace pytest's own
            patch.chdir(here)
            try:
                with pytest.raises(SystemExit) as end:
                    cli.main()
            finally:
                os.chdir(before)
                shutil.rmtree(here)
            err.seek(0)
            return end.value.code or 0, err.read()

    call.arguments = [
        (command, place)
        for command, arguments in given.items()
        for place, argument in enumerate(arguments)
        if not argument.startswith("-")
    ]
    return call


async def answer_nobody(server, sockets=None):
    for each in sockets or ():
        each.close()


@pytest.fixture(scope="module")
def module_photo(tmp_path_factory):
    from PIL import Image

    path = tmp_path_factory.mktemp("photo") / "photo.jpg"
    Image.linear_gradient("L").resize((64, 48)).convert("RGB").save(path)
    return path


def check(found, *what):
    status, err = found
    assert status in (0, 1, 2), what
    assert "Traceback" not in err, what
    assert status != 2 or err.strip(), what  # status 1 may be of a row that says what is wrong


def test_every_command_has_options_or_arguments_to_try(call):
    tried = {name for name, _, _ in FLAGS} | {name for name, _ in call.arguments}
    assert tried == commands().keys() - {"cache", "models"}  # which take switches alone


@settings(max_examples=ROUNDS)
@given(st.sampled_from(FLAGS), st.data())
def test_no_value_of_any_option_ends_in_a_traceback(call, flag, data):
    name, option, number = flag
    listed = st.sampled_from(NUMBERS if number else TEXTS + NUMBERS)
    value = data.draw(st.one_of(listed, ANY_NUMBER if number else ANY_TEXT))
    check(call(name, f"{option}={value}"), name, option, value)


@settings(max_examples=ROUNDS // 2)
@given(st.data())
def test_no_argument_ends_in_a_traceback(call, data):
    name, place = data.draw(st.sampled_from(call.arguments))
    value = data.draw(st.one_of(st.sampled_from(TEXTS + NUMBERS), ANY_TEXT))
    check(call(name, value, at=place), name, place, value)


@settings(max_examples=ROUNDS)
@given(st.sampled_from(CONFIGS), st.data())
def test_no_value_of_a_key_of_a_configuration_ends_in_a_traceback(call, config, data):
    kind = yaml.safe_load(config.read_text("utf-8")).get("kind", "caption")
    key = data.draw(st.sampled_from(KEYS[kind]))
    value = data.draw(st.one_of(st.sampled_from(YAML), ANY_TEXT))
    status, err = call("train", str(config), "data.root=nowhere", f"{key}={value}", at=0)
    check((status, err), config.name, key, value)
    assert status == 2
