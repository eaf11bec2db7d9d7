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


@pytest.mark.parametrize("text", [b"a.jpg\nB.PNG\n", b"a.jpg\r\nB.PNG\r\n", b"a.jpg\0B.PNG\0", b"\na.jpg\n\nB.PNG"])
def test_standard_input_lists_paths(tree, monkeypatch, text):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
    assert find_inputs(["-"], SUFFIXES).paths == ["a.jpg", "B.PNG"]


def test_a_listed_file_that_does_not_exist_is_left_to_its_own_row(tree, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"gone.jpg\n")))
    assert find_inputs(["-"], SUFFIXES).paths == ["gone.jpg"]


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
