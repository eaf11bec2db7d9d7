"""Nothing is looked up anywhere, and nothing is written outside the cache, unless a user names something remote."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from captioner.vision import compiled

# Python runs it before anything else, in child processes too; audit events are raised whoever opens the connection
WATCH = """
import os, sys
def note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname", "socket.connect"):
        with open(os.environ["LOOKED_UP"], "a") as file:
            print(event, arguments, file=file)
sys.addaudithook(note)
"""
COMMANDS = """
import json, os, sys
from captioner.pipelines.cli import app
for arguments in json.loads(sys.stdin.read()):
    status = app(arguments, standalone_mode=False)
    assert not status, arguments
if len(sys.argv) > 1:
    import socket
    socket.gethostbyname("localhost")
"""


def watched(tmp_path: Path, commands, *arguments: str) -> tuple[list[str], set[str]]:
    """Run commands in a process of their own; returns the look-ups, and what is new at home."""
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    (tmp_path / "site").mkdir(exist_ok=True)
    (tmp_path / "site" / "sitecustomize.py").write_text(WATCH)
    unset = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "MPLCONFIGDIR", "HF_HOME", "CI", "HF_HUB_OFFLINE")
    environment = {name: value for name, value in os.environ.items() if name not in unset}
    environment |= {
        "HOME": str(home),
        "PYTHONPATH": os.pathsep.join([str(tmp_path / "site"), *filter(None, sys.path)]),
        "LOOKED_UP": str(tmp_path / "looked_up"),
    }
    done = subprocess.run(
        [sys.executable, "-c", COMMANDS, *arguments],
        input=json.dumps(commands),
        env=environment,
        cwd=tmp_path,
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    looked_up = (tmp_path / "looked_up").read_text().splitlines() if (tmp_path / "looked_up").exists() else []
    return looked_up, {path.relative_to(home).parts[:2] for path in home.rglob("*") if path.is_file()}


def test_captioning_training_and_classifying_ask_nobody_and_write_only_into_the_cache(
    tmp_path, make_photos, squares_clips, model_folder
):
    settings = {
        "kind": "classify",
        "data": {"root": str(squares_clips), "views": 1},
        "encoder": {"name": "test_resnet", "pretrained": False, "size": 32},
        "frames": {"count": 2},
        "network": {"hidden_size": 8, "components": 4},
        "stages": {"fit": {"steps": 3, "batch_size": 8}},
    }
    (tmp_path / "squares.yaml").write_text(yaml.safe_dump(settings))
    photos = str(make_photos(1))
    looked_up, written = watched(
        tmp_path,
        [
            ["caption", photos, "--model", str(model_folder), "-o", "a.html"],
            ["train", "squares.yaml", "-o", "run"],
            ["classify", str(squares_clips), "--model", "run/model"],
            ["gradients", str(model_folder), f"{photos}/photo0000.jpg", "-o", "a.png"],
        ],
    )
    assert looked_up == []
    assert {place[0] for place in written} == {".cache"}  # networks of ours, and fonts that Matplotlib has found


def test_the_watch_sees_a_look_up(tmp_path):
    looked_up, _ = watched(tmp_path, [], "look")
    assert len(looked_up) == 1
    assert "localhost" in looked_up[0]


def test_hiding_the_telemetry_package_leaves_nothing_hidden():
    assert compiled.available()
    assert sys.modules.get("openvino_telemetry", "absent") is not None
