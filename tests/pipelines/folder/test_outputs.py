"""JSON Lines and CSV hold one row an input, are continued where they ended, and refuse what is not theirs."""

import csv
import json
import os

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import identity
from captioner.pipelines.folder.outputs import CsvRows, JsonRows, Outputs, Record, to_json, writers_of

COLUMNS = ["path", "caption", "score", "caption_2", "score_2"]
RECORDS = [
    Record("a.jpg", {"caption": 'One, "two"\nthree.', "score": -0.5}),
    Record("b\n.jpg", error="not an image"),
    Record("größe.jpg", {"captions": [{"caption": "A.", "score": -1}, {"caption": "B.", "score": -2}]}, warning="cut"),
    Record(os.fsdecode(b"caf\xe9.jpg"), {"caption": "Bytes.", "score": -1.25}),
]


def open_jsonl(path, overwrite=False):
    return JsonRows(str(path), overwrite=overwrite)


def open_csv(path, overwrite=False):
    return CsvRows(str(path), COLUMNS, overwrite=overwrite)


def rows_of(path):
    if path.suffix == ".jsonl":
        return [json.loads(line) for line in path.read_text().splitlines()]
    with open(path, newline="", encoding="utf-8", errors="surrogateescape") as file:
        return list(csv.DictReader(file))


both = pytest.mark.parametrize(("opened", "name"), [(open_jsonl, "rows.jsonl"), (open_csv, "rows.csv")])


@both
def test_rows_come_back_as_they_were_written(tmp_path, opened, name):
    writer = opened(tmp_path / name)
    writer.write(RECORDS[:1])
    writer.write(RECORDS[1:])
    writer.close()
    rows = rows_of(tmp_path / name)
    assert [row["path"] for row in rows] == [record.path for record in RECORDS]
    assert rows[0]["caption"] == 'One, "two"\nthree.'
    assert rows[1]["error"] == "not an image"
    assert rows[2]["warning"] == "cut"


def test_json_lines_say_only_what_there_is(tmp_path):
    assert json.loads(to_json(RECORDS[0].as_json())) == {
        "path": "a.jpg",
        "caption": 'One, "two"\nthree.',
        "score": -0.5,
    }
    assert json.loads(to_json(RECORDS[1].as_json())) == {"path": "b\n.jpg", "error": "not an image"}
    assert to_json({"path": "größe"}) == '{"path": "größe"}'.encode()


def test_csv_numbers_the_columns_of_further_captions(tmp_path):
    writer = open_csv(tmp_path / "rows.csv")
    writer.write(RECORDS)
    writer.close()
    row = rows_of(tmp_path / "rows.csv")[2]
    assert (row["caption"], row["score"], row["caption_2"], row["score_2"], row["error"]) == (
        "A.",
        "-1",
        "B.",
        "-2",
        "",
    )


@both
def test_a_name_that_is_no_utf_8_is_recognised_again(tmp_path, opened, name):
    writer = opened(tmp_path / name)
    writer.write(RECORDS)
    writer.close()
    again = opened(tmp_path / name)
    assert again.done == {identity(record.path): record.error is not None for record in RECORDS}
    again.close()


@both
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(cut=st.floats(0, 1), first=st.integers(0, 4))
def test_cut_at_any_byte_and_continued_every_row_is_there_once(tmp_path, opened, name, cut, first):
    path = tmp_path / name
    path.unlink(missing_ok=True)
    writer = opened(path)
    writer.write(RECORDS[:first])
    writer.close()
    os.truncate(path, int(cut * path.stat().st_size))
    writer = opened(path)
    Outputs([writer]).write(RECORDS)
    writer.close()
    assert [row["path"] for row in rows_of(path)] == [record.path for record in RECORDS]


@both
def test_overwriting_starts_afresh(tmp_path, opened, name):
    for _ in range(2):
        writer = opened(tmp_path / name, overwrite=True)
        writer.write(RECORDS[:2])
        writer.close()
    assert len(rows_of(tmp_path / name)) == 2


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.jsonl", b"Dear diary\n", "line 1 is not a row"),
        ("x.jsonl", b'{"path": "a"}\nnonsense\n{"path": "b"}\n', "line 2 is not a row"),
        ("x.jsonl", b'{"name": "a"}\n', "line 1 is not a row"),
        ("x.jsonl", b'{"path": "a"}\nnonsense\n', "line 2 is not a row"),
        ("x.csv", b"name,size\nx,1\n", "its columns are not path, caption"),
        ("x.csv", b"Dear diary", "its columns are not path, caption"),
    ],
)
def test_a_file_that_is_not_ours_is_refused_and_kept(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UsageError, match=message):
        (open_csv if name.endswith("csv") else open_jsonl)(tmp_path / name)
    assert (tmp_path / name).read_bytes() == content


def test_several_outputs_get_each_what_they_lack(tmp_path):
    first = open_jsonl(tmp_path / "rows.jsonl")
    first.write(RECORDS[:2])
    outputs = Outputs([first, open_csv(tmp_path / "rows.csv")])
    assert outputs.done("a.jpg") is None
    outputs.write(RECORDS)
    assert outputs.done("a.jpg") is False
    assert outputs.done("b\n.jpg") is True
    outputs.close()
    for name in ("rows.jsonl", "rows.csv"):
        assert [row["path"] for row in rows_of(tmp_path / name)][:2] == ["a.jpg", "b\n.jpg"]
        assert len(rows_of(tmp_path / name)) == 4


def test_an_unknown_suffix_names_the_known_ones():
    with pytest.raises(UsageError, match=r"^out\.xls: an output ends in one of \.jsonl \.csv\.$"):
        writers_of(["out.xls"], lambda path: {".jsonl": list, ".csv": list})


def test_two_names_of_one_file_are_refused_also_through_links(tmp_path):
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.csv").symlink_to("a.csv")
    os.link(tmp_path / "a.csv", tmp_path / "c.csv")
    for other in ("b.csv", "c.csv", "./a.csv"):
        with pytest.raises(UsageError, match="two outputs are the same file; name each once"):
            writers_of([str(tmp_path / "a.csv"), f"{tmp_path}/{other}"], lambda path: {".csv": list})
    assert writers_of(["new.csv", "other.csv"], lambda path: {".csv": list}) == [[], []]
    assert writers_of(None, lambda path: {}) == []
