"""The API answers as the command line does, and refuses in its sentences."""

import base64
import io
import json
import tempfile

import cv2
import numpy as np
import pytest
from PIL import Image

from captioner.models.base import load


def jpeg(seed=0, size=(80, 96)):
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.imencode(".jpg", cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_CUBIC))[1].tobytes()


def files(**contents):
    return [("file", (name.replace("_", "."), content)) for name, content in contents.items()]


def problem(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    told = response.json()
    assert told["status"] == status
    return told


def test_photos_get_the_captions_of_the_library(client, folders, tmp_path):
    photos = {f"{seed}_jpg": jpeg(seed) for seed in range(3)}
    response = client.post("/v1/caption", files=files(**photos))
    for name, content in photos.items():
        (tmp_path / name).write_bytes(content)
    expected = [each.text for each in load(folders["tiny"]).caption([tmp_path / name for name in photos])]
    assert response.json()["model"] == "tiny"
    assert [row["caption"] for row in response.json()["rows"]] == expected
    assert [row["path"] for row in response.json()["rows"]] == ["0.jpg", "1.jpg", "2.jpg"]


def test_json_with_base64_gives_the_same_rows_as_a_form(client):
    form = client.post("/v1/caption", files=files(a_jpg=jpeg()), data={"num_captions": "2", "beam_size": "3"})
    body = {"files": [{"name": "a.jpg", "data": base64.b64encode(jpeg()).decode()}], "num_captions": 2, "beam_size": 3}
    assert client.post("/v1/caption", json=body).json() == form.json()
    assert len(form.json()["rows"][0]["captions"]) == 2


def test_a_file_that_cannot_be_read_has_its_row_and_the_rest_is_captioned(client):
    response = client.post("/v1/caption", files=files(a_jpg=jpeg(), b_jpg=b"no photo", c_jpg=b"", d_png=jpeg(4)))
    rows = response.json()["rows"]
    assert response.status_code == 200
    assert [row.get("error") for row in rows] == [None, "not an image", "empty file", None]


def test_a_request_of_which_nothing_can_be_read_is_a_problem_in_the_command_line_s_sentence(client):
    told = problem(client.post("/v1/caption", files=files(b_jpg=b"no photo")), 422)
    assert told["detail"] == "b.jpg: not an image."
    assert told["rows"] == [{"path": "b.jpg", "error": "not an image"}]


def test_pictures_say_where_the_model_looked_for_each_word(client):
    row = client.post("/v1/caption", files=files(a_jpg=jpeg()), data={"pictures": "true"}).json()["rows"][0]
    caption = row["captions"][0]
    cells = np.frombuffer(base64.b64decode(caption["attention"]), np.uint8)
    assert len(cells) == len(caption["spans"]) * np.prod(row["grid"])
    assert Image.open(io.BytesIO(base64.b64decode(row["image"]))).size == (96, 80)


def test_clips_are_captioned_and_classified(client, draw_clip, tmp_path):
    clip = draw_clip(tmp_path / "a.avi", frames=20).read_bytes()
    rows = client.post("/v1/caption", files=files(a_avi=clip), data={"every": "1"}).json()["rows"]
    assert [(part["start"], part["end"]) for part in rows[0]["segments"]][-1][1] == 2.0
    rows = client.post("/v1/classify", files=files(a=clip), data={"top_k": "2"}).json()["rows"]
    assert {each["label"] for each in rows[0]["top"]} == {"jump", "run"}


def test_lines_are_read(client):
    picture = np.full((20, 80, 3), 255, np.uint8)
    picture[5:15, 10:70] = np.random.default_rng(0).integers(0, 2, (10, 60, 1), np.uint8) * 255
    content = cv2.imencode(".png", picture)[1].tobytes()
    row = client.post("/v1/read", files=files(a_png=content)).json()["rows"][0]
    assert set(row["text"]) <= set("abc")


def test_texts_are_translated_and_captions_too(client, folders):
    expected = load(folders["words"]).translate(["A man rides a bicycle.", "A woman reads."])
    body = {"texts": ["A man rides a bicycle.", "A woman reads."], "to": "de"}
    rows = client.post("/v1/translate", json=body).json()["rows"]
    assert [row["translation"] for row in rows] == [each.text for each in expected]
    assert "path" not in rows[0]
    german = client.post("/v1/caption", files=files(a_jpg=jpeg()), data={"language": "de"})
    assert german.json()["rows"][0]["caption"]


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"beam_size": "0"}, "beam_size: input should be greater than or equal to 1."),
        ({"beam_size": "many"}, "beam_size: input should be a valid integer"),
        ({"every": "nan"}, "every: "),
        ({"num_captions": "9"}, "num_captions is 9, but a beam of 4 finds at most 4"),
        ({"language": "zz"}, "language: no model here translates into 'zz'; languages: de."),
        ({"model": "/etc"}, "model: no model called '/etc' to caption with; there are: tiny."),
        ({"model": "moves"}, "model: no model called 'moves' to caption with; there are: tiny."),
        ({"colour": "red"}, "colour: no such option; there are language, beam_size"),
    ],
)
def test_a_wrong_option_is_named(client, options, sentence):
    assert problem(client.post("/v1/caption", files=files(a_jpg=jpeg()), data=options), 422)["detail"].startswith(
        sentence
    )


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"{", {"content-type": "application/json"}, 400),
        (b"[" * 100_000, {"content-type": "application/json"}, 400),
        (b"[]", {"content-type": "application/json"}, 422),
        (b"{}", {"content-type": "application/json"}, 422),
        (b'{"files": []}', {"content-type": "application/json"}, 422),
        (b'{"files": [], "every": 1, "every": 2}', {"content-type": "application/json"}, 422),
        (b'{"files": [{"name": 3, "data": ""}]}', {"content-type": "application/json"}, 422),
        (b'{"files": [{"data": "%%%"}]}', {"content-type": "application/json"}, 422),
        (b'{"files": [{"name": "\\ud800", "data": "AAAA"}]}', {"content-type": "application/json"}, 422),
        (b"x", {"content-type": "multipart/form-data"}, 400),
        (b"--x\r\n\r\n", {"content-type": "multipart/form-data; boundary=x"}, 400),
        (b"x", {"content-type": "image/jpeg"}, 415),
        (b"x", {"content-type": "application/json", "content-encoding": "gzip"}, 415),
    ],
)
def test_a_body_in_no_known_form_is_a_problem(client, body, headers, status):
    problem(client.post("/v1/caption", content=body, headers=headers), status)


