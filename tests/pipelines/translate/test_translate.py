import csv
import io
import json
import re
import sys

import pytest
from typer.testing import CliRunner

from captioner.errors import UsageError
from captioner.pipelines.cli import app
from captioner.pipelines.translate.command import translate
from captioner.pipelines.translate.options import TranslateOptions

TEXT = "A man rides a bicycle.\n\nTwo dogs run over the grass.\nA woman reads.\n"
CUES = """WEBVTT

NOTE made by hand

1
00:00:01.000 --> 00:00:02.500 align:start
A man rides
a bicycle.

00:00:02.500 --> 00:00:04.000
A woman reads.
"""


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_text_is_translated_line_by_line_with_empty_lines_in_place(run, tmp_path, expected):
    (tmp_path / "a.txt").write_text(TEXT)
    assert run("a.txt", outputs=["b.txt"]) == 0
    translated = (tmp_path / "b.txt").read_text().split("\n")
    assert translated == [*expected(*TEXT.split("\n")[:-1]), ""]
    assert translated[1] == ""


def test_lines_of_any_length_keep_their_order(run, tmp_path, expected):
    lines = [("A man rides a bicycle. " * (1 + place % 4)).strip() + f" {place % 7}" for place in range(200)]
    (tmp_path / "a.txt").write_text("\n".join(lines))
    run("a.txt", outputs=["b.jsonl"])
    found = rows(tmp_path / "b.jsonl")
    assert [row["text"] for row in found] == lines
    assert [row["translation"] for row in found][:8] == expected(*lines[:8])


def test_rows_of_captions_keep_everything_and_get_a_translation_beside_each_caption(run, tmp_path, expected):
    given = [
        {"path": "a.jpg", "caption": "A man rides a bicycle.", "score": -0.5},
        {"path": "b.jpg", "captions": [{"caption": "A woman reads.", "score": -1}, {"caption": "A dog.", "score": -2}]},
        {"path": "c.mp4", "caption": "A dog.", "segments": [{"start": 0, "end": 2, "caption": "A dog."}]},
        {"path": "d.jpg", "error": "not an image"},
    ]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    assert run("a.jsonl", outputs=["b.jsonl"]) == 0
    found = rows(tmp_path / "b.jsonl")
    man, woman, dog = expected("A man rides a bicycle.", "A woman reads.", "A dog.")
    assert found[0] == {**given[0], "translation": man}
    assert [each["translation"] for each in found[1]["captions"]] == [woman, dog]
    assert found[2]["segments"][0]["translation"] == found[2]["translation"] == dog
    assert found[3] == given[3]


def test_a_table_keeps_its_columns(run, tmp_path, expected):
    given = 'path,caption,score,warning,error\n"a,b.jpg",A woman reads.,-0.5,,\nc.jpg,,,,broken\n'
    (tmp_path / "a.csv").write_text(given)
    assert run("a.csv", outputs=["b.csv"]) == 0
    found = list(csv.DictReader(io.StringIO((tmp_path / "b.csv").read_text())))
    assert found[0] == {
        "path": "a,b.jpg",
        "caption": "A woman reads.",
        "score": "-0.5",
        "translation": expected("A woman reads.")[0],
        "warning": "",
        "error": "",
    }
    assert (found[1]["translation"], found[1]["error"]) == ("", "broken")


@pytest.mark.parametrize("suffix", ["srt", "vtt"])
def test_subtitles_keep_times_and_all_that_is_no_text(run, tmp_path, expected, suffix):
    cues = CUES if suffix == "vtt" else CUES.partition("by hand\n\n")[2].replace(".0", ",0").replace(".5", ",5")
    (tmp_path / f"a.{suffix}").write_text(cues)
    assert run(f"a.{suffix}", outputs=[f"b.{suffix}"]) == 0
    man, woman = expected("A man rides a bicycle.", "A woman reads.")
    wanted = cues.replace("A man rides\na bicycle.", man).replace("A woman reads.", woman)
    assert (tmp_path / f"b.{suffix}").read_text() == wanted


def test_a_page_draws_the_alignment_and_closes_no_element(run, tmp_path):
    (tmp_path / "a.txt").write_text("A man </script> reads.\n")
    run("a.txt", outputs=["b.html"])
    page = (tmp_path / "b.html").read_text()
    data = json.loads(re.search(r'id="rows">(.*?)</script>', page, re.S)[1])
    assert data[0]["pairs"][0]["source"] == ["A", "man", "</script>", "reads."]
    assert data[0]["pairs"][0]["weights"]


def test_several_translations_stand_beside_the_caption_with_their_scores(run, tmp_path):
    (tmp_path / "a.txt").write_text("A man.\n")
    run("a.txt", outputs=["b.jsonl"], num_captions=3)
    several = rows(tmp_path / "b.jsonl")[0]["translations"]
    assert len(several) == 3
    assert [each["score"] for each in several] == sorted((each["score"] for each in several), reverse=True)


