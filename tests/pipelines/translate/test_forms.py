"""Inputs as they are found: of other systems, hurriedly written, or translated once before."""

import csv
import errno
import gzip
import io
import json
import os

import pyarrow
import pyarrow.parquet
import pytest
from typer.testing import CliRunner

from captioner.errors import UsageError
from captioner.pipelines.cli import app


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_marks_of_any_system_give_the_same_lines(run, tmp_path, expected, end, encoding):
    (tmp_path / "a.txt").write_bytes(end.join(["A man.", "", "A dog."]).encode(encoding))
    assert run("a.txt", outputs=["b.txt"]) == 0
    man, dog = expected("A man.", "A dog.")
    assert (tmp_path / "b.txt").read_text() == f"{man}\n\n{dog}\n"


def test_gzipped_files_are_read(run, tmp_path, expected):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"A man.\n"))
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(b'{"caption": "A dog."}\n'))
    (tmp_path / "b.txt.gz").write_bytes(b"no gzip")
    assert run("a.txt.gz", "a.jsonl.gz", "b.txt.gz", outputs=["b.txt"]) == 1
    assert (tmp_path / "b.txt").read_text().splitlines() == expected("A man.", "A dog.")


def test_a_single_line_with_nothing_to_say_stays_a_line(run, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"caption": ""}\n')
    run("a.jsonl", outputs=["b.txt"])
    assert (tmp_path / "b.txt").read_text() == "\n"
    assert run("a.jsonl", outputs=["b.txt"]) == 0
    assert (tmp_path / "b.txt").read_text() == "\n"


def test_an_input_given_twice_is_translated_once(run, tmp_path):
    (tmp_path / "a.txt").write_text("A man.\n")
    run("a.txt", "./a.txt", outputs=["b.txt"])
    assert len((tmp_path / "b.txt").read_text().splitlines()) == 1


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_link_to_the_input_is_no_output(run, tmp_path, link):
    (tmp_path / "a.txt").write_text("A man.\n")
    link("a.txt", tmp_path / "b.txt")
    with pytest.raises(UsageError, match=r"b\.txt: is an input and an output"):
        run("a.txt", outputs=["b.txt"], overwrite=True)
    assert (tmp_path / "a.txt").read_text() == "A man.\n"


def test_an_output_in_the_folder_of_inputs_is_continued(run, tmp_path):
    (tmp_path / "a.txt").write_text("A man.\n")
    assert run(".", outputs=["b.jsonl"]) == 0
    assert run(".", outputs=["b.jsonl"]) == 0
    assert len(rows(tmp_path / "b.jsonl")) == 1


@pytest.mark.parametrize(
    "row",
    ['{"captions": ["A dog."]}', '{"captions": "A dog."}', '{"segments": {"caption": "A dog."}}', '{"error": null}'],
)
def test_a_row_of_another_form_is_an_error_in_its_place_in_any_output(run, tmp_path, expected, row):
    (tmp_path / "a.jsonl").write_text(f'{row}\n{{"caption": "A man."}}\n')
    assert run("a.jsonl", outputs=["b.jsonl", "b.txt"]) == 1
    assert rows(tmp_path / "b.jsonl")[0]["error"].startswith("has no caption to translate")
    assert (tmp_path / "b.txt").read_text() == f"\n{expected('A man.')[0]}\n"


def test_half_a_character_is_an_unknown_one(run, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"caption": "A \\ud83d man."}\n')
    assert run("a.jsonl", outputs=["b.jsonl"]) == 0
    assert rows(tmp_path / "b.jsonl")[0]["caption"] == "A \ud83d man."