def test_texts_that_are_none_are_problems(client):
    for texts in ("A dog.", [1], [], ["a" * 10_001], ["\ud800"]):
        problem(
            client.post(
                "/v1/translate", content=json.dumps({"texts": texts}), headers={"content-type": "application/json"}
            ),
            422,
        )


def test_a_name_that_is_a_path_is_only_given_back(client, tmp_path):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(jpeg())
    for name in (str(secret), "../../../etc/passwd", "a\x00b.jpg", "x" * 300):
        form = client.post("/v1/caption", files=[("file", (name, b"no photo"))])
        assert problem(form, 422)["rows"][0]["error"] == "not an image"
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2.0,\n{secret}\n#EXT-X-ENDLIST\n".encode()
    for name in ("list.m3u8", "list.ts", "list.mp4"):
        assert problem(client.post("/v1/caption", files=[("file", (name, playlist))]), 422)["detail"].endswith(
            ("not a video.", "not an image.")
        )


def test_nothing_of_an_upload_stays_on_the_disk(make_client, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    client = make_client()
    for each in (files(a_jpg=jpeg(), b_jpg=b"no photo"), files(b_jpg=b"no photo")):
        client.post("/v1/caption", files=each)
    client.post("/v1/caption", json={"files": [{"name": "a.jpg", "data": "no base64"}]})
    (folder,) = tmp_path.iterdir()
    assert list(folder.iterdir()) == []
    client.__exit__(None, None, None)
    assert list(tmp_path.iterdir()) == []


def test_too_many_files_and_too_many_bytes_are_413(make_client):
    client = make_client(max_files=2, max_mb=1)
    three = files(a_jpg=jpeg(), b_jpg=jpeg(), c_jpg=jpeg())
    assert problem(client.post("/v1/caption", files=three), 413)["detail"].startswith("more than 2 files")
    body = {"files": [{"data": ""}] * 3}
    assert problem(client.post("/v1/caption", json=body), 413)["detail"].startswith("more than 2 files")
    assert "larger than 1 MB" in problem(client.post("/v1/caption", files=files(a_jpg=bytes(1_200_000))), 413)["detail"]


def test_images_of_too_many_pixels_and_clips_too_long_are_refused(make_client, worker, draw_clip, tmp_path):
    from captioner.pipelines.serve.jobs import Worker
    from captioner.pipelines.serve.options import ServeOptions

    client = make_client(Worker(worker.models, ServeOptions(max_pixels=5000, max_seconds=1)))
    bomb = io.BytesIO()
    Image.new("1", (3_000, 3_000)).save(bomb, "png")
    told = problem(client.post("/v1/caption", files=files(a_png=bomb.getvalue())), 422)
    assert "too large (3000 x 3000 pixels" in told["detail"]
    clip = draw_clip(tmp_path / "a.avi", frames=20, size=(32, 64)).read_bytes()
    told = problem(client.post("/v1/classify", files=files(a_avi=clip)), 422)
    assert "too long (2 s; the limit is 1 s)" in told["detail"]


def test_a_full_queue_says_when_to_come_again(make_client, fill_queue):
    client = make_client(queue=1)
    empty = fill_queue(client)
    response = client.post("/v1/caption", files=files(a_jpg=jpeg()))
    problem(response, 503)
    assert int(response.headers["retry-after"]) >= 1
    empty()
    assert client.post("/v1/caption", files=files(a_jpg=jpeg())).status_code == 200


def test_a_token_is_needed_where_there_is_one_but_not_for_the_page(make_client):
    client = make_client(token="correct horse".replace(" ", "-"), loopback=False)
    for path in ("/v1/models", "/metrics", "/v1/nothing"):
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Bearer \xfc"}):
            response = client.get(path, headers={key: value.encode("latin-1") for key, value in headers.items()})
            problem(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"
    problem(client.post("/v1/caption", files=files(a_jpg=jpeg())), 401)
    assert client.get("/v1/models", headers={"authorization": "Bearer correct-horse"}).status_code == 200
    assert client.get("/").status_code == client.get("/healthz").status_code == 200


def test_pages_of_other_sites_and_other_names_of_this_machine_are_refused(make_client):
    client = make_client(cors=["https://friend.example"])
    problem(client.get("/v1/models", headers={"origin": "https://evil.example"}), 403)
    problem(client.get("/v1/models", headers={"host": "evil.example"}), 421)
    allowed = client.get("/v1/models", headers={"origin": "https://friend.example"})
    assert allowed.headers["access-control-allow-origin"] == "https://friend.example"
    assert client.get("/v1/models", headers={"origin": "http://localhost"}).status_code == 200


def test_every_answer_has_the_headers_that_browsers_protect_users_by(client):
    for path in ("/", "/v1/models", "/nothing", "/healthz"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"


def test_the_server_tells_of_itself(client):
    client.post("/v1/caption", files=files(a_jpg=jpeg(), b_jpg=b"no"))
    assert client.get("/healthz").json()["status"] == "ok"
    counters = client.get("/metrics").text
    assert 'captioner_rows_total{job="caption",result="ok"} 1.0' in counters
    assert 'captioner_rows_total{job="caption",result="error"} 1.0' in counters
    assert 'captioner_requests_total{path="/v1/caption",status="200"} 1.0' in counters
    assert [model["name"] for model in client.get("/v1/models").json()["models"]] == ["tiny", "moves", "lines", "words"]
    described = client.get("/openapi.json").json()["paths"]
    assert {"/v1/caption", "/v1/classify", "/v1/read", "/v1/translate", "/healthz"} <= set(described)
    problem(client.get("/nothing"), 404)
    problem(client.get("/v1/caption"), 405)


def test_logs_tell_neither_names_nor_captions(client, caplog):
    with caplog.at_level("INFO"):
        row = client.post("/v1/caption", files=[("file", ("holiday-with-anna.jpg", jpeg()))]).json()["rows"][0]
    from captioner.pipelines.serve.guard import JsonLines

    lines = [JsonLines().format(record) for record in caplog.records]
    told = [told for told in map(json.loads, lines) if told.get("path") == "/v1/caption"]
    assert told[0]["status"] == 200
    assert not any("anna" in line or row["caption"] in line for line in lines)


def test_a_failure_is_a_problem_that_tells_nothing_of_the_server(make_client, worker, monkeypatch):
    from captioner.pipelines.serve import jobs

    monkeypatch.setattr(jobs.Worker, "work", lambda self, items: 1 / 0)
    told = problem(make_client().post("/v1/caption", files=files(a_jpg=jpeg())), 500)
    assert "ZeroDivisionError" not in json.dumps(told)