@pytest.mark.parametrize("name", ["b.txt", "b.jsonl", "b.csv", "b.html"])
def test_an_interrupted_run_continues_where_it_stopped(run, tmp_path, name):
    (tmp_path / "a.txt").write_text("A man reads.\n" * 70 + TEXT)
    run("a.txt", outputs=[name])
    whole = (tmp_path / name).read_bytes()
    lines = (tmp_path / "a.txt").read_text().splitlines()
    cut = next(place for place in range(len(whole) * 3 // 4, 0, -1) if whole[place : place + 1] == b"\n")
    if name != "b.html":
        (tmp_path / name).write_bytes(whole[: cut + 1])
    assert run("a.txt", outputs=[name]) == 0
    assert (tmp_path / name).read_bytes() == whole
    assert len(lines) == 74


@pytest.mark.parametrize("name", ["b.jsonl", "b.csv"])
def test_an_output_of_another_input_is_not_continued(run, tmp_path, name):
    (tmp_path / "a.txt").write_text(TEXT)
    (tmp_path / "c.txt").write_text("A dog.\n")
    run("c.txt", outputs=[name])
    with pytest.raises(UsageError, match="cannot be continued"):
        run("a.txt", outputs=[name])
    assert run("a.txt", outputs=[name], overwrite=True) == 0


def test_longer_texts_than_the_input_are_not_continued(run, tmp_path):
    (tmp_path / "a.txt").write_text("A dog.\n")
    (tmp_path / "b.txt").write_text(TEXT)
    with pytest.raises(UsageError, match="has 4 lines, but there are 1 to translate"):
        run("a.txt", outputs=["b.txt"])


def test_rows_without_a_caption_say_so_in_place_and_the_others_are_translated(run, tmp_path, expected):
    lines = ['{"path": "a.jpg"}', '{"caption": "A woman reads."}', "not JSON", "[1]", "[" * 100_000]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    assert run("a.jsonl", outputs=["b.jsonl"]) == 1
    first, second, third, fourth, fifth = rows(tmp_path / "b.jsonl")
    assert first["path"] == "a.jpg"
    assert first["error"].startswith("has no caption to translate")
    assert second["translation"] == expected("A woman reads.")[0]
    assert third["line"] == "not JSON"
    assert third["error"].startswith("not JSON (")
    assert fourth["error"] == "not a JSON object with a caption"
    assert fifth["error"].startswith("not JSON (")


def test_inputs_that_cannot_be_read_are_told_and_the_others_are_done(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_bytes(b"")
    (tmp_path / "latin.txt").write_bytes("Mädchen\n".encode("latin-1"))
    (tmp_path / "zero.srt").write_text("no times here\n")
    (tmp_path / "names.csv").write_text("path,score\na.jpg,1\n")
    (tmp_path / "good.txt").write_text("A man.\n")
    names = ["empty.txt", "latin.txt", "zero.srt", "names.csv", "good.txt"]
    result = CliRunner().invoke(app, ["translate", *names, "--model", model, "-o", "b.txt"])
    assert result.exit_code == 1
    for said in [
        "empty.txt: is empty",
        "latin.txt: not UTF-8 text (byte 0xe4 at position 1)",
        "zero.srt: has no subtitles",
        "names.csv: has no column named caption, but path, score",
    ]:
        assert said in result.output
    assert len((tmp_path / "b.txt").read_text().splitlines()) == 1


def test_a_line_of_ten_thousand_words_is_translated_with_a_warning(run, tmp_path):
    (tmp_path / "a.txt").write_text("A dog.\n" + "dogs run " * 5000 + "\nA man.\n")
    run("a.txt", outputs=["b.jsonl"])
    found = rows(tmp_path / "b.jsonl")
    assert "cut there" in found[1]["warning"]
    assert "warning" not in found[2]


def test_standard_input_is_text_or_rows_and_the_output_of_the_same_form(run, expected, monkeypatch, capfdbinary):
    def give(text):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert run("-") == 0
        return capfdbinary.readouterr().out.decode()

    for cues in (CUES, CUES.partition("by hand\n\n")[2]):
        man, woman = expected("A man rides a bicycle.", "A woman reads.")
        wanted = cues.replace("A man rides\na bicycle.", man).replace("A woman reads.", woman)
        assert give(cues) == f"{wanted}\n"
    assert give("A man.\nA woman.\n") == "".join(f"{each}\n" for each in expected("A man.", "A woman."))
    assert json.loads(give('{"path": "a.jpg", "caption": "A man."}\n')) == {
        "path": "a.jpg",
        "caption": "A man.",
        "translation": expected("A man.")[0],
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"outputs": ["b.pdf"]}, r"b\.pdf: an output ends in one of"),
        ({"outputs": ["b.txt", "./b.txt"]}, "two outputs are the same file"),
        ({"outputs": ["a.txt"]}, "is an input and an output"),
        ({"outputs": ["b.srt"]}, r"subtitles are the translation of one \.srt file"),
        ({"outputs": ["b.csv"], "num_captions": 2}, r"use \.jsonl"),
        ({"to": "de"}, "and not both"),
    ],
)
def test_what_cannot_work_is_said_before_any_work(run, tmp_path, options, message):
    (tmp_path / "a.txt").write_text(TEXT)
    with pytest.raises(UsageError, match=message):
        run("a.txt", **options)