def test_translations_of_before_are_replaced_and_it_is_said(model, tmp_path, expected, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = {"caption": "A man.", "translation": "Un homme.", "translations": [{"translation": "Un homme."}]}
    (tmp_path / "a.jsonl").write_text(json.dumps(before | {"warning": "was cut"}) + "\n")
    result = CliRunner().invoke(app, ["translate", "a.jsonl", "--model", model, "-o", "b.jsonl", "-o", "b.txt"])
    assert "1 of the rows had a translation already, which is replaced" in result.output
    translation = expected("A man.")[0]
    assert rows(tmp_path / "b.jsonl") == [{"caption": "A man.", "translation": translation, "warning": "was cut"}]
    assert (tmp_path / "b.txt").read_text() == f"{translation}\n"


def test_a_warning_of_a_translation_that_is_replaced_goes_with_it(run, tmp_path):
    before = [
        "was cut; the translation lacks 42 and 7",
        "the translation lacks 42; words rarely met in training: gnus",
        "was cut; was dark",
        "",
    ]
    lines = [json.dumps({"caption": "A man.", "translation": "x", "warning": each}) for each in before]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    for _ in range(2):
        assert run("a.jsonl", outputs=["b.jsonl"]) == 0
    assert [row.get("warning") for row in rows(tmp_path / "b.jsonl")] == ["was cut", None, "was cut; was dark", None]


def test_rows_that_failed_before_have_no_retry(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.jsonl").write_text('{}\n{"caption": "一"}\n')
    for _ in range(2):
        result = CliRunner().invoke(app, ["translate", "a.jsonl", "--model", model, "-o", "b.jsonl"])
        assert result.exit_code == 1
        if "done before" not in result.output:
            assert ", 1 of them with a warning\n" in result.output
    assert "2 were done before, 1 of which had failed\n" in result.output


def test_a_folder_gives_its_packed_texts_and_tells_what_it_does_not_give(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "closed").mkdir(parents=True)
    (tmp_path / "in" / "a.txt.gz").write_bytes(gzip.compress(b"A man.\n"))
    (tmp_path / "in" / "B.JSONL.GZ").write_bytes(gzip.compress(b'{"caption": "A dog."}\n'))
    (tmp_path / "in" / "photo.jpg").write_bytes(b"")
    scan = os.scandir

    def scandir(path):
        if os.path.basename(path) == "closed":
            raise PermissionError(errno.EACCES, "")
        return scan(path)

    monkeypatch.setattr(os, "scandir", scandir)
    result = CliRunner().invoke(app, ["translate", "in", "--model", model, "-o", "b.jsonl"])
    assert result.exit_code == 1
    assert len(rows(tmp_path / "b.jsonl")) == 2
    assert "in/closed: cannot be listed (permission denied)\n" in result.output
    assert "passed over: 1 .jpg\n" in result.output


@pytest.mark.parametrize("layout", [{}, {"indent": 2}])
def test_a_list_of_rows_such_as_coco_results_is_read_as_rows(run, tmp_path, expected, monkeypatch, layout):
    results = [{"image_id": 1, "caption": "A man."}, {"image_id": 2, "caption": "A dog."}, 3]
    (tmp_path / "a.json").write_text(json.dumps(results, **layout))
    assert run("a.json", outputs=["b.jsonl"]) == 1
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO((tmp_path / "a.json").read_bytes())))
    assert run("-", outputs=["c.jsonl"]) == 1
    for name in ("b.jsonl", "c.jsonl"):
        first, second, third = rows(tmp_path / name)
        assert [first["translation"], second["translation"]] == expected("A man.", "A dog.")
        assert (second["image_id"], third["error"]) == (2, "not a JSON object with a caption")


def test_one_row_may_stand_on_several_lines(run, tmp_path, expected):
    (tmp_path / "a.json").write_text(json.dumps({"caption": "A man."}, indent=2))
    assert run("a.json", outputs=["b.jsonl"]) == 0
    assert rows(tmp_path / "b.jsonl") == [{"caption": "A man.", "translation": expected("A man.")[0]}]


