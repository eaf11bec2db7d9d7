"""Searches among uploads: the rows of `captioner search`, what was seen given back, and refusals."""

import base64
import json
import math
import struct

import pytest

from captioner.pipelines import cli
from captioner.pipelines.serve.jobs import Worker
from captioner.pipelines.serve.models import Models
from captioner.pipelines.serve.options import ServeOptions

SENTENCE = "two men on the grass"


@pytest.fixture(scope="session")
def finding(finder_folder):
    return Worker(Models([str(finder_folder)], "cpu"), ServeOptions())


@pytest.fixture
def client(make_client, finding):
    return make_client(worker=finding)


@pytest.fixture
def photos(make_photos):
    return {path.name: path.read_bytes() for path in sorted(make_photos(4).iterdir())}


def form(contents):
    return [("file", (name, content)) for name, content in contents.items()]


def test_the_rows_are_those_of_the_command(client, photos, finder_folder, tmp_path, monkeypatch, capsys):
    response = client.post("/v1/search", files=form(photos), data={"query": SENTENCE, "top": "3"})
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    asked = ["captioner", "search", SENTENCE, "photos", "--top", "3", "--model", str(finder_folder), "--quiet"]
    monkeypatch.setattr("sys.argv", asked)
    with pytest.raises(SystemExit):
        cli.main()
    expected = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert response.json()["model"] == "tiny"
    assert response.json()["notes"] == []
    for row, other in zip(response.json()["rows"], expected, strict=True):
        assert row["path"] == other["path"].removeprefix("photos/")
        assert row["score"] == pytest.approx(other["score"], abs=1e-3)
        assert (row["query"], row["caption"]) == (SENTENCE, other["caption"])


def test_what_was_seen_is_given_back_instead_of_files(client, photos):
    rows = client.post("/v1/look", files=form(photos)).json()["rows"]
    looked = {row["path"]: row["looked"] for row in rows}
    assert list(looked) == list(photos)
    again = client.post("/v1/search", json={"query": SENTENCE, "looked": looked}).json()
    assert again == client.post("/v1/search", files=form(photos), data={"query": SENTENCE}).json()
    first = next(iter(photos))
    body = {
        "query": SENTENCE,
        "looked": {name: text for name, text in looked.items() if name != first},
        "files": [{"name": first, "data": base64.b64encode(photos[first]).decode()}],
    }
    assert client.post("/v1/search", json=body).json() == again


def test_clips_give_moments(client, draw_clip, tmp_path):
    clip = draw_clip(tmp_path / "a.avi", frames=40).read_bytes()
    response = client.post("/v1/search", files=form({"a.avi": clip}), data={"query": "a dog", "every": "1"})
    assert all(0 <= row["start"] < row["end"] for row in response.json()["rows"])
    looked = client.post("/v1/look", files=form({"a.avi": clip}), data={"every": "1"}).json()["rows"][0]["looked"]
    again = client.post("/v1/search", json={"query": "a dog", "looked": {"a.avi": looked}})
    assert again.json() == response.json()


def test_clips_of_one_name_stay_two(client, draw_clip, tmp_path):
    clips = [draw_clip(tmp_path / f"{seed}.avi", seed=seed, frames=20).read_bytes() for seed in (1, 2)]
    asked = {"query": "a dog", "every": "2"}
    apart = client.post("/v1/search", files=form({"a.avi": clips[0], "b.avi": clips[1]}), data=asked).json()["rows"]
    alike = client.post("/v1/search", files=[("file", ("a.avi", clip)) for clip in clips], data=asked).json()["rows"]
    assert alike == [{**row, "path": "a.avi"} for row in apart]
    assert len(alike) == 2


def test_pictures_say_which_words_fit_where(client, photos):
    response = client.post("/v1/search", files=form(photos), data={"query": "a DOG", "pictures": "true"})
    for row in response.json()["rows"]:
        assert row["words"] == "A dog."
        assert row["spans"] == [[0, 1], [2, 5]]
        assert len(base64.b64decode(row["attention"])) == 2 * math.prod(row["grid"])


def test_a_file_that_cannot_be_read_has_its_row_and_the_rest_is_searched(client, photos):
    response = client.post("/v1/search", files=form({"b.jpg": b"no photo", **photos}), data={"query": "a dog"})
    rows = response.json()["rows"]
    assert len(rows) == 5
    assert rows[-1] == {"path": "b.jpg", "error": "not an image"}
    refused = client.post("/v1/search", files=form({"b.jpg": b"no photo"}), data={"query": "a dog"})
    assert (refused.status_code, refused.json()["detail"]) == (422, "b.jpg: not an image.")


def test_words_that_the_model_does_not_know_are_notes(client, photos):
    notes = client.post("/v1/search", files=form(photos), data={"query": "a dog on the gras"}).json()["notes"]
    assert len(notes) == 1
    assert "(near ones for 'gras': grass)" in notes[0]


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"query": "a dog"}, "no files, and nothing looked at before; send at least one."),
        ({"query": "a dog", "files": []}, "no files; send at least one."),
        ({"query": " ", "looked": {}}, "no files, and nothing"),
        ({"query": "a dog", "looked": ["AAAA"]}, "looked: input should be a valid dictionary."),
        ({"query": "a dog", "looked": {"a": "?"}}, "looked.a: is not base64; ask /v1/look anew."),
        ({"query": "a dog", "looked": {"a": "AAAA"}}, "looked.a: is not what this model saw; ask /v1/look anew."),
        ({"looked": {"a": "AAAA"}}, "query: field required."),
        ({"query": "a dog", "looked": {"a": "AAAA"}, "top": 1000}, "top: "),
    ],
)
def test_wrong_requests_are_one_sentence(client, body, sentence):
    response = client.post("/v1/search", json=body)
    assert response.status_code == 422
    assert response.json()["detail"].startswith(sentence)


def test_queries_that_cannot_be_answered_are_refused_before_any_photo_is_looked_at(client, photos, monkeypatch):
    monkeypatch.setattr("captioner.pipelines.serve.searches.index_files", None)
    for query, sentence in (
        (" ", "query: the query is empty"),
        ("xyzzy", "query: 'xyzzy': 'xyzzy' is no word that this model knows"),
        ("der Hund und die Katze auf dem Gras", "is German, and this model reads English: ask in English."),
    ):
        response = client.post("/v1/search", files=form(photos), data={"query": query})
        assert response.status_code == 422
        assert sentence in response.json()["detail"]


def test_what_was_seen_is_refused_where_it_was_changed(client, photos):
    name, content = next(iter(photos.items()))
    text = client.post("/v1/look", files=form({name: content})).json()["rows"][0]["looked"]
    whole = base64.b64decode(text)
    for spoilt in (
        b"\0\0\0\0" + whole[4:],  # of another model
        whole[:-1],
        whole[:4],
        whole + whole[4:],  # two moments of a photo
        whole[:4] + struct.pack("<2d", 2.0, 1.0) + whole[20:],
        whole[:20] + b"\xff\xff" + whole[22:],  # a vector that holds no number
    ):
        body = {"query": "a dog", "looked": {name: base64.b64encode(spoilt).decode()}}
        response = client.post("/v1/search", json=body)
        assert (response.status_code, response.json()["detail"]) == (
            422,
            f"looked.{name}: is not what this model saw; ask /v1/look anew.",
        )


def test_a_captioner_without_a_quick_part_searches_too(make_client, worker, photos):
    found = make_client(worker=worker).post("/v1/search", files=form(photos), data={"query": "a dog"}).json()["rows"]
    assert {row["path"] for row in found} == set(photos)
