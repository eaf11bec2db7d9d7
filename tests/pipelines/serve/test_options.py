"""The API's options mean what the command line's mean, and what contradicts itself is refused, not guessed."""

import io
import json
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from captioner.pipelines import cli


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs a command in this process; returns its rows."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["captioner", *map(str, arguments), "--quiet"])
        with pytest.raises(SystemExit):
            cli.main()
        return [json.loads(line) for line in capfd.readouterr().out.splitlines()]

    return run


@pytest.fixture(scope="module")
def animation():
    """A GIF of four seconds, whose pictures differ."""
    draw, frames = np.random.default_rng(3), []
    for _ in range(4):
        pixels = draw.integers(0, 256, (4, 5, 3), np.uint8)
        frames.append(Image.fromarray(cv2.resize(pixels, (96, 80), interpolation=cv2.INTER_CUBIC)))
    file = io.BytesIO()
    frames[0].save(file, "gif", save_all=True, append_images=frames[1:], duration=1000)
    return file.getvalue()


def png(size=(80, 96)):
    return cv2.imencode(".png", np.full((*size, 3), 90, np.uint8))[1].tobytes()


def told(response, status=422):
    assert response.status_code == status, response.text
    return response.json()["detail"]


@pytest.mark.parametrize("options", [{}, {"every": "2"}, {"scenes": "true"}, {"frames": "3"}])
def test_a_gif_is_a_clip_where_the_command_line_takes_it_for_one(client, run, folders, animation, tmp_path, options):
    (tmp_path / "a.gif").write_bytes(animation)
    asked = [each for name, value in options.items() for each in (f"--{name}", value) if each != "true"]
    row = run("caption", tmp_path / "a.gif", "--model", folders["tiny"], *asked)[0]
    answer = client.post("/v1/caption", files=[("file", ("a.gif", animation))], data=options).json()
    assert answer["rows"] == [{**row, "path": "a.gif"}]
    assert ("segments" in row) == bool({"every", "scenes"} & set(options))


def test_a_gif_that_is_a_clip_has_the_limit_of_clips(make_client, worker, animation):
    from captioner.pipelines.serve.jobs import Worker
    from captioner.pipelines.serve.options import ServeOptions

    client = make_client(Worker(worker.models, ServeOptions(max_seconds=2, max_pixels=7000)))
    gif = [("file", ("a.gif", animation))]
    assert "too large (96 x 80 pixels" in told(client.post("/v1/classify", files=gif))
    client = make_client(Worker(worker.models, ServeOptions(max_seconds=2)))
    assert "too long (4 s; the limit is 2 s)" in told(client.post("/v1/caption", files=gif, data={"every": "1"}))
    assert "too long" in told(client.post("/v1/classify", files=gif))
    assert client.post("/v1/caption", files=gif).status_code == 200


def test_true_is_no_number(client):
    for option in ("beam_size", "num_captions", "every", "frames"):
        body = {"files": [{"data": "AAAA"}], option: True}
        assert told(client.post("/v1/caption", json=body)) == f"{option}: input should be a number, not true or false."
    answer = client.post("/v1/translate", json={"texts": ["a man"], "beam_size": None, "to": None, "num_captions": 2})
    assert answer.status_code == 200


def test_options_in_the_address_are_refused_not_passed_over(client):
    detail = told(client.post("/v1/caption?num_captions=3", files=[("file", ("a.png", png()))]))
    assert detail == "options go into the body, as form fields or JSON keys, not into the address."


def test_a_translator_and_another_language_contradict_each_other(client):
    texts = {"texts": ["A man rides a bicycle."]}
    german = client.post("/v1/translate", json={**texts, "model": "words", "to": "de"})
    assert german.json() == client.post("/v1/translate", json=texts).json()
    detail = told(client.post("/v1/translate", json={**texts, "model": "words", "to": "fr"}))
    assert detail == "to: words translates into 'de', not 'fr'; leave one of the two out."
    assert "to: no model here translates into 'fr'; languages: de." in told(
        client.post("/v1/translate", json={**texts, "to": "fr"})
    )


