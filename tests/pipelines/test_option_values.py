"""No option value of any command ends in a traceback: each is used, or answered with a sentence and status 2."""

import dataclasses
import json
import sys
from typing import get_type_hints

import pytest
import typer.models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captioner.applications import commands, resolve
from captioner.pipelines import cli

NUMBERS = [
    "0",
    "-1",
    "1000000000",
    "99999999999999999999",
    "-99999999999999999999",
    "nan",
    "inf",
    "-inf",
    "1e308",
    "1e-300",
]
NUMBERS += ["1e999", "", " ", "0x10", "\uff11", "1,5", "0.5", "1"]
TEXTS = [
    "",
    " ",
    "\udcff",
    "nan",
    "a" * 5000,
    "/dev/null",
    "hf-hub:",
    "-",
    "\u2603",
    "[" * 2000,
    "{}",
    "*",
    "cuda:-1",
]
TEXTS += [
    "cuda:99999999999999999999",
    "a.jsonl/b.jsonl",
    ".json",
    "deep.json",
    "utf16.json",
    "binary.json",
    "photo.png",
]


def option_flags():
    """Each command's options that take a value, with the kind of the value."""
    for name, command in commands().items():
        options = resolve(command.options)
        hints = get_type_hints(options, include_extras=True)
        for field in dataclasses.fields(options):
            info = next((each for each in getattr(hints[field.name], "__metadata__", ())), None)
            plain = str(get_type_hints(options)[field.name])
            if isinstance(info, typer.models.OptionInfo) and "bool" not in plain:
                declared = [each for each in info.param_decls or () if each.startswith("--")]
                number = "int" in plain or "float" in plain
                yield name, declared[0] if declared else "--" + field.name.replace("_", "-"), number


FLAGS = list(option_flags())


@pytest.fixture
def call(tmp_path, model_folder, make_photos, monkeypatch, capfd):
    """Runs a command on small inputs with some more arguments; returns its status and standard error."""
    photo = str(make_photos(1) / "photo0000.jpg")
    (tmp_path / "text.txt").write_text("a dog runs\n", encoding="utf-8")
    (tmp_path / "deep.json").write_text("[" * 100_000, encoding="utf-8")
    (tmp_path / "utf16.json").write_text('[{"image_id": 1}]', encoding="utf-16")
    (tmp_path / "binary.json").write_bytes(bytes(range(256)))
    coco = {"images": [{"id": 1, "file_name": "a.jpg"}], "annotations": [{"id": 1, "image_id": 1, "caption": "a cat"}]}
    (tmp_path / "references.json").write_text(json.dumps(coco), encoding="utf-8")
    (tmp_path / "results.json").write_text('[{"image_id": 1, "caption": "a dog"}]', encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    inputs = {
        "caption": [photo, "--model", str(model_folder), "--quiet"],
        "evaluate": ["-a", "references.json", "-r", "results.json"],
        "gradients": ["lstm", "--steps", "3"],
        "generate": ["captions", "--max-length", "3"],
        "perplexity": ["captions", "text.txt"],
        "train": ["none.yaml"],
        "models": [],
    }

    def call(command, *arguments):
        given = inputs.get(command, ["text.txt"])
        monkeypatch.setattr(sys, "argv", ["captioner", command, *given, *arguments])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, capfd.readouterr().err

    return call


def test_every_command_has_options_to_try():
    assert {name for name, _, _ in FLAGS} >= {"caption", "classify", "evaluate", "generate", "gradients", "train"}


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(FLAGS), st.data())
def test_no_value_of_any_option_ends_in_a_traceback(call, flag, data):
    name, option, number = flag
    value = data.draw(st.sampled_from(NUMBERS if number else TEXTS + NUMBERS))
    status, err = call(name, option, value)
    assert status in (0, 1, 2)
    assert "Traceback" not in err
    assert status != 2 or err.strip()


@pytest.mark.parametrize("value", ["1000000000", "99999999999999999999"])
@pytest.mark.parametrize(
    ("command", "option"),
    [
        ("caption", "--workers"),
        ("caption", "--batch-size"),
        ("caption", "--beam-size"),
        ("caption", "--num-captions"),
        ("caption", "--max-length"),
        ("generate", "--num"),
    ],
)
def test_more_than_any_machine_can_do_is_refused_before_any_work(call, command, option, value):
    status, err = call(command, option, value)
    assert status == 2
    assert "\n" not in err.strip() or "Usage" in err
