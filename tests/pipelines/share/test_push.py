"""A model goes to a hub and comes back: the hub's own client, against a server here that answers as the hub does."""

import base64
import hashlib
import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import ClassVar

import cv2
import numpy as np
import pytest
import yaml

from captioner.models.base import load
from captioner.pipelines import cli

TOKEN = "hf_tests"


class Hub(http.server.BaseHTTPRequestHandler):
    """The part of the hub's API that pushing and fetching use; files are kept in `repos`."""

    repos: ClassVar[dict] = {}
    failing: ClassVar[list] = []  # the status that all requests get; None hangs up

    def log_message(self, *arguments):
        pass

    def parse_request(self):
        if super().parse_request() and not self.failing:
            return True
        self.close_connection = True
        if self.failing and self.failing[0] is not None:
            self.answer({"error": "failing"}, self.failing[0])
        return False

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self.answer({"error": "Invalid credentials"}, 401)
        parts = self.path.strip("/").split("/")
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked['organization']}/{asked['name']}"
            there = name in self.repos
            private = asked.get("visibility") == "private" or asked.get("private") is True
            self.repos.setdefault(name, {"private": private, "files": {}, "sha": "0" * 40})
            return self.answer({"url": f"http://{self.headers['Host']}/{name}"}, 409 if there else 200)
        if self.path == "/api/validate-yaml":
            return self.answer({"errors": [], "warnings": []})
        repo = self.repos["/".join(parts[2:4])]
        if parts[4] == "preupload":
            files = [{"path": each["path"], "uploadMode": "regular"} for each in json.loads(body)["files"]]
            return self.answer({"files": [{**each, "shouldIgnore": False} for each in files]})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                repo["files"][line["value"]["path"]] = base64.b64decode(line["value"]["content"])
            elif line["key"] == "deletedFile":
                del repo["files"][line["value"]["path"]]
        repo["sha"] = hashlib.sha1(body).hexdigest()
        address = f"http://{self.headers['Host']}/{'/'.join(parts[2:4])}"
        return self.answer({"success": True, "commitOid": repo["sha"], "commitUrl": f"{address}/commit/{repo['sha']}"})

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        parts = self.path.partition("?")[0].strip("/").split("/")
        api = parts[0] == "api"
        repo = self.repos.get("/".join(parts[2:4] if api else parts[:2]))
        if repo is None or (repo["private"] and self.headers.get("Authorization") != f"Bearer {TOKEN}"):
            return self.answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        oids = {name: hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest() for name, data in repo["files"].items()}
        if api and len(parts) > 4 and parts[4] == "tree":
            rows = [
                {"type": "file", "path": name, "size": len(repo["files"][name]), "oid": oids[name]} for name in oids
            ]
            return self.answer(rows)
        if api and parts[4:5] == ["revision"] and parts[5] not in ("main", repo["sha"]):
            return self.answer({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        if api:
            siblings = [{"rfilename": name} for name in oids]
            about = {"id": "/".join(parts[2:4]), "sha": repo["sha"], "private": repo["private"], "siblings": siblings}
            return self.answer({**about, "tags": [], "downloads": 0, "likes": 0})
        name = "/".join(parts[4:])
        headers = {"ETag": f'"{oids[name]}"', "X-Repo-Commit": repo["sha"]}
        return self.answer(repo["files"][name], 200, headers)

    def answer(self, body, status=200, headers=()):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/octet-stream" if isinstance(body, bytes) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


@pytest.fixture
def hub(tmp_path):
    """A hub of its own, and the environment of programs that use it."""
    handler = type("OneHub", (Hub,), {"repos": {}})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("HF_")},
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_TOKEN": TOKEN,
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    yield SimpleNamespace(
        repos=handler.repos, environment=environment, handler=handler, stop=server.shutdown, close=server.server_close
    )
    server.shutdown()
    server.server_close()


def captioner(hub, *arguments, **changed):
    return subprocess.run(
        [sys.executable, "-m", "captioner", *map(str, arguments)],
        env={**hub.environment, **changed},
        capture_output=True,
        text=True,
    )


def test_a_model_goes_to_the_hub_comes_back_and_stays_when_the_hub_is_gone(hub, model_folder, tmp_path):
    pixels = np.random.default_rng(3).integers(0, 256, (4, 5, 3), np.uint8)
    photo = tmp_path / "a.png"
    cv2.imwrite(str(photo), cv2.resize(pixels, (96, 80), interpolation=cv2.INTER_CUBIC))
    done = captioner(hub, "push", model_folder, "me/tiny", "--license", "cc-by-4.0", "--dataset", "flickr8k")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("me/tiny, private:\n  config.json")
    assert done.stdout.endswith("/me/tiny\n")
    repo = hub.repos["me/tiny"]
    assert repo["private"]
    assert set(repo["files"]) == {"config.json", "model.safetensors", "vocabulary.json", "README.md"}
    assert repo["files"]["model.safetensors"] == (model_folder / "model.safetensors").read_bytes()
    head = yaml.safe_load(repo["files"]["README.md"].decode().split("---\n")[1])
    assert (head["license"], head["datasets"]) == ("cc-by-4.0", ["flickr8k"])
    assert (head["pipeline_tag"], head["library_name"]) == ("image-to-text", "captioner")

    expected = load(model_folder, "cpu").caption([photo])[0].text
    name = f"hf-hub:me/tiny@{repo['sha']}"
    fetched = captioner(hub, "caption", photo, "--model", name, "--quiet")
    assert fetched.returncode == 0, fetched.stderr
    assert json.loads(fetched.stdout)["caption"] == expected
    hub.stop()
    hub.close()
    again = captioner(hub, "caption", photo, "--model", name, "--quiet")
    assert json.loads(again.stdout)["caption"] == expected, again.stderr


def test_who_the_hub_does_not_know_and_what_is_public_are_sentences(hub, model_folder):
    refused = captioner(hub, "push", model_folder, "me/tiny", HF_TOKEN="hf_wrong")
    assert refused.returncode == 2
    assert "run `hf auth login`" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert not hub.repos
    hub.repos["me/open"] = {"private": False, "files": {}, "sha": "0" * 40}
    public = captioner(hub, "push", model_folder, "me/open")
    assert public.stderr == (
        "captioner: me/open: is public; say --public if the model is to be, or choose another name.\n"
    )
    assert not hub.repos["me/open"]["files"]
    hub.repos["me/closed"] = {"private": True, "files": {}, "sha": "0" * 40}
    closed = captioner(hub, "push", model_folder, "me/closed", "--public")
    assert "is there and private; make it public" in closed.stderr
    assert not hub.repos["me/closed"]["files"]


def test_what_finds_photos_and_tells_words_is_published_too_and_what_a_model_before_had_is_removed(
    hub, finder_folder, model_folder, tmp_path
):
    pushed = captioner(hub, "push", finder_folder, "me/tiny")
    assert pushed.returncode == 0, pushed.stderr
    assert "search.safetensors" in pushed.stdout
    files = hub.repos["me/tiny"]["files"]
    assert {name: content for name, content in files.items() if name != "README.md"} == {
        file.name: file.read_bytes() for file in finder_folder.iterdir() if file.name != "README.md"
    }
    assert captioner(hub, "push", model_folder, "me/tiny").returncode == 0
    assert set(files) == {"config.json", "model.safetensors", "vocabulary.json", "README.md"}


FIND = """
import sys
from captioner.errors import ModelError
from captioner.models.base import find
for name in sys.argv[1:]:
    try:
        print(sorted(file.name for file in find(name).iterdir()))
    except ModelError as error:
        print(error)
"""


def find(hub, *names):
    """What is found by names of the hub, each its files or the sentence that says why not."""
    done = subprocess.run([sys.executable, "-c", FIND, *names], env=hub.environment, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout.splitlines()


def test_a_hub_that_fails_or_hangs_up_is_a_sentence_and_what_was_fetched_is_used(hub, model_folder):
    assert captioner(hub, "push", model_folder, "me/tiny").returncode == 0
    hub.repos["me/empty"] = {"private": True, "files": {"README.md": b"# Empty"}, "sha": "1" * 40}
    there, revision, nobody, empty = find(hub, *(f"hf-hub:me/{name}" for name in ("tiny", "tiny@none", "no", "empty")))
    assert there == "['README.md', 'config.json', 'model.safetensors', 'vocabulary.json']"
    assert revision.startswith("hf-hub:me/tiny@none: cannot be fetched from the model hub")
    assert nobody.startswith("hf-hub:me/no: cannot be fetched from the model hub")
    assert empty.startswith("hf-hub:me/empty: a model folder holds config.json")
    for status in (None, 500):
        hub.handler.failing = [status]
        again, other = find(hub, "hf-hub:me/tiny", "hf-hub:me/other")
        assert again == there
        assert other.startswith("hf-hub:me/other: cannot be fetched from the model hub")
    failed = captioner(hub, "push", model_folder, "me/tiny")
    assert failed.returncode == 2
    assert failed.stderr.count("\n") == 1
    assert TOKEN not in failed.stdout + failed.stderr


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs the command in this process; returns its status and what it prints."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["captioner", "push", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return end.value.code or 0, "".join(capfd.readouterr())

    return run


def test_a_dry_run_shows_the_card_s_metadata_with_its_scores_and_asks_nobody(run, monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *arguments: pytest.fail("asked somebody"))
    status, text = run("photos", "me/photos", "--public", "--dry-run")
    assert status == 0
    assert "me/photos, public:" in text
    assert "name: flickr8k val" in text
    assert "type: cider" in text
    assert "No licence is said" in text
    text = run("fight", "me/fight", "--dry-run")[1]
    assert "type: accuracy" in text
    assert "type: low" not in text


def test_names_and_folders_that_are_none_are_sentences(run, model_folder, tmp_path):
    assert "not a name on the hub; write owner/name" in run("photos", "photos")[1]
    for name in ("a/b/c", "me/a--b", "me/b.git", "mé/b", "me/"):
        assert "not a name on the hub; write owner/name" in run("photos", name, "--dry-run")[1]
    assert "is on the hub already" in run("hf-hub:a/b", "me/b")[1]
    (tmp_path / "none").mkdir()
    status, text = run(tmp_path / "none", "me/none")
    assert status == 2
    assert "is missing" in text
    damaged = shutil.copytree(model_folder, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"cut")
    assert "not a complete safetensors file" in run(damaged, "me/damaged", "--dry-run")[1]
    (shutil.copytree(model_folder, tmp_path / "card") / "README.md").write_bytes(b"\xff")
    assert "is not UTF-8" in run(tmp_path / "card", "me/card", "--dry-run")[1]


def test_metadata_that_a_card_has_is_replaced_not_doubled(model_folder, tmp_path):
    from captioner.pipelines.share.options import PushOptions
    from captioner.pipelines.share.push import card

    folder = shutil.copytree(model_folder, tmp_path / "mine")
    (folder / "README.md").write_text("---\nlicense: mit\n---\n\n# Mine\n\nWords.\n", encoding="utf-8")
    text = card(folder, PushOptions(model=str(folder), repository="me/mine", license="apache-2.0"))
    assert text.count("license:") == 1
    assert "license: apache-2.0" in text
    assert "# Mine\n\nWords." in text
    assert 'load("hf-hub:me/mine")' in text
