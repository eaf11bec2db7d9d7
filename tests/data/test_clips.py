import shutil
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from captioner.data.clips import ClipSet, LabelledClip
from captioner.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Makes a folder of files that are named like clips, each of different bytes."""

    def make(*names):
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(name)
        return tmp_path

    return make


def table(root, *lines, name="clips.tsv"):
    (root / name).write_text("\n".join("\t".join(line.split(" ")) for line in lines))
    return ClipSet.read(root, root / name)


def names(clips):
    return sorted(str(clip.path.name) for clip in clips)


def test_sub_folders_are_classes_and_their_clips_are_found_at_any_depth(folder):
    clips = ClipSet.read(folder("a/1.mp4", "a/deep/2.MOV", "a/notes.txt", "b/1.mp4", "b/2.avi", ".hidden/1.mp4"))
    assert [(clip.path.name, clip.label) for clip in clips.clips] == [
        ("1.mp4", "a"), ("2.MOV", "a"), ("1.mp4", "b"), ("2.avi", "b"),
    ]  # fmt: skip
    assert clips.labels == ["a", "b"]
    assert clips.problems == ()


def test_classes_that_cannot_be_learnt_are_left_out_with_a_sentence(folder):
    root = folder("a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4", "lone/1.mp4", "empty/readme.txt")
    clips = ClipSet.read(root)
    assert clips.labels == ["a", "b"]
    empty, lone = clips.problems
    assert empty == f"{root / 'empty'}: no clip in this class folder; it is left out."
    assert lone.startswith(f"{root}: class lone has only one clip, which cannot be both learnt from and tested on")


@pytest.mark.parametrize("clips", [[], ["a/1.mp4", "a/2.mp4"], ["1.mp4", "2.mp4"], ["a/1.mp4", "b/1.mp4"]])
def test_fewer_than_two_classes_are_refused(folder, clips):
    with pytest.raises(DataError, match="at least two classes with at least two clips each"):
        ClipSet.read(folder("x.txt", *clips))


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        ClipSet.read(tmp_path / "none")


def test_a_table_gives_classes_groups_and_splits(folder):
    root = folder("1.mp4", "2.mp4", "3.mp4", "4.mp4")
    clips = table(
        root, "path label split group", "1.mp4 a train g", "2.mp4 b train h", "3.mp4 a val i", "4.mp4 b val j"
    )
    part = clips.hold_out(0.5)
    assert (names(part.train), names(part.test)) == (["1.mp4", "2.mp4"], ["3.mp4", "4.mp4"])
    assert [clip.group for clip in clips.clips] == ["g", "h", "i", "j"]


def test_a_missing_clip_is_left_out_with_its_line(folder):
    root = folder("1.mp4", "2.mp4", "3.mp4", "4.mp4")
    clips = table(root, "path label", "1.mp4 a", "gone.mp4 a", "2.mp4 a", "3.mp4 b", "4.mp4 b")
    assert len(clips.clips) == 4
    assert clips.problems == (f"{root / 'clips.tsv'}: line 3: there is no clip gone.mp4 in {root}; it is left out.",)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path label split", "1.mp4 a keep"], "line 2 has split 'keep'; known are train, val, test"),
        (["path label split", "1.mp4 a train", "1.mp4 a val"], "lines 2 and 3 both name 1.mp4, in split train and val"),
        (["path label", "1.mp4 a", "1.mp4 b"], "lines 2 and 3 both name 1.mp4, in label a and b"),
        (["path label", "1.mp4 a", "1.mp4 a"], "lines 2 and 3 both name 1.mp4; keep one"),
        (
            ["path label group split", "1.mp4 a g train", "2.mp4 a g val"],
            "1.mp4 is in split train and 2.mp4 in split val",
        ),
        (["path label group fold", "1.mp4 a g 1", "2.mp4 a g 2"], "1.mp4 is in fold 1 and 2.mp4 in fold 2"),
        (["path score", "1.mp4 a"], "no column label; its first line names path, score"),
        (["path label", "1.mp4 "], "line 2 has no label"),
        (["path label fold", "1.mp4 a "], "line 2 has no fold"),
        ([], "no column path; its first line names nothing"),
    ],
)
def test_a_table_that_could_mix_training_and_testing_is_refused(folder, lines, message):
    root = folder("1.mp4", "2.mp4")
    with pytest.raises(DataError, match=message):
        table(root, *lines)


def test_a_table_that_is_missing_or_no_text_is_refused(folder):
    root = folder("1.mp4")
    (root / "bytes.tsv").write_bytes(b"path\tlabel\n\xff\xfe\t\x00")
    for name, message in (("none.tsv", "cannot be read"), ("bytes.tsv", "not UTF-8 text")):
        with pytest.raises(DataError, match=message):
            ClipSet.read(root, root / name)
    (root / "clips.tsv").write_text("path\tlabel\n1.mp4\ta\n")
    with pytest.raises(DataError, match="no column source"):
        ClipSet.read(root, root / "clips.tsv", group="source")


def test_copies_of_a_clip_stay_together(folder):
    root = folder("1.mp4", "2.mp4", "3.mp4", "4.mp4")
    shutil.copy(root / "1.mp4", root / "copy.mp4")
    with pytest.raises(DataError, match="in split val, but they are copies"):
        table(root, "path label split", "1.mp4 a train", "2.mp4 b train", "copy.mp4 a val", "4.mp4 b val")
    clips = table(root, "path label", "1.mp4 a", "copy.mp4 a", "3.mp4 b", "4.mp4 b", "2.mp4 a")
    assert clips.clips[0].group == clips.clips[1].group != clips.clips[4].group


def test_unreadable_clips_are_left_out_and_what_remains_is_checked_again(folder):
    clips = ClipSet.read(folder("a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4", "b/3.mp4", "c/1.mp4", "c/2.mp4"))
    gone = {clip.path: f"{clip.path.name}: not a video" for clip in clips.clips if clip.path.parent.name == "c"}
    rest = clips.without(gone)
    assert rest.labels == ["a", "b"]
    assert rest.problems == ("1.mp4: not a video; it is left out.", "2.mp4: not a video; it is left out.")
    with pytest.raises(DataError, match="at least two classes"):
        rest.without({rest.clips[0].path: "1.mp4: empty file"})


def test_the_tables_folds_are_used(folder):
    root = folder("1.mp4", "2.mp4", "3.mp4", "4.mp4")
    clips = table(root, "path label fold", "1.mp4 a x", "2.mp4 b x", "3.mp4 a y", "4.mp4 b y")
    parts = clips.folds(5)
    assert {name: names(part.test) for name, part in parts.items()} == {
        "x": ["1.mp4", "2.mp4"],
        "y": ["3.mp4", "4.mp4"],
    }


def test_a_fold_that_holds_a_whole_class_is_refused(folder):
    root = folder("1.mp4", "2.mp4", "3.mp4", "4.mp4")
    with pytest.raises(DataError, match="all clips of a are in fold x"):
        table(root, "path label fold", "1.mp4 a x", "2.mp4 a x", "3.mp4 b x", "4.mp4 b y").folds(2)


@st.composite
def clip_sets(draw):
    sizes = draw(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 4)), min_size=8, max_size=20))
    clips = []
    for group, (label, size) in enumerate([("a", 1), ("a", 1), ("b", 1), ("b", 1), ("c", 1), ("c", 1), *sizes]):
        clips += [(f"{group}-{number}", label, str(group)) for number in range(size)]
    return ClipSet(tuple(LabelledClip(path, label, group) for path, label, group in clips), "drawn")


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(clip_sets(), st.integers(2, 5), st.integers(0, 9))
def test_splits_never_part_a_group_and_every_clip_is_tested_once(clips, count, seed):
    parts = clips.folds(count, seed) if count <= 2 else {"held out": clips.hold_out(1 / count, seed)}
    for part in parts.values():
        assert not {clip.group for clip in part.train} & {clip.group for clip in part.test}
        assert {clip.label for clip in part.train} == set(clips.labels)
        assert Counter(part.train + part.test) == Counter(clips.clips)
    if count <= 2:
        assert Counter(clip for part in parts.values() for clip in part.test) == Counter(clips.clips)
    else:
        assert {clip.label for clip in parts["held out"].test} == set(clips.labels)


def test_folds_have_about_the_same_number_of_each_class(folder):
    clips = ClipSet.read(folder(*(f"{label}/{number}.mp4" for label in "ab" for number in range(10))))
    for part in clips.folds(5).values():
        assert Counter(clip.label for clip in part.test) == {"a": 2, "b": 2}


def test_folders_called_as_splits_are_become_splits_and_no_classes(tmp_path):
    for split, count in (("train", 3), ("Val", 1)):
        for label in ("jump", "sit", "@eaDir"):
            (tmp_path / split / label).mkdir(parents=True)
            for number in range(count):
                (tmp_path / split / label / f"{split}{number}.mp4").write_bytes(f"{split}{label}{number}".encode())
    clips = ClipSet.read(tmp_path)
    assert clips.labels == ["jump", "sit"]
    assert any("Val, train are taken for splits" in problem for problem in clips.problems)
    part = clips.hold_out(0.5)
    assert {clip.path.parts[-3] for clip in part.train} == {"train"}
    assert {clip.path.parts[-3] for clip in part.test} == {"Val"}


def test_a_class_may_be_called_train(tmp_path):
    for label in ("train", "bus"):
        (tmp_path / label).mkdir()
        for number in range(2):
            (tmp_path / label / f"{number}.mp4").write_bytes(f"{label}{number}".encode())
    assert ClipSet.read(tmp_path).labels == ["bus", "train"]


LISTS = {
    "clips.csv": "video,class\n{}",
    "clips.tsv": "path\tlabel\n{}",
    "list.txt": "{}",
    "excel.csv": "\ufeffFile;Label\n{}",
}


@pytest.mark.parametrize("name", LISTS)
@pytest.mark.parametrize("given", [True, False])
def test_lists_of_any_usual_form_name_clips_and_classes(folder, name, given):
    root = folder(*(f"all/{kind}/{n} .mp4" for kind in ("jump", "sit") for n in range(2)))
    separator = {"list.txt": " ", "clips.tsv": "\t", "excel.csv": ";"}.get(name, ",")
    rows = "".join(f"{kind}/{n} .mp4{separator}{kind.upper()}\n" for kind in ("jump", "sit") for n in range(2))
    (root / name).write_text(LISTS[name].format(rows), encoding="utf-8")
    clips = ClipSet.read(root, root / name if given else None)
    assert [clip.label for clip in clips.clips] == ["JUMP", "JUMP", "SIT", "SIT"]


def test_lists_called_train_and_test_are_splits_and_numbers_are_named_by_their_folders(folder):
    names = [f"{kind}/v_{kind}_{n}.avi" for kind in ("Jump", "Sit") for n in range(4)]
    root = folder(*(f"UCF-101/{name}" for name in names))
    learnt = [name for name in names if name[-5] != "3"]
    (root / "trainlist.txt").write_text("".join(f"{name} {1 + (name[0] == 'S')}\r\n" for name in learnt))
    (root / "vallist.txt").write_text("".join(f"{name}\n" for name in names if name not in learnt))
    part = ClipSet.read(root).hold_out(0.5)
    assert Counter(clip.label for clip in part.train) == {"Jump": 3, "Sit": 3}
    assert [clip.label for clip in part.test] == ["Jump", "Sit"]
    (root / "trainlist02.txt").write_text((root / "trainlist.txt").read_text())
    with pytest.raises(DataError, match=r"trainlist02\.txt, vallist\.txt all list clips; name one with data\.table"):
        ClipSet.read(root)


def test_backslashes_separate_folders_in_lists_too(folder):
    root = folder("a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4")
    (root / "clips.csv").write_text("path,label\na\\1.mp4,a\na\\2.mp4,a\nb\\1.mp4,b\nb\\2.mp4,b\n")
    assert len(ClipSet.read(root).clips) == 4


def test_folders_that_are_classes_stay_so_and_a_list_beside_them_is_named(folder):
    root = folder("a/1.mp4", "a/2.mp4", "b/1.mp4", "b/2.mp4")
    (root / "found.csv").write_text("path,label\na/1.mp4,x\na/2.mp4,x\nb/1.mp4,y\nb/2.mp4,y\n")
    clips = ClipSet.read(root)
    assert clips.labels == ["a", "b"]
    assert clips.problems == (f"{root}: the folders are the classes; data.table takes those of found.csv instead.",)
    (root / "found.csv.made").write_text("{}")
    assert ClipSet.read(root).problems == ()


def test_a_cross_validation_does_not_learn_from_a_test_split(folder):
    root = folder(*(f"{split}/{label}/{n}.mp4" for split in ("train", "test") for label in "ab" for n in range(3)))
    with pytest.raises(DataError, match="test split would be learnt from"):
        ClipSet.read(root).folds(2)


def test_one_label_in_two_unicode_forms_is_one_class_and_labels_that_look_alike_are_named(folder):
    root = folder(*(f"{n}.mp4" for n in range(8)))
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    labels = [composed, decomposed, composed, "tea", "Tea", "tea", "Tea", "tea"]
    clips = table(root, "path label", *(f"{n}.mp4 {label}" for n, label in enumerate(labels)))
    assert clips.labels == ["Tea", composed, "tea"]
    assert [problem for problem in clips.problems if "Tea and tea are taken for different classes" in problem]


def test_a_column_that_is_there_twice_is_refused(folder):
    folder("1.mp4", "2.mp4")
    with pytest.raises(DataError, match="column label twice"):
        table(folder(), "path label label", "1.mp4 a b", "2.mp4 b a")


def test_a_row_with_more_cells_than_columns_is_refused(folder):
    folder("1.mp4", "2.mp4")
    with pytest.raises(DataError, match="line 2 has 4 cells, but the first line names 3 columns; quote"):
        table(folder(), "path label note", "1.mp4 jump high x", "2.mp4 sit y")


@pytest.mark.parametrize("column", ["Split", "SPLIT", "subset", "Set", "partition", "part"])
def test_a_split_column_may_have_any_usual_name_in_any_case(folder, column):
    root = folder(*(f"{n}.mp4" for n in range(6)))
    rows = [f"{n}.mp4 {'ab'[n % 2]} {['Train', 'validation', 'TEST'][n // 2]}" for n in range(6)]
    clips = table(root, f"Path Label {column}", *rows)
    assert [clip.split for clip in clips.clips] == ["train", "train", "val", "val", "test", "test"]


@pytest.mark.parametrize("column", ["Fold", "cv-fold"])
def test_a_fold_column_may_have_any_usual_name_in_any_case(folder, column):
    root = folder(*(f"{n}.mp4" for n in range(4)))
    clips = table(root, f"path label {column}", "0.mp4 a x", "1.mp4 b x", "2.mp4 a y", "3.mp4 b y")
    assert {name: names(part.test) for name, part in clips.folds(5).items()} == {
        "x": ["0.mp4", "1.mp4"],
        "y": ["2.mp4", "3.mp4"],
    }


@pytest.mark.parametrize(
    ("column", "group"), [("Group", "group"), ("Source Video", "source_video"), ("video", "Video"), ("fold", "Fold")]
)
def test_a_group_column_may_be_written_in_another_case(folder, column, group):
    root = folder(*(f"{n}.mp4" for n in range(4)))
    rows = ["0.mp4,a,g", "1.mp4,a,h", "2.mp4,b,g", "3.mp4,b,h"]
    (root / "clips.csv").write_text("\n".join([f"file,label,{column}", *rows]))
    assert [clip.group for clip in ClipSet.read(root, root / "clips.csv", group).clips] == ["g", "h", "g", "h"]


@pytest.mark.parametrize("column", ["set", "Part", "Split"])
def test_a_column_of_nothing_but_other_words_is_no_split_and_is_named(folder, column):
    root = folder(*(f"{n}.mp4" for n in range(4)))
    clips = table(root, f"path label {column}", "0.mp4 a x", "1.mp4 a y", "2.mp4 b x", "3.mp4 b ")
    assert {clip.split for clip in clips.clips} == {None}
    assert clips.problems == (
        f"{root / 'clips.tsv'}: the column {column} has none of the words train, val and test, and says no split.",
    )


def test_a_split_is_looked_for_in_the_next_column_where_one_has_other_words(folder):
    root = folder(*(f"{n}.mp4" for n in range(4)))
    clips = table(
        root, "path label Set part", *(f"{n}.mp4 {'ab'[n % 2]} I {['train', 'test'][n // 2]}" for n in range(4))
    )
    assert [clip.split for clip in clips.clips] == ["train", "train", "test", "test"]
    assert clips.problems == ()


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["path label Subset", "1.mp4 a train", "2.mp4 b other"], "line 3 has Subset 'other'; known are train, val"),
        (["path label set", "1.mp4 a train", "2.mp4 b "], "line 3 has no set; fill it"),
        (["path label Fold", "1.mp4 a 1", "2.mp4 b "], "line 3 has no Fold; fill it"),
        (["path label split Split", "1.mp4 a train test", "2.mp4 b test train"], r"split twice \(split, Split\)"),
        (["path label Group group", "1.mp4 a g h", "2.mp4 b g h"], r"group twice \(Group, group\)"),
        (["path label Group split", "1.mp4 a g train", "2.mp4 b g val"], "1.mp4 is in split train and 2.mp4 in split"),
    ],
)
def test_sides_and_groups_under_other_names_are_checked_as_well(folder, lines, message):
    root = folder("1.mp4", "2.mp4")
    with pytest.raises(DataError, match=message):
        table(root, *lines)


def test_names_of_columns_may_have_spaces_or_hyphens(folder):
    root = folder(*(f"{n}.mp4" for n in range(4)))
    (root / "clips.csv").write_text("Video Path,class-name\n0.mp4,a\n1.mp4,a\n2.mp4,b\n3.mp4,b\n")
    assert ClipSet.read(root).labels == ["a", "b"]


def test_a_rows_own_split_counts_more_than_its_lists_name(folder):
    root = folder(*(f"all/{n}.mp4" for n in range(6)))
    (root / "train.csv").write_text("path,label,split\n0.mp4,a,train\n1.mp4,b,train\n2.mp4,a,val\n3.mp4,b,val\n")
    (root / "test.csv").write_text("path,label\n4.mp4,a\n5.mp4,b\n")
    splits = {clip.path.name: clip.split for clip in ClipSet.read(root).clips}
    assert [splits[f"{n}.mp4"] for n in range(6)] == ["train", "train", "val", "val", "test", "test"]


def test_what_is_wrong_with_a_list_in_the_folder_is_said(folder):
    root = folder(*(f"all/{n}.mp4" for n in range(4)))
    (root / "clips.csv").write_text("path,label,label\n0.mp4,a,x\n1.mp4,b,x\n")
    with pytest.raises(DataError, match="column label twice"):
        ClipSet.read(root)


@pytest.mark.parametrize("separator", ["\t", ",", ";"])
def test_a_third_cell_without_names_is_the_split_where_every_line_has_one(folder, separator):
    root = folder(*(f"all/{label}{n}.mp4" for label in "ab" for n in range(2)))
    rows = [("a0.mp4", "a", "train"), ("a1.mp4", "a", "Test"), ("b0.mp4", "b", "train"), ("b1.mp4", "b", "Test")]
    (root / "list.txt").write_text("\r\n".join(map(separator.join, rows)) + "\r\n")
    assert [clip.split for clip in ClipSet.read(root).clips] == ["train", "test", "train", "test"]


@pytest.mark.parametrize(
    ("rows", "line"),
    [(["a 12", "b 12"], 1), (["a train", "b "], 2), (["a train x", "b train x"], 1), (["a train", "b x"], 2)],
)
def test_other_cells_without_names_are_refused_with_what_to_do(folder, rows, line):
    root = folder("all/0.mp4", "all/1.mp4")
    (root / "list.txt").write_text("".join(f"{n}.mp4,{','.join(row.split(' '))}\n" for n, row in enumerate(rows)))
    with pytest.raises(
        DataError, match=rf"list\.txt: line {line} is not a path, a label and a split .* name the columns"
    ):
        ClipSet.read(root)


def test_separators_at_the_end_of_lines_and_in_names_of_clips_are_no_further_cells(folder):
    root = folder("a, b; c 1.mp4", "2.mp4", "3.mp4", "4.mp4")
    (root / "commas.txt").write_text("2.mp4,x,,\na, b; c 1.mp4 x\n3.mp4,y,\n4.mp4 y\n")
    assert [clip.label for clip in ClipSet.read(root).clips] == ["x", "x", "y", "y"]


def test_without_labels_backslashes_separate_folders_too(folder):
    root = folder("all/a/1.mp4", "all/a/2.mp4", "all/b/1.mp4", "all/b/2.mp4")
    (root / "list.txt").write_text("a\\1.mp4\na\\2.mp4\nb\\1.mp4\nb\\2.mp4\n")
    assert ClipSet.read(root).labels == ["a", "b"]


def test_copies_of_a_clip_with_different_labels_are_named(folder):
    root = folder("jump/1.mp4", "jump/2.mp4", "sit/1.mp4", "sit/2.mp4")
    shutil.copy(root / "jump/1.mp4", root / "jump/3.mp4")
    assert ClipSet.read(root).problems == ()
    shutil.copy(root / "jump/1.mp4", root / "sit/3.mp4")
    (problem,) = ClipSet.read(root).problems
    one, other = root / "jump/1.mp4", root / "sit/3.mp4"
    assert problem.startswith(f"{root}: {one} of class jump and {other} of class sit are copies of one clip")
    shutil.copy(root / "jump/2.mp4", root / "sit/4.mp4")
    (problem,) = ClipSet.read(root).problems
    assert "(2 clips are such copies)" in problem


def test_groups_that_share_a_copy_are_one_group(folder):
    root = folder(*(f"{n}.mp4" for n in range(6)))
    shutil.copy(root / "1.mp4", root / "copy.mp4")
    rows = ["0.mp4 a g", "1.mp4 a g", "copy.mp4 a h", "2.mp4 a h", "3.mp4 a i", "4.mp4 b j", "5.mp4 b k"]
    clips = table(root, "path label group", *rows)
    assert [clip.group for clip in clips.clips] == ["g", "g", "g", "g", "i", "j", "k"]
    sides = ["train", "train", "train", "val", "val", "train", "val"]
    with pytest.raises(DataError, match=r"0\.mp4 is in split train and 2\.mp4 in split val"):
        table(root, "path label group split", *map(" ".join, zip(rows, sides, strict=True)))


@pytest.mark.parametrize(
    ("one", "other"),
    [("01", "1"), ("1", "1.0"), ("007", "7"), ("High Jump", "high_jump"), ("high-jump", "high jump"), ("A  B", "a b")],
)
def test_labels_that_may_be_one_class_are_named(folder, one, other):
    root = folder(*(f"{n}.mp4" for n in range(4)))
    (root / "clips.csv").write_text("".join(f"{n}.mp4,{(one, other)[n % 2]}\n" for n in range(4)))
    first, second = sorted((one, other))
    assert ClipSet.read(root).problems == (f"{root}: {first} and {second} are taken for different classes.",)


@pytest.mark.parametrize(("one", "other"), [("1", "10"), ("1", "-1"), ("0", "00x"), ("1.5", "1"), ("a", "a1")])
def test_labels_that_are_plainly_different_are_not_named(folder, one, other):
    root = folder(*(f"{n}.mp4" for n in range(4)))
    (root / "clips.csv").write_text("".join(f"{n}.mp4,{(one, other)[n % 2]}\n" for n in range(4)))
    assert ClipSet.read(root).problems == ()