def test_a_language_without_a_model_names_those_there_are(tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    with pytest.raises(UsageError, match="no model in the package that translates into 'tlh', but into: "):
        translate(TranslateOptions(inputs=[str(tmp_path / "a.txt")], to="tlh"))


@pytest.mark.parametrize("name", ["b.txt", "b.jsonl", "b.csv", "b.html"])
def test_translations_of_another_model_or_other_options_are_not_mixed(run, make_translator, tmp_path, name):
    (tmp_path / "a.txt").write_text(TEXT)
    run("a.txt", outputs=[name])
    before = (tmp_path / name).read_bytes()
    with pytest.raises(UsageError, match=r"made with beam_size \d+, and now it is beam_size 7"):
        run("a.txt", outputs=[name], beam_size=7)
    assert (tmp_path / name).read_bytes() == before
    assert run("a.txt", outputs=[name], beam_size=7, overwrite=True) == 0
    assert run("a.txt", outputs=[name], beam_size=7) == 0


def test_subtitles_of_another_model_are_refused(run, tmp_path):
    (tmp_path / "a.vtt").write_text(CUES)
    run("a.vtt", outputs=["b.vtt"])
    with pytest.raises(UsageError, match="they are not mixed"):
        run("a.vtt", outputs=["b.vtt"], beam_size=7)
    (tmp_path / "a.vtt").write_text(CUES.replace("woman", "man"))
    with pytest.raises(UsageError, match=r"row 4 was made of another text than a\.vtt:4 is now"):
        run("a.vtt", outputs=["b.vtt"])


def test_a_text_that_has_changed_where_it_was_translated_is_refused_and_one_that_has_grown_is_continued(run, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    run("a.txt", outputs=["b.txt"])
    (tmp_path / "a.txt").write_text(TEXT + "A dog.\n")
    assert run("a.txt", outputs=["b.txt"]) == 0
    assert len((tmp_path / "b.txt").read_text().splitlines()) == 5
    (tmp_path / "a.txt").write_text(TEXT.replace("bicycle", "horse") + "A dog.\n")
    with pytest.raises(UsageError, match=r"b\.txt: row 1 was made of another text than a\.txt:1 is now"):
        run("a.txt", outputs=["b.txt"])


def test_a_page_gets_anew_what_has_changed(run, tmp_path):
    (tmp_path / "a.txt").write_text(TEXT)
    run("a.txt", outputs=["b.html"])
    (tmp_path / "a.txt").write_text(TEXT.replace("woman", "man"))
    run("a.txt", outputs=["b.html"])
    data = json.loads(re.search(r'id="rows">(.*?)</script>', (tmp_path / "b.html").read_text(), re.S)[1])
    assert sorted(row["path"] for row in data) == [f"a.txt:{place}" for place in range(1, 5)]
    assert [row["pairs"][0]["source"] for row in data if row["path"] == "a.txt:4"] == [["A", "man", "reads."]]


def test_rows_of_which_nothing_tells_what_made_them_are_kept_and_it_is_said(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("A man.\nA dog.\n")
    (tmp_path / "b.jsonl").write_text('{"text": "A man.", "translation": "Ein Mann."}\n')
    result = CliRunner().invoke(app, ["translate", "a.txt", "--model", model, "-o", "b.jsonl"])
    assert result.exit_code == 0
    assert "b.jsonl: nothing tells what made 1 of its rows; they are kept as done" in result.output
    assert rows(tmp_path / "b.jsonl")[0]["translation"] == "Ein Mann."


@pytest.mark.parametrize(("source", "name"), [("a.txt", "b.txt"), ("a.srt", "b.srt")])
def test_lines_that_may_be_anybodys_are_not_taken_for_translations(run, tmp_path, source, name):
    (tmp_path / "a.txt").write_text("A man.\nA dog.\n")
    (tmp_path / "a.srt").write_text(CUES.partition("by hand\n\n")[2])
    (tmp_path / name).write_text("My notes.\n")
    with pytest.raises(UsageError, match=f"{name}: nothing tells that it holds translations of {source}:1"):
        run(source, outputs=[name])
    assert (tmp_path / name).read_text() == "My notes.\n"