def test_a_parquet_file_is_said_to_be_one(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pyarrow.parquet.write_table(pyarrow.table({"path": ["a.jpg"], "caption": ["A dog."]}), "a.parquet")
    result = CliRunner().invoke(app, ["translate", "a.parquet", "--model", model, "-o", "b.jsonl"])
    assert result.exit_code == 1
    assert "a.parquet: is a Parquet file; captions are translated as .jsonl or .csv\n" in result.output


def test_a_row_of_a_table_is_named_by_its_line(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text('path,caption\n\na,"A\ndog."\n\nb,A dog.,c\n')
    result = CliRunner().invoke(app, ["translate", "a.csv", "--model", model, "-o", "b.jsonl"])
    assert "  a.csv:6: has 3 cells, but there are 2 columns\n" in result.output


def test_lost_numbers_and_addresses_are_told_in_rows_and_at_the_end(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("A man.\nA man 1234.\n" + "See www.example.com.\n" * 6)
    outputs = [each for name in ("b.jsonl", "b.csv", "b.txt") for each in ("-o", name)]
    result = CliRunner().invoke(app, ["translate", "a.txt", "--model", model, *outputs])
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0].endswith(", 7 of them with a warning")
    assert lines[1] == "  a.txt:2: the translation lacks 1234"
    assert lines[5:7] == ["  a.txt:6: the translation lacks www.example.com", "  and 2 more"]
    for found in (rows(tmp_path / "b.jsonl"), table(tmp_path / "b.csv")):
        assert not found[0].get("warning")
        assert found[1]["warning"] == "the translation lacks 1234"


def test_a_continued_run_fails_as_the_first_one_did(run, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"caption": "A man."}\n{"path": "b.jpg", "error": "not an image"}\n')
    (tmp_path / "c.jsonl").write_text('{"caption": "A man."}\n{"path": "b.jpg"}\n')
    (tmp_path / "c.csv").write_text("caption\nA man.\na,b\n")
    for _ in range(2):
        assert run("a.jsonl", outputs=["a.de.jsonl"]) == 0  # there is nothing of a failed photo to translate
        assert run("c.jsonl", outputs=["c.de.jsonl"]) == 1
        assert run("c.jsonl", outputs=["c.de.txt"]) == 1
        assert run("c.csv", outputs=["c.de.csv"]) == 1


def test_a_table_has_a_translation_of_every_caption(run, tmp_path, expected):
    (tmp_path / "a.csv").write_text("path,caption,caption_2\na,,A dog.\n\nb,A man.,A woman.\nc\n")
    assert run("a.csv", outputs=["b.csv"]) == 1
    dog, man, woman = expected("A dog.", "A man.", "A woman.")
    found = table(tmp_path / "b.csv")
    assert [(row["translation"], row["translation_2"]) for row in found] == [("", dog), (man, woman), ("", "")]
    assert found[2]["error"] == "has 1 cells, but there are 3 columns"


def test_a_name_that_is_no_utf8_keeps_its_bytes_in_a_table(run, tmp_path, expected):
    (tmp_path / "a.csv").write_bytes(b"path,caption\ncaf\xe9.jpg,A dog.\n")
    for _ in range(2):  # the second run goes on where the first ended
        assert run("a.csv", outputs=["b.csv"]) == 0
    (dog,) = expected("A dog.")
    assert (tmp_path / "b.csv").read_bytes().splitlines()[1:] == [b"caf\xe9.jpg,A dog.," + dog.encode() + b",,"]


def test_a_table_whose_captions_are_no_utf8_is_refused(run, tmp_path):
    (tmp_path / "a.csv").write_bytes(b"path,caption\na.jpg,A caf\xe9.\n")
    assert run("a.csv", outputs=["b.csv"]) == 1
    assert not (tmp_path / "b.csv").exists() or not (tmp_path / "b.csv").read_bytes().splitlines()[1:]


def test_several_translations_of_several_captions_are_kept_apart(run, tmp_path, expected):
    (tmp_path / "a.csv").write_text("caption,caption_2\nA dog.,A man.\n")
    run("a.csv", outputs=["b.jsonl"], num_captions=2)
    row = rows(tmp_path / "b.jsonl")[0]
    assert [row[key][0]["translation"] for key in ("translations", "translations_2")] == expected("A dog.", "A man.")


@pytest.mark.parametrize(("name", "mark"), [("a.csv", ";"), ("a.csv", "\t"), ("a.tsv", "\t")])
def test_a_table_may_be_separated_as_spreadsheets_do(run, tmp_path, expected, name, mark):
    (tmp_path / name).write_text(f'path{mark}caption\na{mark}"A dog."\n')
    run(name, outputs=["b.csv"])
    assert table(tmp_path / "b.csv")[0]["translation"] == expected("A dog.")[0]


@pytest.mark.parametrize("column", ["translation", "warning", "error"])
def test_a_table_that_has_the_columns_already_keeps_one_of_each_and_is_continued(run, tmp_path, column):
    (tmp_path / "a.csv").write_text(f"caption,{column}\n{'dogs run ' * 300},before\n")
    for _ in range(2):
        assert run("a.csv", outputs=["b.csv"]) == 0
    row = table(tmp_path / "b.csv")[0]
    assert sorted(row) == ["caption", "error", "translation", "warning"]
    assert "cut there" in row["warning"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("caption,caption\nA dog.,A man.\n", "two columns named 'caption'"),
        ('path,caption\na,"A dog.\nb,A man.\n', "line 3: unexpected end of data"),
    ],
)
def test_a_table_that_would_lose_cells_is_refused(model, tmp_path, monkeypatch, text, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text(text)
    result = CliRunner().invoke(app, ["translate", "a.csv", "--model", model, "-o", "b.csv"])
    assert result.exit_code == 1
    assert message in result.output
    (tmp_path / "a.csv").write_text("caption\nA dog.\n")
    assert CliRunner().invoke(app, ["translate", "a.csv", "--model", model, "-o", "b.csv"]).exit_code == 0


def test_a_column_of_long_cells_is_kept_and_the_table_continued(run, tmp_path):
    (tmp_path / "a.csv").write_text(f"data,caption\n{'A' * 200_000},dogs run\n")
    for _ in range(2):
        assert run("a.csv", outputs=["b.csv"]) == 0
    row = table(tmp_path / "b.csv")[0]
    assert (len(row["data"]), row["caption"]) == (200_000, "dogs run")
    assert row["translation"]


MAN, DOG = "A man rides a bicycle.", "Two dogs run."
FIRST, SECOND = "1\n00:00:01,000 --> 00:00:02,000", "2\n00:00:02,000 --> 100:00:03,000"


@pytest.mark.parametrize(
    "text",
    [
        f"{FIRST}\n{MAN}\n{SECOND}\n{DOG}\n",
        f"{FIRST}\n{MAN}\n \t\n{SECOND}\n{DOG}",
        f"{FIRST}\nA man rides\n\na bicycle.\n\n\n\n{SECOND}\n{DOG}\n\n",
        f"{FIRST}\n{MAN}\n\n{SECOND}\n{DOG}\n".replace("\n", "\r"),
        f"\n{FIRST}\n{MAN}\n\n{SECOND}\n{DOG}\n".replace("1\n", "1\n\n").replace("2\n", "2\n\n", 1),
    ],
)
def test_cues_are_found_as_players_find_them(run, tmp_path, expected, text):
    (tmp_path / "a.srt").write_bytes(text.encode())
    assert run("a.srt", outputs=["b.srt"]) == 0
    man, dog = expected(MAN, DOG)
    assert (tmp_path / "b.srt").read_text() == f"{FIRST}\n{man}\n\n{SECOND}\n{dog}\n"


@pytest.mark.parametrize(
    ("text", "around"),
    [
        (f"<i>{MAN}</i>", "<i>{}</i>"),
        ("<i>A man rides</i>\n<i>a bicycle.</i>", "<i>{}</i>"),
        (f"{{\\an8}}<v Fred>{MAN}", "{{\\an8}}<v Fred>{}"),
        (f"♪ {MAN} ♪", "♪ {} ♪"),
        ("{\\an8}A <b>man</b> rides a <i>bicycle</i>.", "{{\\an8}}{}"),
        ("A man rides\n<00:01.500>a bicycle.", "{}"),
    ],
)
def test_markup_is_not_translated_and_stays_around_a_cue(run, tmp_path, expected, text, around):
    (tmp_path / "a.srt").write_text(f"{FIRST}\n{text}\n")
    assert run("a.srt", outputs=["b.srt"]) == 0
    assert (tmp_path / "b.srt").read_text() == f"{FIRST}\n{around.format(*expected(MAN))}\n"


def test_webvtt_writes_its_own_characters_as_it_must(run, tmp_path, expected):
    (tmp_path / "a.vtt").write_text("WEBVTT\n\n00:01.000 --> 00:02.000\nA man &amp; a dog &lt; run.\n")
    run("a.vtt", outputs=["b.vtt", "b.jsonl", "b.csv"])
    assert rows(tmp_path / "b.jsonl")[1]["caption"] == "A man & a dog < run."
    found = table(tmp_path / "b.csv")
    assert (found[0]["block"], found[1]["caption"]) == ("WEBVTT", "A man & a dog < run.")
    written = expected("A man & a dog < run.")[0]
    assert written.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;") in (tmp_path / "b.vtt").read_text()


@pytest.mark.parametrize(
    "line", ["[by: John] A photo", "[00:12.5] A dog", '{ "a dog" } runs', "5:30 --> 6:30 run", "WEBVTT is a format."]
)
def test_a_sentence_that_begins_as_another_form_does_stays_one(run, tmp_path, line):
    (tmp_path / "a.txt").write_text(f"{line}\nA man.\n")
    assert run("a.txt", outputs=["b.jsonl"]) == 0
    assert [row["text"] for row in rows(tmp_path / "b.jsonl")] == [line, "A man."]


def test_subtitles_that_cannot_be_read_say_why(run, tmp_path):
    (tmp_path / "a.srt").write_text("no times here\n")
    with pytest.raises(UsageError, match=r"a\.srt: has no subtitles, which are a line of times"):
        run("a.srt", outputs=["b.srt"])


@pytest.mark.parametrize(
    "text",
    [
        "[Script Info]\nTitle: x\n",
        "0:00:01.000,0:00:02.000\nA man.\n",
        "{1}{25}A man.\n",
        "[00:12.00]A man.\n",
        "[ti: A song]\n[00:12.0] A man.\n[00:14.0] A dog.\n",
        "[00:00.000 --> 00:05.000]  A man.\n",
        "<!DOCTYPE html>\n<p>A man.</p>\n",
        "{\\rtf1 A man.}\n",
        "PK\x03\x04A man.\n",
    ],
)
@pytest.mark.parametrize("name", ["a.txt", "a.other"])
def test_lines_of_other_forms_are_not_taken_for_sentences(model, tmp_path, monkeypatch, text, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_text(text)
    result = CliRunner().invoke(app, ["translate", name, "--model", model, "-o", "b.txt"])
    assert result.exit_code == 1
    assert f"  {name}: holds " in result.output


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('{"caption": "A man."}\n', "a.txt"),
        ("1\n00:00:01,000 --> 00:00:02,000\nA man.\n", "a.sub"),
        ("WEBVTT\n\n00:01.000 --> 00:02.000\nA man.\n", "a"),
        ("path,caption\na.jpg,A man.\n", "a.txt"),
        ("path\tcaption\na.jpg\tA man.\n", "-"),
    ],
)
def test_what_begins_as_rows_or_subtitles_is_read_as_such(run, tmp_path, expected, monkeypatch, text, name):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    (tmp_path / "a").write_text("")
    if name != "-":
        (tmp_path / name).write_text(text)
    assert run(name, outputs=["b.jsonl"]) == 0
    row = rows(tmp_path / "b.jsonl")[-1]
    assert (row["caption"], row["translation"]) == ("A man.", expected("A man.")[0])


@pytest.mark.parametrize("text", ["caption\nA man.\n", "{A man.\n", "[laughs] A man.\n", "5:30 is late.\n"])
def test_what_only_looks_like_another_form_is_text(run, tmp_path, text):
    (tmp_path / "a.txt").write_text(text)
    assert run("a.txt", outputs=["b.jsonl"]) == 0
    assert [row["text"] for row in rows(tmp_path / "b.jsonl")] == text.splitlines()


def test_captions_of_a_row_that_text_does_not_hold_are_told(model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("caption,caption_2\nA dog.,A man.\n")
    result = CliRunner().invoke(app, ["translate", "a.csv", "--model", model, "-o", "b.txt"])
    assert "b.txt: 1 of its rows have several captions, of which it holds the first; .jsonl has all\n" in result.output
