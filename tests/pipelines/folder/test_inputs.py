"""Files, folders, patterns and lists become one list of paths, each once."""

import io
import os
import sys

import pytest

from captioner.errors import UsageError
from captioner.pipelines.folder.inputs import find_inputs, identity, shown

SUFFIXES = {".jpg", ".png"}


@pytest.fixture
def tree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in [
        "a.jpg",
        "B.PNG",
        "notes.txt",
        "deep/er/c.jpg",
        "deep/d.Jpg",
        ".hidden.jpg",
        ".cache/e.jpg",
        "f[1].jpg",
    ]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    return tmp_path


def test_a_folder_gives_its_images_at_any_depth_sorted_and_without_hidden_ones(tree):
    found = find_inputs(["."], SUFFIXES).paths
    assert found == ["./B.PNG", "./a.jpg", "./deep/d.Jpg", "./deep/er/c.jpg", "./f[1].jpg"]


def test_a_named_file_is_taken_whatever_its_suffix(tree):
    assert find_inputs(["notes.txt", ".hidden.jpg"], SUFFIXES).paths == ["notes.txt", ".hidden.jpg"]


def test_patterns_are_expanded_unless_a_file_has_that_very_name(tree):
    assert find_inputs(["*.jpg"], SUFFIXES).paths == ["a.jpg", "f[1].jpg"]
    assert find_inputs(["**/*.jpg"], SUFFIXES).paths == ["a.jpg", "deep/er/c.jpg", "f[1].jpg"]
    assert find_inputs(["f[1].jpg"], SUFFIXES).paths == ["f[1].jpg"]


def test_each_file_comes_once_however_often_it_is_named(tree):
    found = find_inputs(["deep/d.Jpg", "./deep/d.Jpg", "deep", str(tree / "deep")], SUFFIXES).paths
    assert found == ["deep/d.Jpg", "deep/er/c.jpg"]


def test_loops_of_links_end_and_linked_folders_are_read_once(tree):
    os.symlink(tree, tree / "deep" / "loop")
    os.symlink(tree / "deep", tree / "again")
    os.symlink("nowhere.jpg", tree / "dangling.jpg")
    found = find_inputs(["."], SUFFIXES).paths
    assert sorted(os.path.basename(path) for path in found) == [
        "B.PNG",
        "a.jpg",
        "c.jpg",
        "d.Jpg",
        "dangling.jpg",
        "f[1].jpg",
    ]


def test_a_link_to_itself_is_passed_over_and_the_folder_is_read(tree):
    os.symlink("loop", tree / "loop")
    os.symlink("loop.jpg", tree / "loop.jpg")
    assert find_inputs(["."], SUFFIXES).paths[-1] == "./loop.jpg"  # which will say in its row what is wrong


def test_folders_that_network_drives_and_zip_programs_add_are_left_out_unless_named(tree):
    for name in ("@eaDir", "#recycle", "__MACOSX"):
        (tree / "deep" / name).mkdir()
        (tree / "deep" / name / "SYNOPHOTO_THUMB.jpg").touch()
    found = find_inputs(["deep"], SUFFIXES)
    assert found.paths == ["deep/d.Jpg", "deep/er/c.jpg"]
    assert found.notes() == ["left out: deep/#recycle, deep/@eaDir and deep/__MACOSX; name what is wanted of it"]
    assert len(find_inputs(["deep", "deep/@eaDir"], SUFFIXES).paths) == 3


@pytest.mark.parametrize("pattern", ["er", "e?", "er/*.jpg", "er/", "c.jpg"])
def test_patterns_exclude_names_and_paths_below_the_folder(tree, pattern):
    assert find_inputs(["deep"], SUFFIXES, exclude=[pattern]).paths == ["deep/d.Jpg"]


def test_what_is_passed_over_is_counted_by_suffix(tree):
    for name in ("1.dng", "2.NEF", "3.nef", "4.jxl", "5", "captions.jsonl"):
        (tree / "deep" / name).touch()
    assert find_inputs(["deep"], SUFFIXES).notes() == ["passed over: 2 .nef, 1 .dng, 1 .jxl and 1 without suffix"]
    (tree / "raw").mkdir()
    (tree / "raw" / "1.dng").touch()
    with pytest.raises(UsageError, match=r"raw: no images here; looked for \.jpg \.png; passed over: 1 \.dng\."):
        find_inputs(["raw"], SUFFIXES)


