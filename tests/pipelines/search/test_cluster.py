"""An index that a cluster has made is the one that a single machine makes, wherever the photos lie."""

import json
import os
import shutil
import sqlite3

import cv2
import numpy as np
import pytest

HERE = ("--cluster", "here")


@pytest.fixture
def searched(run, workers_here):
    """Runs a search whose workers are in this process."""

    def searched(*arguments):
        return run("a dog", *map(str, arguments), *HERE, "--shards", "seen", "--shard-size", "2")

    return searched


@pytest.fixture
def bucket(s3, make_photos):
    """Five photos in a bucket, one by one; the same photos here."""
    folder = make_photos(5)
    for path in sorted(folder.iterdir()):
        s3.put_file(str(path), f"photos/single/{path.name}")
    return folder


def content(path):
    """What an index knows of each file, without the order in which it came to know it."""
    with sqlite3.connect(path) as database:
        rows = database.execute(
            "SELECT location, size, time, checksum, error, warning, start, end, vector, photo FROM files "
            "LEFT JOIN moments ON moments.file = files.id LEFT JOIN packed ON packed.moment = moments.id"
        ).fetchall()
        return sorted(rows, key=repr), database.execute("SELECT name, value FROM about ORDER BY name").fetchall()


def scores(rows):
    return {os.path.basename(row["path"]): row["score"] for row in rows}


def test_the_index_is_that_of_one_machine(run, searched, make_photos, make_tar, draw_clip, tmp_path):
    folder = make_photos(5)
    (folder / "broken.jpg").write_bytes(b"no photo")
    draw_clip(folder / "clip.avi", frames=40)
    make_tar(tmp_path / "more.tar", [("in/1.jpg", (folder / "photo0001.jpg").read_bytes())])
    alone = run("a dog", "photos", "more.tar", "--index", "alone.index")
    together = searched("photos", "more.tar", "--index", "together.index")
    assert together[0] == alone[0] == 1
    assert sorted(together[1], key=str) == sorted(alone[1], key=str)
    assert content("together.index") == content("alone.index")
    assert "7 images or clips done" in together[2]
    assert "1 failed: 1 not an image" in together[2]
    assert not list(tmp_path.glob("seen*"))
    again = searched("photos", "more.tar", "--index", "together.index")[2]  # nothing was new
    assert again == "1 could not be read before, such as photos/broken.jpg; --retry tries again\n"
    assert run("a dog", "photos", "more.tar", "--index", "together.index")[1] == together[1]


def test_new_changed_and_gone_photos_of_a_bucket_bring_the_index_up_to_date(run, searched, s3, bucket, tmp_path):
    expected = scores(run("a dog", "photos")[1])
    status, rows, err = searched("s3://photos/single")
    assert (status, scores(rows)) == (0, expected)
    assert rows[0]["path"].startswith("s3://photos/single/photo")
    s3.rm_file("photos/single/photo0000.jpg")
    s3.put_file(str(bucket / "photo0003.jpg"), "photos/single/photo0002.jpg")
    s3.put_file(str(bucket / "photo0004.jpg"), "photos/single/new.jpg")
    status, rows, err = searched("s3://photos/single")
    assert "2 images or clips done" in err
    assert "1 had changed" in err
    found = scores(rows)
    assert set(found) == {"photo0001.jpg", "photo0002.jpg", "photo0003.jpg", "photo0004.jpg", "new.jpg"}
    assert found["photo0002.jpg"] == expected["photo0003.jpg"]
    (tmp_path / "list.txt").write_text("s3://photos/single/new.jpg\n")
    assert set(scores(searched("list.txt")[1])) == {"new.jpg"}
    assert searched("s3://photos/single/*.jpg")[2] == ""