def test_texts_that_look_like_paths_are_translated_not_opened(client, make_client, worker, draw_clip, tmp_path):
    from captioner.pipelines.serve.jobs import Worker
    from captioner.pipelines.serve.options import ServeOptions

    client = make_client(Worker(worker.models, ServeOptions(max_seconds=1)))
    clip = draw_clip(tmp_path / "a.avi", frames=20)
    answer = client.post("/v1/translate", json={"texts": [str(clip), str(tmp_path), "a man"]})
    assert [set(row) & {"translation", "error"} for row in answer.json()["rows"]] == [{"translation"}] * 3


def test_captions_are_translated_from_english_only(make_client, folders, make_translator, tmp_path):
    from captioner.pipelines.serve.jobs import Worker
    from captioner.pipelines.serve.models import Models
    from captioner.pipelines.serve.options import ServeOptions

    make_translator().save(tmp_path / "other", "For tests.")
    config = json.loads((tmp_path / "other" / "config.json").read_text())
    (tmp_path / "other" / "config.json").write_text(json.dumps({**config, "source": "de", "target": "en"}))
    sources = [str(folders["tiny"]), str(tmp_path / "other"), str(folders["words"])]
    client = make_client(Worker(Models(sources, "cpu"), ServeOptions()))
    assert client.get("/v1/models").json()["languages"] == ["en", "de"]
    texts = {"texts": ["A man rides a bicycle."]}
    assert client.post("/v1/translate", json={**texts, "to": "de"}).json()["model"] == "words"
    assert client.post("/v1/translate", json={**texts, "to": "en"}).json()["model"] == "other"
    photo = [("file", ("a.png", png()))]
    assert client.post("/v1/caption", files=photo, data={"language": "de"}).status_code == 200
    assert client.post("/v1/caption", files=photo, data={"language": "en"}).status_code == 200


def test_what_a_model_cannot_do_is_said_without_where_it_lies(client, make_client, folders, model_folder, tmp_path):
    import shutil

    from captioner.pipelines.serve.jobs import Worker
    from captioner.pipelines.serve.models import Models
    from captioner.pipelines.serve.options import ServeOptions

    photo = [("file", ("a.png", png()))]
    detail = told(client.post("/v1/caption", files=photo, data={"concepts": "true"}))
    assert detail.startswith("concepts: tiny: this model tells no concept words")
    folder = shutil.copytree(model_folder, tmp_path / "cut")
    client = make_client(Worker(Models([str(folder)], "cpu"), ServeOptions()))
    (folder / "model.safetensors").write_bytes(b"cut")
    assert str(tmp_path) not in told(client.post("/v1/caption", files=photo), 500)


def test_labels_in_free_words_are_told_of_photos_and_clips_as_by_the_command_line(
    client, run, folders, draw_clip, tmp_path
):
    photo, clip = tmp_path / "a.png", draw_clip(tmp_path / "b.avi", frames=30)
    photo.write_bytes(png())
    labels = "dog, red cat, xyzzy, dog"
    asked = ("--labels", labels, "--every", "1", "--template", "a photo of {}", "--model", folders["tiny"])
    rows = run("classify", photo, clip, *asked)
    files = [("file", (path.name, path.read_bytes())) for path in (photo, clip)]
    options = {"labels": labels, "every": "1", "template": "a photo of {}"}
    answer = client.post("/v1/classify", files=files, data=options).json()
    assert answer["model"] == "tiny"
    assert answer["rows"] == [{**row, "path": file[1][0]} for row, file in zip(rows, files, strict=True)]
    assert answer["notes"] == ["label 'xyzzy': 'xyzzy' is no word that this model knows; the label is left out"]
    assert "notes" not in client.post("/v1/classify", files=files[1:]).json()