@pytest.mark.parametrize("text", ["a.jpg\r\nB.PNG\r\n", "\ufeffa.jpg\nB.PNG\n"])
@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-8"])
def test_standard_input_may_be_as_powershell_writes_it(tree, monkeypatch, text, codec):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode(codec))))
    assert find_inputs(["-"], SUFFIXES).paths == ["a.jpg", "B.PNG"]


def test_thousands_of_wrong_names_are_one_short_sentence(tree):
    with pytest.raises(UsageError, match=r"^gone0, gone1, .* and 1,991 more: no such file or folder") as found:
        find_inputs([f"gone{number}" for number in range(2000)], SUFFIXES)
    assert len(str(found.value)) < 200


@pytest.mark.parametrize("text", [b"a.jpg\nB.PNG\n", b"a.jpg\r\nB.PNG\r\n", b"a.jpg\0B.PNG\0", b"\na.jpg\n\nB.PNG"])
def test_standard_input_lists_paths(tree, monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert find_inputs(["-"], SUFFIXES).paths == ["a.jpg", "B.PNG"]


def test_a_listed_file_that_does_not_exist_is_left_to_its_own_row(tree, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"gone.jpg\n")))
    assert find_inputs(["-"], SUFFIXES).paths == ["gone.jpg"]


def test_blanks_around_a_name_in_a_list_belong_to_it_only_where_there_is_such_a_file(tree):
    (tree / " a .jpg ").write_bytes(b"x")
    (tree / "list.csv").write_text("path\n a.jpg \n a .jpg \ngone.jpg \n")
    assert find_inputs(["list.csv"], SUFFIXES).paths == ["a.jpg", " a .jpg ", "gone.jpg"]


def test_names_may_be_any_bytes(tree):
    name = os.fsdecode(b"caf\xe9.jpg")
    try:
        (tree / "deep" / name).write_bytes(b"x")
    except OSError as error:
        pytest.skip(f"this file system wants UTF-8 names: {error}")
    found = find_inputs(["deep"], SUFFIXES).paths
    assert f"deep/{name}" in found
    assert shown(f"deep/{name}") == "deep/caf\N{REPLACEMENT CHARACTER}.jpg"


def test_all_missing_inputs_are_named_at_once(tree):
    with pytest.raises(
        UsageError, match=r"^one\.jpg, \*\.gif and three: no such file or folder; nothing has been done\.$"
    ):
        find_inputs(["one.jpg", "a.jpg", "*.gif", "three"], SUFFIXES)


def test_a_folder_without_images_says_what_was_looked_for(tree):
    (tree / "empty").mkdir()
    with pytest.raises(UsageError, match=r"^empty: no images here; looked for \.jpg \.png\.$"):
        find_inputs(["empty"], SUFFIXES)


def test_a_folder_that_cannot_be_listed_is_a_problem_of_its_own(tree):
    (tree / "deep" / "er").chmod(0)
    if os.access(tree / "deep" / "er", os.R_OK):
        pytest.skip("this user may read everything (root)")
    found = find_inputs(["deep"], SUFFIXES)
    assert found.paths == ["deep/d.Jpg"]
    assert found.problems == [("deep/er", "cannot be listed (permission denied)")]


def test_spellings_of_one_path_are_one_input(tree):
    assert identity("deep/../a.jpg") == identity("./a.jpg") == identity(str(tree / "a.jpg"))


def test_a_name_cannot_command_the_terminal_that_shows_it():
    assert shown("a\x1b[31m\n\x9b\udcffé\u200f.jpg") == "a\ufffd[31m\ufffd\ufffd\ufffdé\u200f.jpg"


def test_a_list_on_standard_input_may_be_empty(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\n")))
    found = find_inputs(["-"], SUFFIXES)
    assert found.paths == []
    assert found.notes() == ["standard input names no files; nothing is to be done"]
