"""Shards in and out: what workers write is what the command writes on one machine, whole, and exactly once."""

import json
import platform
import shutil
import tarfile

import pytest

HERE = ("--cluster", "here")


@pytest.fixture
def photos(make_photos):
    """Nine photos and one file that is none."""
    folder = make_photos(9)
    (folder / "broken.jpg").write_bytes(b"no photo")
    return folder


@pytest.fixture
def expected(run, photos):
    """What one machine writes about them."""
    return [json.loads(line) for line in run(photos)[1].splitlines()]


def named(rows):
    return {row["path"].rpartition("/")[2]: {key: value for key, value in row.items() if key != "path"} for row in rows}


def test_a_folder_gives_the_rows_of_one_machine(run, photos, expected, rows_in, tmp_path):
    status, out, err = run(photos, "-o", tmp_path / "out", *HERE, "--shard-size", 4)
    assert (status, out) == (1, "")
    assert rows_in(tmp_path / "out") == expected
    assert len(list((tmp_path / "out").glob("files-*.jsonl"))) == 3
    assert "9 images and clips done" in err
    assert "1 failed: 1 not an image" in err


def test_tar_shards_give_the_rows_of_their_photos(run, photos, expected, rows_in, make_tar, tmp_path):
    files = [(path.name, path.read_bytes()) for path in sorted(photos.iterdir())]
    for number in range(3):
        # a shard of WebDataset holds other files too
        mixed = [*files[number::3], ("note.json", b"{}"), ("note.txt", b"a dog")]
        make_tar(tmp_path / f"part-{number}.tar", mixed)
    whole = run(*sorted(tmp_path.glob("*.tar")))[1]
    assert run(tmp_path / "part-{0..2}.tar", "-o", tmp_path / "out", *HERE)[0] == 1
    assert rows_in(tmp_path / "out") == [json.loads(line) for line in whole.splitlines()]
    assert named(rows_in(tmp_path / "out")) == named(expected)


def test_parquet_files_hold_photos_or_their_paths(run, photos, expected, rows_in, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    paths = sorted(photos.iterdir())
    images = [{"bytes": path.read_bytes(), "path": path.name} for path in paths[:6]]
    (tmp_path / "in").mkdir()
    parquet.write_table(pyarrow.table({"image": images}), tmp_path / "in" / "bytes.parquet")
    names = [f"../photos/{path.name}" for path in paths[6:]]
    parquet.write_table(pyarrow.table({"path": names}), tmp_path / "in" / "paths.parquet")
    run(tmp_path / "in", "-o", tmp_path / "out", *HERE)
    rows = rows_in(tmp_path / "out")
    assert len(rows) == 10
    assert named(rows) == named(expected)


def test_a_list_names_files_relative_to_itself(run, photos, expected, rows_in, tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"photos/{path.name}\n" for path in sorted(photos.iterdir())))
    run(tmp_path / "list.txt", "-o", tmp_path / "out", *HERE)
    assert rows_in(tmp_path / "out") == expected


