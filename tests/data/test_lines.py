import re

import numpy as np
import pytest
from PIL import Image

from captioner.data.lines import LineSet
from captioner.errors import DataError
from captioner.text.alphabet import Alphabet
from captioner.vision.line_pictures import LineTransform


def picture(path, size=(60, 20)):
    pixels = np.full((size[1], size[0]), 255, np.uint8)
    pixels[4:-4, 5:-5:3] = 0
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    for name in ("a_1.png", "a_2.png", "b_1.png"):
        picture(tmp_path / name)
    return tmp_path


def table(folder, text, name="lines.tsv"):
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def texts(lines):
    return {line.path.name: line.text for line in lines.lines}


def test_a_table_of_paths_and_texts_is_read(folder):
    lines = LineSet.read(table(folder, "a_1.png\tu\u0308ber\nb_1.png\tzwei  Worte \n"))
    assert texts(lines) == {"a_1.png": "über", "b_1.png": "zwei Worte"}
    assert lines.problems == ()


def test_named_columns_may_stand_anywhere_and_commas_be_quoted(folder):
    lines = LineSet.read(table(folder, 'text,other,path\n"eins, zwei",x,a_1.png\n', "lines.csv"))
    assert texts(lines) == {"a_1.png": "eins, zwei"}


def test_quotes_mean_nothing_between_tabs(folder):
    assert texts(LineSet.read(table(folder, 'a_1.png\t"so\n'))) == {"a_1.png": '"so'}


def test_tabs_in_a_text_are_spaces_and_reported(folder):
    lines = LineSet.read(table(folder, "a_1.png\teins\tzwei\n"))
    assert texts(lines) == {"a_1.png": "eins zwei"}
    assert "line 1: the text has a tab" in lines.problems[0]


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("none.png\tx", r"there is no picture .*none\.png"),
        ("a_1.png\t ", "line 2 has no text"),
        ("\tx", "line 2 has no path"),
        ("b_1.png\ty", r"lines 1 and 2 both name b_1\.png"),
    ],
)
def test_a_row_that_cannot_be_used_is_left_out_and_said(folder, row, problem):
    lines = LineSet.read(table(folder, f"b_1.png\tx\n{row}\n"))
    assert texts(lines) == {"b_1.png": "x"}
    (said,) = lines.problems
    assert re.search(problem, said)


def test_texts_may_stand_beside_the_pictures(folder):
    (folder / "a_1.gt.txt").write_text("eins\n")
    (folder / "a_2.txt").write_text("zwei\n")
    lines = LineSet.read(folder)
    assert texts(lines) == {"a_1.png": "eins", "a_2.png": "zwei"}
    assert "b_1.gt.txt" in lines.problems[0]


def test_a_place_without_lines_is_refused(folder):
    with pytest.raises(DataError, match="holds no line"):
        LineSet.read(folder)
    with pytest.raises(DataError, match="cannot be read"):
        LineSet.read(folder / "none.tsv")


def test_pictures_that_cannot_be_read_or_show_nothing_are_left_out(folder):
    (folder / "a_2.png").write_bytes(b"no picture")
    Image.new("L", (40, 20), 255).save(folder / "b_1.png")
    lines = LineSet.read(table(folder, "a_1.png\tx\na_2.png\ty\nb_1.png\tz\n")).readable(LineTransform())
    assert [line.size for line in lines.lines] == [(20, 60)]
    assert "not an image; the line is left out" in lines.problems[0]
    assert "empty" in lines.problems[1]


@pytest.mark.parametrize(("remove", "kept"), [(False, {"b_1.png": "b"}), (True, {"a_1.png": "a", "b_1.png": "b"})])
def test_characters_outside_the_alphabet_are_counted_and_lines_left_out_or_changed(folder, remove, kept):
    lines = LineSet.read(table(folder, "a_1.png\ta☃☃\nb_1.png\tb\n")).within(Alphabet("ab"), remove=remove)
    assert texts(lines) == kept
    assert "'☃' 2" in lines.problems[-1]


def test_held_out_lines_share_no_group_with_the_others(folder):
    lines = LineSet.read(table(folder, "a_1.png\tx\na_2.png\ty\nb_1.png\tz\n"))
    learnt, held_out = lines.hold_out(0.3, "_")
    groups = [{line.path.name.partition("_")[0] for line in part.lines} for part in (learnt, held_out)]
    assert not groups[0] & groups[1]
    assert all(groups)


def test_lines_of_one_group_cannot_be_parted(folder):
    lines = LineSet.read(table(folder, "a_1.png\tx\na_2.png\ty\n"))
    with pytest.raises(DataError, match=r"data\.val"):
        lines.hold_out(0.5, "_")


def test_the_rest_of_a_row_is_text_where_the_columns_are_named_too(folder):
    lines = LineSet.read(table(folder, "path\ttext\na_1.png\teins\tzwei\n"))
    assert texts(lines) == {"a_1.png": "eins zwei"}
    assert "line 2: the text has a tab" in lines.problems[0]


def test_a_text_that_a_comma_cuts_in_two_is_left_out_and_said_where_another_column_follows(folder):
    rows = 'path,text,split\na_1.png,eins, zwei,train\nb_1.png,"drei, vier",train\n'
    lines = LineSet.read(table(folder, rows, "lines.csv"))
    assert texts(lines) == {"b_1.png": "drei, vier"}
    assert "line 2 has more cells than the first line names" in lines.problems[0]


def test_commas_that_nobody_quoted_stay_in_the_text(folder):
    assert texts(LineSet.read(table(folder, "path,text\na_1.png,eins, zwei\n", "lines.csv"))) == {
        "a_1.png": "eins, zwei"
    }


def test_a_first_line_of_other_names_is_no_line_and_refused_where_it_names_more_columns(folder):
    (folder / "named.csv").write_text("filename,words\na_1.png,one\nb_1.png,two\n")
    lines = LineSet.read(folder / "named.csv")
    assert [line.text for line in lines.lines] == ["one", "two"]
    assert lines.problems == ()
    (folder / "more.csv").write_text("filename,words,split\na_1.png,one,train\nb_1.png,two,val\n")
    with pytest.raises(DataError, match="call that of the pictures path and that of the texts text"):
        LineSet.read(folder / "more.csv")


@pytest.mark.parametrize(
    ("name", "first", "problem"),
    [
        ("lines.csv", ",hello", r"line 1 has no path"),
        ("lines.csv", "noSuffix", r"line 1 has no text"),
        ("lines.csv", "noSuffix,first text", r"there is no picture .*noSuffix"),
        ("lines.tsv", "scan 1\tone, two\tthree", r"there is no picture .*scan 1"),
        (
            "lines.csv",
            "noSuffix,word",
            r"line 1 \(noSuffix, word\) is taken as names of columns; if it is",
        ),
    ],
)
def test_a_first_line_that_is_no_picture_is_never_lost_without_a_word(folder, name, first, problem):
    second = "a_1.png,x" if name.endswith(".csv") else "a_1.png\tx"
    lines = LineSet.read(table(folder, f"{first}\n{second}\n", name))
    assert texts(lines) == {"a_1.png": "x"}
    assert re.search(problem, lines.problems[-1])


def test_tables_in_utf_16_and_long_cells_are_read(folder):
    (folder / "lines.csv").write_text(f"path,data,text\na_1.png,{'A' * 200_000},eins\n", encoding="utf-16")
    assert texts(LineSet.read(folder / "lines.csv")) == {"a_1.png": "eins"}