def test_labels_are_words_and_no_file_of_the_server(client, tmp_path):
    (tmp_path / "labels.txt").write_text("dog\ncat\n")
    photo = [("file", ("a.png", png()))]

    def ask(**options):
        return told(client.post("/v1/classify", files=photo, data=options))

    assert ask(labels=str(tmp_path / "labels.txt")).startswith("labels: give at least two different labels")
    assert ask(labels="dog, dog").startswith("labels: give at least two different labels")
    assert ask(labels="xyzzy, plugh").startswith("labels: none is left; label 'xyzzy'")
    assert ask(labels=",".join(map(str, range(300)))) == "labels: there are 300; give 200 at most."
    assert ask(labels="dog, cat", template="a photo").startswith("template: 'a photo' has no place for a label")
    assert ask(template="a {}") == "template: is a sentence for labels; give labels too."
    assert ask(labels="dog, cat", model="moves").startswith("model: no model called 'moves' to classify with")
    assert ask() == "a.png: not a video."


def test_what_a_file_is_counts_and_a_long_name_does_not_hide_it(client, draw_clip, tmp_path):
    clip = draw_clip(tmp_path / "a.avi").read_bytes()
    for name in ("n" * 300 + ".avi", "clip.jpg", "clip"):
        assert client.post("/v1/classify", files=[("file", (name, clip))]).status_code == 200
    assert client.post("/v1/caption", files=[("file", ("n" * 300 + ".avi", clip))]).status_code == 200
    assert "a file's name is too long" in told(client.post("/v1/caption", files=[("file", ("n" * 9999, clip))]), 400)
    twice = b'{"files": [{"data": "AAAA"}], "num_captions": 2, "num_captions": 3}'
    answer = client.post("/v1/caption", content=twice, headers={"content-type": "application/json"})
    assert told(answer) == "num_captions: is given twice; give it once."


def test_captions_are_worded_and_fused_as_by_the_command_line(run, make_client, folders, tmp_path):
    from captioner.pipelines.serve.jobs import Worker
    from captioner.pipelines.serve.models import Models
    from captioner.pipelines.serve.options import ServeOptions

    client = make_client(Worker(Models([str(folders["tiny"]), "captions"], "cpu"), ServeOptions()))
    (tmp_path / "a.png").write_bytes(png())
    photo = [("file", ("a.png", png()))]
    plain = client.post("/v1/caption", files=photo).json()["rows"]
    for options in (
        {"prefix": "sks, ", "suffix": " (by a machine)", "style": "plain"},
        {"lm": "captions", "lm_weight": "3.5"},
        {"lm": "captions"},
    ):
        asked = [each for name, value in options.items() for each in (f"--{name.replace('_', '-')}", value)]
        row = run("caption", tmp_path / "a.png", "--model", folders["tiny"], *asked)[0]
        assert client.post("/v1/caption", files=photo, data=options).json()["rows"] == [{**row, "path": "a.png"}]
    assert client.post("/v1/caption", files=photo).json()["rows"] == plain  # a fusion stays with who asked for it
    fused = client.post("/v1/caption", files=photo, data={"lm": "captions", "lm_weight": "3.5"}).json()["rows"]
    assert fused[0]["caption"] != plain[0]["caption"]
    assert told(client.post("/v1/caption", files=photo, data={"lm_weight": "1"})).startswith("lm_weight: is how much")
    wrong = told(client.post("/v1/caption", files=photo, data={"lm": "tiny"}))
    assert wrong == "lm: no model called 'tiny' to fuse with; there are: captions."
    assert told(client.post("/v1/caption", files=photo, data={"style": "loud"})).startswith("style: ")


