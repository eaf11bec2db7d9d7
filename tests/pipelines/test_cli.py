import json
import os
import subprocess
import sys
from dataclasses import MISSING, fields
from importlib.metadata import version
from pathlib import Path
from typing import get_type_hints

import pytest
import typer

from captioner.applications import APPLICATIONS, commands, resolve
from captioner.pipelines import cli

COMMAND = Path(sys.executable).with_name("captioner")


def captioner(*arguments):
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, check=False)


def test_the_version_is_the_packages():
    assert captioner("--version").stdout.strip() == f"captioner {version('captioner')}"


def test_help_answers_without_heavy_imports(tmp_path):
    seconds = []  # of CPU time, since others may use the machine too
    for _ in range(3):
        started = os.times()
        shown = captioner("--help").stdout
        ended = os.times()
        seconds.append(sum(ended[2:4]) - sum(started[2:4]))
    for command in ("caption", "train", "evaluate", "models"):
        assert command in shown
    assert min(seconds) < 0.5
    code = (
        "import sys, captioner.pipelines.cli; print([m for m in ('torch', 'cv2', 'numpy', 'timm') if m in sys.modules])"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert loaded.stdout.strip() == "[]"


def test_what_ships_is_listed_with_size_purpose_and_scores():
    models = {row["name"]: row for row in json.loads(captioner("models", "--json").stdout)}
    photos = models["photos"]
    assert 0 < photos["bytes"] <= 30e6
    assert photos["purpose"]
    assert photos["scores"]["flickr8k val"]["CIDEr"] > 0.5
    captions = models["captions"]
    assert captions["kind"] == "language"
    assert 0 < captions["bytes"] <= 6e6
    assert captions["scores"]["flickr8k val"]["perplexity"] < 25
    assert captions["use"].startswith("captioner perplexity captions")
    table = captioner("models").stdout
    assert "photos" in table
    assert "CIDEr" in table


def test_an_unknown_model_lists_what_exists(tmp_path):
    (tmp_path / "a.png").write_bytes(b"x")
    result = captioner("caption", tmp_path / "a.png", "--model", "fotos")
    assert result.returncode == 2
    said = " ".join(result.stderr.split())
    assert "fotos: no such model. In the package: " in said
    assert "photos" in said.partition("In the package: ")[2]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [("train", "none.yaml"), ("train",), ("caption",), ("nothing",)])
def test_wrong_usage_is_one_message_and_status_2(arguments):
    result = captioner(*arguments)
    assert result.returncode == 2
    assert "Traceback" not in result.stderr
    assert result.stderr.strip()


@pytest.mark.parametrize("name", commands())
def test_every_option_says_its_default(name):
    options = resolve(commands()[name].options)
    hints = get_type_hints(options, include_extras=True)
    for field in fields(options):
        (info,) = hints[field.name].__metadata__
        assert info.help
        given = field.default is not MISSING and field.default not in (None, "")  # the help prints those by itself
        optional = field.default is not MISSING and isinstance(info, typer.models.OptionInfo)
        assert given or not optional or "[default: " in info.help, field.name


def test_the_table_of_applications_names_what_exists():
    for kind, application in APPLICATIONS.items():
        assert callable(resolve(application.trainer))
        assert resolve(application.model).load
        assert resolve(application.config).model_fields["kind"].default == kind
    for command in commands().values():
        assert callable(resolve(command.run))


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no /dev/zero")
@pytest.mark.parametrize("arguments", [("translate", "/dev/zero"), ("evaluate", "--annotations=/dev/full")])
def test_a_file_without_end_is_refused_before_it_fills_the_memory(monkeypatch, capsys, arguments):
    monkeypatch.setattr(sys, "argv", ["captioner", *arguments])
    with pytest.raises(SystemExit) as left:
        cli.main()
    assert left.value.code == 2
    assert capsys.readouterr().err.endswith(": has no end, so it cannot be read; name a file.\n")


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 5 TB")])
def test_too_little_memory_is_one_sentence(monkeypatch, capsys, error):
    def fail(_):
        raise error

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(sys, "argv", ["captioner", "models"])
    with pytest.raises(SystemExit) as exit:
        cli.main()
    assert exit.value.code == 2
    assert "more memory than there is" in capsys.readouterr().err


def test_other_errors_of_a_library_keep_their_traceback(monkeypatch):
    def fail(_):
        raise RuntimeError("shapes differ")

    monkeypatch.setattr(cli, "app", fail)
    monkeypatch.setattr(sys, "argv", ["captioner", "models"])
    with pytest.raises(RuntimeError, match="shapes differ"):
        cli.main()