def test_parquet_results_have_the_same_columns_in_every_shard(run, photos, expected, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    run(photos, "-o", tmp_path / "out", *HERE, "--shard-size", 1, "--shard-format", "parquet")
    tables = [parquet.read_table(path) for path in sorted((tmp_path / "out").glob("*.parquet"))]
    assert len(tables) == 10
    assert {tuple(table.schema.names) for table in tables} == {("path", "caption", "score", "warning", "error")}
    rows = pyarrow.concat_tables(tables).to_pylist()
    assert [{key: value for key, value in row.items() if value is not None} for row in rows] == expected


def test_several_captions_and_segments_fit_into_parquet(run, photos, draw_clip, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")

    clip = draw_clip(tmp_path / "clip.avi", frames=20)
    options = ("--num-captions", 2, "--every", 1)
    expected = [json.loads(line) for line in run(photos / "photo0001.jpg", clip, *options)[1].splitlines()]
    run(photos / "photo0001.jpg", clip, *options, "-o", tmp_path / "out", *HERE, "--shard-format", "parquet")
    table = parquet.read_table(next((tmp_path / "out").glob("*.parquet")))
    assert [{key: value for key, value in row.items() if value is not None} for row in table.to_pylist()] == expected


def test_tar_results_hold_each_photo_with_its_caption_and_row(run, photos, expected, tmp_path):
    run(photos, "-o", tmp_path / "out", *HERE, "--shard-format", "tar")
    with tarfile.open(next((tmp_path / "out").glob("*.tar"))) as tar:
        held = {info.name: tar.extractfile(info).read() for info in tar}
    assert [json.loads(held[f"{number:06}.json"]) for number in range(10)] == expected
    assert held["000001.jpg"] == (photos / "photo0000.jpg").read_bytes()
    assert held["000001.txt"].decode() == f"{expected[1]['caption']}\n"
    assert "000000.txt" not in held  # of the file that is no photo


def test_running_again_does_nothing_or_what_is_new(run, photos, make_photos, rows_in, tmp_path):
    arguments = (photos, "-o", tmp_path / "out", *HERE, "--shard-size", 4)
    run(*arguments)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}
    status, _, err = run(*arguments)
    assert (status, {path: path.stat().st_mtime_ns for path in (tmp_path / "out").iterdir()}) == (1, before)
    assert "3 shards were done before, in which 1 images and clips had failed; --retry makes these again" in err
    make_photos(2, name="a new one {}.jpg")  # before all others, so that every shard would be another
    _, _, err = run(*arguments)
    assert "2 images and clips done" in err
    rows = rows_in(tmp_path / "out")
    assert len(rows) == len({row["path"] for row in rows}) == 12
    assert run(*arguments)[2].startswith("0 images and clips done")


@pytest.mark.parametrize("form", ["jsonl", "parquet", "tar"])
def test_failures_of_an_earlier_run_give_the_status_of_a_run_without_interruption(run, photos, tmp_path, form):
    arguments = (photos, "-o", tmp_path / "out", *HERE, "--shard-size", 4, "--shard-format", form)
    assert run(*arguments)[0] == 1
    (tmp_path / "out" / "captioner-failures.json").unlink()  # as where the run was killed: shards are read
    next((tmp_path / "out").glob("files-000002.*")).unlink()  # not the one with the failure
    status, _, err = run(*arguments)
    assert status == 1
    assert "2 shards were done before, in which 1 images and clips had failed" in err
    assert json.loads((tmp_path / "out" / "captioner-failures.json").read_text()).popitem()[1] == 0


@pytest.mark.parametrize("form", ["jsonl", "parquet", "tar"])
def test_a_damaged_shard_of_an_earlier_run_is_named_behind_the_summary_and_the_others_are_counted(
    run, photos, tmp_path, form
):
    arguments = (photos, "-o", tmp_path / "out", *HERE, "--shard-size", 4, "--shard-format", form)
    run(*arguments)
    counts = tmp_path / "out" / "captioner-failures.json"
    counts.unlink()
    first, second, third = sorted((tmp_path / "out").glob("files-*"))
    content = second.read_bytes()
    second.write_bytes(content[:100])
    third.unlink()
    status, _, err = run(*arguments)
    assert status == 1
    summary, *_, told = err.splitlines()
    assert summary.startswith("2 images and clips done")
    assert told.startswith(f"{second}: ")
    assert told.endswith("; if it is damaged, remove it, and the same command makes it again.")
    assert json.loads(counts.read_text()) == {first.name: 1, third.name: 0}
    second.unlink()
    run(*arguments)
    assert second.read_bytes() == content


def test_a_shard_that_is_lost_is_made_again(run, photos, expected, rows_in, tmp_path):
    arguments = (photos, "-o", tmp_path / "out", *HERE, "--shard-size", 4)
    run(*arguments)
    next((tmp_path / "out").glob("files-000001.*")).unlink()
    assert "4 images and clips done" in run(*arguments)[2]
    assert rows_in(tmp_path / "out") == expected


def test_a_shard_that_has_changed_replaces_its_results(run, photos, rows_in, make_tar, tmp_path):
    paths = sorted(photos.glob("photo*"))
    tar = make_tar(tmp_path / "part.tar", [(path.name, path.read_bytes()) for path in paths[:2]])
    run(tar, "-o", tmp_path / "out", *HERE)
    make_tar(tar, [(path.name, path.read_bytes()) for path in paths[:5]])
    _, _, err = run(tar, "-o", tmp_path / "out", *HERE)
    assert "1 had changed since they were done" in err
    assert [row["path"][-5] for row in rows_in(tmp_path / "out")] == list("01234")


def test_a_driver_killed_before_it_could_remove_old_results_leaves_none_twice(run, photos, rows_in, make_tar, tmp_path):
    data = (photos / "photo0000.jpg").read_bytes()
    run(make_tar(tmp_path / "part.tar", [("a.jpg", data)]), "-o", tmp_path / "out", *HERE)
    old = next((tmp_path / "out").glob("*.jsonl"))
    content = old.read_bytes()
    make_tar(tmp_path / "part.tar", [("a.jpg", data), ("b.jpg", data)])
    run(tmp_path / "part.tar", "-o", tmp_path / "out", *HERE)
    old.write_bytes(content)
    run(tmp_path / "part.tar", "-o", tmp_path / "out", *HERE)
    assert [row["path"][-5:] for row in rows_in(tmp_path / "out")] == ["a.jpg", "b.jpg"]


def test_shards_of_equal_names_are_told_apart(run, photos, rows_in, make_tar, tmp_path):
    for number, name in enumerate(("a", "b")):
        (tmp_path / name).mkdir()
        make_tar(tmp_path / name / "part.tar", [("x.jpg", (photos / f"photo000{number}.jpg").read_bytes())])
        run(tmp_path / name / "part.tar", "-o", tmp_path / "out", *HERE)
    assert sorted(row["path"] for row in rows_in(tmp_path / "out")) == [f"{tmp_path}/{n}/part.tar/x.jpg" for n in "ab"]


def test_a_shard_cut_short_is_left_out_whole_and_done_when_it_is_whole(run, photos, rows_in, make_tar, tmp_path):
    whole = [(path.name, path.read_bytes()) for path in sorted(photos.glob("photo*"))]
    good = make_tar(tmp_path / "good.tar", whole[:2])
    cut = make_tar(tmp_path / "cut.tar", whole)
    data = cut.read_bytes()
    cut.write_bytes(data[: len(data) // 2])
    status, _, err = run(good, cut, "-o", tmp_path / "out", *HERE)
    assert status == 1
    assert len(rows_in(tmp_path / "out")) == 2
    assert "1 shards were not done" in err
    assert f"{cut}: the archive ends too soon" in err
    cut.write_bytes(data)
    assert run(good, cut, "-o", tmp_path / "out", *HERE)[0] == 0
    assert len(rows_in(tmp_path / "out")) == 11


def test_retry_makes_shards_with_failures_again(run, photos, rows_in, tmp_path):
    arguments = (photos, "-o", tmp_path / "out", *HERE, "--shard-size", 4)
    run(*arguments)
    (photos / "broken.jpg").write_bytes((photos / "photo0000.jpg").read_bytes())
    status, _, err = run(*arguments, "--retry")
    assert status == 0
    assert "4 images and clips done" in err
    assert not any("error" in row for row in rows_in(tmp_path / "out"))


def test_results_of_other_options_are_not_mixed_in(run, photos, tmp_path):
    run(photos, "-o", tmp_path / "out", *HERE)
    status, _, err = run(photos, "-o", tmp_path / "out", *HERE, "--beam-size", 2)
    assert status == 2
    assert "made with beam_size 4, and now it is beam_size 2" in err
    assert run(photos, "-o", tmp_path / "out", *HERE, "--beam-size", 2, "--overwrite")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("no-such-{0..2}.tar",), "no-such-1.tar and no-such-2.tar: no such file"),
        (("nothing://bucket/a.tar",), "not an address that fsspec knows"),
        (("abfs://bucket/a.tar",), "such addresses need another package"),
        (("-",), "a list of inputs is a file that ends in .txt"),
    ],
)
def test_inputs_that_cannot_be_found_are_one_sentence(run, tmp_path, arguments, sentence):
    status, out, err = run(*arguments, "-o", tmp_path / "out", *HERE)
    assert (status, out) == (2, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_an_output_that_is_a_file_or_holds_something_else_is_refused(run, photos, tmp_path):
    assert "with --cluster the output is a folder" in run(photos, "-o", tmp_path / "out.jsonl", *HERE)[2]
    assert "name it with -o" in run(photos, *HERE)[2]
    assert "would be lost" in run(photos, "-o", "memory://out", *HERE)[2]
    status, _, err = run(photos, "-o", photos, *HERE)
    assert status == 2
    assert "holds other files" in err
    assert "--sidecar" in run(photos, "-o", tmp_path / "out", "--sidecar", *HERE)[2]


def test_a_worker_with_other_versions_says_so(run, photos, monkeypatch, tmp_path):
    from captioner.pipelines.cluster import worker

    monkeypatch.setattr(worker, "versions", lambda: {"torch": "1.0"})
    status, _, err = run(photos, "-o", tmp_path / "out", *HERE)
    assert status == 2
    assert "this machine has" in err
    assert "torch 1.0, but" in err
    assert err.count("\n") == 1


def test_a_model_that_a_worker_does_not_find_is_one_sentence(run, photos, model_folder, monkeypatch, tmp_path):
    from captioner.pipelines.cluster.plan import ResultFolder

    model = tmp_path / "model"
    shutil.copytree(model_folder, model)
    begin = ResultFolder.begin
    # as on another machine, where it lies elsewhere
    monkeypatch.setattr(ResultFolder, "begin", lambda folder: (begin(folder), model.rename(tmp_path / "moved")))
    status, _, err = run(photos, "-o", tmp_path / "out", *HERE, model=model)
    assert status == 2
    assert f"{platform.node()}: " in err
    assert str(model) in err
    assert err.count("\n") == 1


def test_a_warning_of_a_worker_is_told_at_the_end(run, make_photos, tmp_path):
    folder = make_photos(2)
    photo = folder / "photo0001.jpg"
    photo.write_bytes(photo.read_bytes()[: photo.stat().st_size * 9 // 10])
    status, _, err = run(folder, "-o", tmp_path / "out", *HERE)
    assert status == 0
    lines = err.splitlines()
    place = next(place for place, line in enumerate(lines) if line.endswith(", 1 of them with a warning"))
    assert lines[place + 1].lstrip().startswith(f"{photo}: the file ends too soon")