def test_words_are_pointed_at_where_they_stand_behind_a_prefix(client):
    photo = [("file", ("a.png", png()))]
    for options in ({}, {"prefix": "A dog, the red cat: ", "style": "plain"}):
        row = client.post("/v1/caption", files=photo, data={**options, "pictures": "true"}).json()["rows"][0]
        caption = row["captions"][0]
        words = [caption["caption"][start:end].lower() for start, end in caption["spans"]]
        assert " ".join(words) == row["caption"].removeprefix(options.get("prefix", "")).rstrip(".").lower()


def test_what_is_drawn_with_a_seed_does_not_depend_on_who_else_asks(run, make_client, folders, tmp_path):
    import shutil

    from captioner.pipelines.serve.jobs import Worker
    from captioner.pipelines.serve.models import Models
    from captioner.pipelines.serve.options import ServeOptions

    folder = shutil.copytree(folders["tiny"], tmp_path / "drawing")
    config = json.loads((folder / "config.json").read_text())
    config["search"] |= {"method": "sample", "seed": 5, "min_length": 0, "length_penalty": 0.0, "no_repeat_ngram": 0}
    (folder / "config.json").write_text(json.dumps(config))
    (tmp_path / "a.png").write_bytes(png())
    row = run("caption", tmp_path / "a.png", "--model", folder)[0]
    client = make_client(Worker(Models([str(folder)], "cpu"), ServeOptions()))
    rows = client.post("/v1/caption", files=[("file", ("a.png", png()))] * 6).json()["rows"]
    assert rows == [{**row, "path": "a.png"}] * 6


def test_lines_are_read_with_the_words_that_there_are_as_by_the_command_line(client, run, folders, tmp_path):
    picture = np.full((20, 80, 3), 255, np.uint8)
    picture[5:15, 10:70] = np.random.default_rng(0).integers(0, 2, (10, 60, 1), np.uint8) * 255
    cv2.imwrite(str(tmp_path / "a.png"), picture)
    (tmp_path / "words.txt").write_text("ab\ncab c\n")
    line = [("file", ("a.png", (tmp_path / "a.png").read_bytes()))]
    asked = ("--beam-size", "4", "--words", tmp_path / "words.txt")
    row = run("read", tmp_path / "a.png", "--model", folders["lines"], *asked)[0]
    answer = client.post("/v1/read", files=line, data={"beam_size": "4", "words": "ab\ncab c"}).json()
    assert answer["rows"] == [{**row, "path": "a.png"}]
    assert set(row["text"].split()) <= {"ab", "cab", "c"}
    for options, sentence in (
        ({"words": "ab"}, "words and lm are for a search only; give beam_size, such as 8."),
        ({"beam_size": "4", "words": "xyz"}, "words: none of them has only the characters that lines knows."),
        ({"beam_size": "4", "lm": "tiny"}, "lm: no model called 'tiny' to read with; this server has none"),
        ({"beam_size": "4", "lm_weight": "1"}, "lm_weight: is how much a language model has to say"),
    ):
        assert told(client.post("/v1/read", files=line, data=options)).startswith(sentence)


def test_a_form_without_its_end_is_refused_whole(client):
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    body = part + png() + b"\r\n" + part + png()  # of the second file nobody knows how much there was
    headers = {"content-type": "multipart/form-data; boundary=x"}
    refused = client.post("/v1/caption", content=body, headers=headers)
    assert (refused.status_code, refused.json()["detail"]) == (
        400,
        "the multipart form is cut: it has no end; send it again.",
    )
    for epilogue in (b"", b" " * 10_000):
        whole = client.post("/v1/caption", content=body + b"\r\n--x--\r\n" + epilogue, headers=headers)
        assert (whole.status_code, len(whole.json()["rows"])) == (200, 2)


def test_more_files_than_can_ever_wait_are_too_many_and_not_told_to_come_again(make_client):
    client = make_client(queue=2)
    answer = client.post("/v1/caption", files=[("file", (f"{each}.png", png())) for each in range(3)])
    assert (answer.status_code, answer.json()["detail"]) == (413, "more than 2 files; send them in several requests.")