def test_a_list_with_photos_out_of_reach_is_searched_without_them(searched, s3, bucket, tmp_path, monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    (tmp_path / "list.txt").write_text("s3://photos/single/photo0000.jpg\nhttp://127.0.0.1:9/x.jpg\nnothing://x.jpg\n")
    status, rows, err = searched("list.txt")
    assert (status, [row["path"] for row in rows]) == (1, ["s3://photos/single/photo0000.jpg"])
    assert "http://127.0.0.1:9/x.jpg: " in err
    assert "nothing://x.jpg: " in err


def test_archives_of_a_bucket_are_searched_and_looked_at_again_when_they_change(
    run, searched, s3, bucket, make_tar, tmp_path
):
    expected = scores(run("a dog", "photos")[1])
    photos = [(path.name, path.read_bytes()) for path in sorted(bucket.iterdir())]
    s3.put_file(str(make_tar(tmp_path / "0.tar", photos[:3])), "photos/shards/0.tar")
    s3.put_file(str(make_tar(tmp_path / "1.tar", photos[3:])), "photos/shards/1.tar")
    status, rows, err = searched("s3://photos/shards/{0..1}.tar", "-o", "found.jsonl", "-o", "found.html")
    rows = [json.loads(line) for line in (tmp_path / "found.jsonl").read_text().splitlines()]
    assert (status, scores(rows)) == (0, expected)
    assert "5 images or clips done" in err
    page = (tmp_path / "found.html").read_text()
    assert page.count("/9j/4") == 5  # brought here to be shown
    s3.put_file(str(make_tar(tmp_path / "1.tar", photos[4:])), "photos/shards/1.tar")
    status, rows, err = searched("s3://photos/shards")
    assert set(scores(rows)) == set(expected) - {"photo0003.jpg"}
    assert "1 images or clips done" in err


def test_a_parquet_file_at_an_address_names_photos(searched, s3, bucket, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")

    parquet.write_table(pyarrow.table({"path": ["single/photo0001.jpg", "single/gone.jpg"]}), tmp_path / "some.parquet")
    s3.put_file(str(tmp_path / "some.parquet"), "photos/some.parquet")
    status, rows, err = searched("s3://photos/some.parquet")
    assert (status, set(scores(rows))) == (1, {"photo0001.jpg"})
    assert "s3://photos/single/gone.jpg: cannot be read (no such file or directory)" in err


def test_what_a_killed_driver_has_left_is_taken_if_it_is_still_right(
    searched, make_photos, monkeypatch, tmp_path
):
    from captioner.pipelines.search import on_cluster

    make_photos(4)


    class Killed(BaseException):
        pass

    def die(*_):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(on_cluster.Folder, "take", die)
        with pytest.raises(Killed):
            searched("photos")
    left = list((tmp_path / "seen").glob("seen-*.jsonl"))
    assert len(left) == 1
    (tmp_path / "seen" / "seen-0123456789abcdef.jsonl").write_text("{}\n")  # not of these files
    (tmp_path / "seen" / "mine.txt").write_text("kept")
    status, rows, err = searched("photos")
    assert (status, len(rows)) == (0, 4)
    assert "4 images or clips done" in err
    assert [path.name for path in (tmp_path / "seen").iterdir()] == ["mine.txt"]


def test_a_photo_that_changes_meanwhile_is_looked_at_again(searched, run, make_photos, monkeypatch):
    from captioner.pipelines.search import on_cluster

    folder = make_photos(2)
    take = on_cluster.Folder.take

    def change_and_take(*arguments):
        picture = np.full((80, 96, 3), 90, np.uint8)
        cv2.imwrite(str(folder / "photo0001.jpg"), picture)  # after the worker has looked
        take(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(on_cluster.Folder, "take", change_and_take)
        searched("photos")
    assert "1 had changed" in searched("photos")[2]


def test_what_is_wrong_is_said_in_one_sentence(run, workers_here, make_photos, s3, tmp_path):
    make_photos(1)
    for arguments, sentence in (
        (("photos", "--cluster", "10.0.0.1:6379"), "name with --shards a folder that all its machines reach"),
        (("photos", "--shards", "seen"), "--shards is where a cluster's workers leave what they saw"),
        (("s3://photos/nothing", *HERE, "--shards", "seen"), "s3://photos/nothing: no such file or folder"),
    ):
        status, _, err = run("a dog", *arguments)
        assert status == 2
        assert sentence in err
        assert err.count("\n") == 1


def test_an_archive_that_cannot_be_read_is_told_and_tried_again(searched, s3, bucket, make_tar, tmp_path):
    photos = [(path.name, path.read_bytes()) for path in sorted(bucket.iterdir())]
    whole = make_tar(tmp_path / "0.tar", photos).read_bytes()
    s3.pipe_file("photos/shards/0.tar", whole[: len(whole) // 2 // 512 * 512])
    status, rows, err = searched("s3://photos/shards")
    assert (status, rows) == (1, [])
    assert "not looked at: s3://photos/shards/0.tar: " in err
    s3.pipe_file("photos/shards/0.tar", whole)
    status, rows, err = searched("s3://photos/shards")
    assert (status, len(rows)) == (0, 5)
    shutil.rmtree(tmp_path / "seen", ignore_errors=True)
