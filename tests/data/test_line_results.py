import pytest

from captioner.data.line_results import match_lines, read_line_results
from captioner.data.lines import LineSet
from captioner.errors import DataError


@pytest.fixture
def truth(tmp_path):
    (tmp_path / "truth.tsv").write_text("a.png\teins\nb.png\tzwei\n")
    return LineSet.read_texts(tmp_path / "truth.tsv")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.jsonl", '{"path": "a.png", "text": "ein"}\n{"path": "b.png", "error": "gone"}\n'),
        ("r.json", '[{"path": "a.png", "text": "ein"}, {"path": "b.png", "error": "gone"}]'),
        ("r.csv", "path,text,score,warning,error\na.png,ein,0.5,,\nb.png,,,,gone\n"),
    ],
)
def test_rows_of_every_form_are_matched_and_failures_count_as_empty(truth, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    lines = match_lines(truth, read_line_results(tmp_path / name), name)
    assert lines.truths == ("eins", "zwei")
    assert lines.texts == ("ein", "")
    assert lines.failed == 1


def test_a_table_of_paths_and_texts_is_a_result_too(truth, tmp_path):
    (tmp_path / "r.tsv").write_text("a.png\tx\nb.png\ty\n")
    assert match_lines(truth, read_line_results(tmp_path / "r.tsv"), "r").texts == ("x", "y")


def test_pictures_that_were_moved_are_matched_by_name(truth):
    found = match_lines(truth, {"/other/b.png": "y", "/other/a.png": "x"}, "r")
    assert found.texts == ("x", "y")


def test_lines_without_a_result_are_said_or_counted(truth):
    with pytest.raises(DataError, match="no text for 1 of the 2 lines"):
        match_lines(truth, {"a.png": "x"}, "r")
    assert match_lines(truth, {"a.png": "x"}, "r", allow_missing=True).missing == 1


@pytest.mark.parametrize("content", ["{", '{"path": "a.png"}', "[]", "3", "[" * 100_000])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    (tmp_path / "r.jsonl").write_text(content)
    with pytest.raises(DataError, match=r"r\.jsonl: not what captioner read writes"):
        read_line_results(tmp_path / "r.jsonl")


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("r.jsonl", '{"path": "a.png", "text": "x"}\n{"path": 5, "text": "x"}\n'),
        ("r.jsonl", '{"path": "a.png", "text": "x"}\n{"path": "b.png", "text": 5}\n'),
        ("r.jsonl", '{"path": "a.png", "text": "x"}\n{"path": "b.png", "text": null}\n'),
    ],
)
def test_a_row_whose_path_or_text_is_no_text_is_named(tmp_path, name, rows):
    (tmp_path / name).write_text(rows)
    with pytest.raises(DataError, match=r"row 2 has "):
        read_line_results(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("r.csv", "path,text\na.png,one, two\nb.png,\n"),  # nobody quoted the comma
        ("r.csv", 'a.png,"one, two"\nb.png,\n'),
        ("r.csv", "filename,words\na.png,one, two\nb.png,\n"),
        ("r.tsv", "path\ttext\na.png\tone, two\nb.png\t\n"),
        ("r.txt", "a.png\tone, two\nb.png\t\n"),
    ],
)
def test_commas_stay_in_texts_of_tables_and_a_text_may_be_empty(truth, tmp_path, name, content):
    (tmp_path / name).write_text(content)
    lines = match_lines(truth, read_line_results(tmp_path / name), name)
    assert lines.texts == ("one, two", "")
    assert (lines.failed, lines.missing) == (0, 0)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("r.csv", "path,text\na.png,x\nb.png\n", "line 3 has no text"),
        ("r.tsv", "a.png\tx\nb.png\n", "line 2 has no text"),
        ("r.tsv", "a.png\tx\n\ty\n", "line 2 has no path"),
        ("r.csv", "path,text,score\na.png,one, two,0.9\n", "line 2 has more cells than the first line names"),
        ("r.tsv", "a.png\tx\na.png\ty\n", "twice, with different texts"),
        ("r.csv", "file,text,score\na.png,x,0.9\n", "the first line names its columns file, text, score; call that of"),
    ],
)
def test_a_table_of_which_a_row_would_be_lost_or_cut_is_refused(tmp_path, name, content, sentence):
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=sentence):
        read_line_results(tmp_path / name)
