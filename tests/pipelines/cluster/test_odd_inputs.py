"""Odd lists, archives and tables: the rows of one machine, none lost and none twice."""

import http.server
import json
import os
import sys
import tarfile
import threading

import pytest

HERE = ("--cluster", "here")


@pytest.fixture
def photos(make_photos, monkeypatch, tmp_path):
    """Three photos in the folder `photos`, in which commands do not run."""
    folder = make_photos(3, name="{}.jpg")
    monkeypatch.chdir(tmp_path)
    return [path.read_bytes() for path in sorted(folder.iterdir())]


@pytest.fixture
def same(run, rows_in, tmp_path):
    """Sees that a cluster's rows are those of one machine; returns them."""

    def same(*arguments, alone=None):
        expected = [json.loads(line) for line in run(*(arguments if alone is None else alone))[1].splitlines()]
        run(*arguments, "-o", tmp_path / "out", *HERE)
        assert rows_in(tmp_path / "out") == expected
        return expected

    return same


def test_a_photo_that_lists_and_folders_name_is_one_row(same, photos, tmp_path):
    (tmp_path / "list.txt").write_text("photos/0.jpg\n\n./photos/0.jpg\n  photos/../photos/1.jpg  \nphotos/1.jpg\n")
    same("photos", "list.txt", alone=["photos"])


@pytest.mark.parametrize(
    "content", ["photos/0.jpg\r\nphotos/1.jpg\r\n".encode("utf-16"), b"photos/0.jpg\0photos/1.jpg\0"]
)
def test_lists_are_read_as_standard_input_is(run, rows_in, photos, tmp_path, content):
    (tmp_path / "list.txt").write_bytes(content)
    run("list.txt", "-o", "out", *HERE)
    assert [row["path"] for row in rows_in(tmp_path / "out")] == ["photos/0.jpg", "photos/1.jpg"]


def test_a_list_names_archives_and_folders_too(same, photos, make_tar, tmp_path):
    make_tar(tmp_path / "part.tar", [("x.jpg", photos[0])])
    (tmp_path / "list.txt").write_text("part.tar\nphotos\n")
    rows = same("list.txt", alone=["photos", "part.tar"])
    assert len(rows) == 4


def test_of_two_files_with_one_name_in_an_archive_the_later_counts(same, photos, make_tar, tmp_path):
    names = ("a.jpg", "b.jpg", "a.jpg", "./b.jpg", "c.jpg")
    make_tar(tmp_path / "part.tar", list(zip(names, [*photos, *photos[:2]], strict=True)))
    rows = same("part.tar")
    assert [row["path"] for row in rows] == [f"part.tar/{name}.jpg" for name in "abc"]


def test_names_that_lead_out_of_an_archive_are_rows_that_say_so(run, rows_in, photos, make_tar, tmp_path):
    make_tar(tmp_path / "part.tar", [("../a.jpg", photos[0]), ("/b.jpg", photos[1]), ("c.jpg", photos[2])])
    assert run("part.tar", "-o", "out", *HERE)[0] == 1
    assert [row.get("error") for row in rows_in(tmp_path / "out")] == ["its name leads out of the archive"] * 2 + [None]


def test_packed_archives_in_a_folder_are_found(same, photos, tmp_path):
    (tmp_path / "in").mkdir()
    with tarfile.open(tmp_path / "in" / "part.tar.gz", "w:gz") as tar:
        tar.add("photos/0.jpg", "0.jpg")
    same("in", alone=["in/part.tar.gz"])


def test_an_archive_without_photos_is_told(run, make_tar, photos, tmp_path):
    make_tar(tmp_path / "texts.tar", [("a.txt", b"a dog")])
    make_tar(tmp_path / "part.tar", [("a.jpg", photos[0])])
    assert "no images and clips in texts.tar\n" in run("part.tar", "texts.tar", "-o", "out", *HERE)[2]


def test_a_link_to_no_archive_does_not_stop_the_rest(run, rows_in, photos, tmp_path):
    (tmp_path / "photos" / "gone.tar").symlink_to("nowhere")
    status, _, err = run("photos", "-o", "out", *HERE)
    assert (status, len(rows_in(tmp_path / "out"))) == (1, 3)
    assert "photos/gone.tar: cannot be read (no such file or directory)" in err


@pytest.mark.parametrize("path", ["no column", None, "/data/x.jpg", "x.jpg"])
def test_photos_in_parquet_need_no_names(same, photos, tmp_path, path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    images = [data if path == "no column" else {"bytes": data, "path": path} for data in [*photos, b""]]
    parquet.write_table(pyarrow.table({"image": images}), tmp_path / "x.parquet")
    rows = same("x.parquet")
    assert [row["path"] for row in rows] == [f"x.parquet/row-{number}" for number in range(4)]
    assert [row.get("error") for row in rows] == [None, None, None, "empty file"]


def test_paths_in_parquet_are_read_as_on_one_machine(same, photos, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "lists").mkdir()
    names = ["../photos/0.jpg", " ../photos/1.jpg ", None, "", "../photos/./0.jpg", "..\\photos\\2.jpg", "photos/2.jpg"]
    names = pyarrow.array([*names, "gone.jpg"]).dictionary_encode()
    parquet.write_table(pyarrow.table({"path": names}), tmp_path / "lists" / "x.parquet")
    assert len(same("lists/x.parquet")) == 4


def test_a_parquet_file_of_other_columns_is_a_sentence(run, tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"image": [[b"1"], [b"2"]]}), tmp_path / "x.parquet")
    assert "no column of texts is called path" in run(tmp_path / "x.parquet")[2]
    assert "no column holds photos" in run(tmp_path / "x.parquet", "-o", tmp_path / "out", *HERE)[2]


@pytest.mark.parametrize("shard_format", ["tar", "parquet"])
def test_results_below_an_input_are_no_inputs(run, photos, tmp_path, shard_format):
    arguments = ("photos", *HERE, "--shard-format", shard_format)
    run(*arguments, "-o", "photos/out")
    before = sorted(os.listdir("photos/out"))
    err = run(*arguments, "-o", "photos/out")[2]
    assert sorted(os.listdir("photos/out")) == before
    assert "photos/out, where results of this command lie" in err
    assert "3 images and clips done" in run(*arguments, "-o", "photos/more")[2]


def test_relative_paths_of_another_folder_are_not_taken_for_those_that_are_done(run, photos, tmp_path, monkeypatch):
    run("photos", "-o", tmp_path / "out", *HERE)
    (tmp_path / "other").mkdir()
    (tmp_path / "photos").rename(tmp_path / "other" / "photos")
    monkeypatch.chdir(tmp_path / "other")
    status, _, err = run("photos", "-o", tmp_path / "out", *HERE)
    assert status == 2
    assert f"relative to {tmp_path}, as photos/0.jpg is to {tmp_path / 'other'}" in err
    assert run(tmp_path / "other" / "photos", "-o", tmp_path / "out", *HERE)[2].startswith("3 images and clips done")


def test_parts_of_others_are_left_alone(run, photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "film.part").write_bytes(b"mine")
    assert "holds other files" in run("photos", "-o", "out", *HERE)[2]
    assert (tmp_path / "out" / "film.part").read_bytes() == b"mine"


@pytest.mark.skipif(sys.platform != "linux", reason="names are bytes on Linux only")
def test_photos_with_names_in_any_bytes_are_done_once(run, photos, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    (tmp_path / "photos" / os.fsdecode(b"\xff.jpg")).write_bytes(photos[0])
    arguments = ("photos", "-o", "out", *HERE, "--shard-format", "parquet")
    run(*arguments)
    (tmp_path / "photos" / "new.jpg").write_bytes(photos[1])
    assert run(*arguments)[2].startswith("1 images and clips done")
    assert sum(parquet.read_metadata(path).num_rows for path in (tmp_path / "out").glob("*.parquet")) == 5


@pytest.mark.parametrize("option", ["--overwrite", "--retry"])
def test_a_cluster_out_of_reach_leaves_results_that_were_to_be_made_again(
    run, photos, rows_in, tmp_path, monkeypatch, option
):
    from captioner.pipelines.cluster import on_ray
    from captioner.pipelines.cluster.job import ClusterError

    def unreachable(*arguments):
        raise ClusterError("127.0.0.1:9: no cluster can be reached there.")

    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no photo")
    run("photos", "-o", "out", *HERE)
    with monkeypatch.context() as patch:
        patch.setattr(on_ray, "run_shards", unreachable)
        assert run("photos", "-o", "out", "--cluster", "127.0.0.1:9", option)[0] == 2
    assert len(rows_in(tmp_path / "out")) == 4
    assert run("photos", "-o", "out", *HERE, option)[2].startswith("3 images and clips done")


def test_what_was_left_out_of_an_archive_is_done_when_it_is_wanted(run, photos, rows_in, make_tar, tmp_path):
    make_tar(tmp_path / "part.tar", [("a/0.jpg", photos[0]), ("b/0.jpg", photos[1])])
    run("part.tar", "-o", "out", *HERE, "--exclude", "b")
    assert [row["path"] for row in rows_in(tmp_path / "out")] == ["part.tar/a/0.jpg"]
    run("part.tar", "-o", "out", *HERE)
    assert [row["path"] for row in rows_in(tmp_path / "out")] == ["part.tar/a/0.jpg", "part.tar/b/0.jpg"]


def test_tar_results_hold_photos_of_archives_and_none_that_cannot_be_read(run, photos, make_tar, tmp_path):
    make_tar(tmp_path / "part.tar", [("a.jpg", photos[0])])
    (tmp_path / "notes.json").write_bytes(b"[]")
    (tmp_path / "list.txt").write_text("part.tar/a.jpg\nphotos/gone.jpg\n/proc/self/mem\nnotes.json\n")
    run("list.txt", "-o", "out", *HERE, "--shard-format", "tar")
    with tarfile.open(next((tmp_path / "out").glob("*.tar"))) as tar:
        held = {info.name: tar.extractfile(info).read() for info in tar}
    assert held["000000.jpg"] == photos[0]
    assert "000000.txt" in held
    assert sorted(name for name in held if name > "000001") == [
        "000001.json",
        "000002.json",
        "000003.bin",
        "000003.json",
    ]
    assert json.loads(held["000003.json"]) == {"path": "notes.json", "error": "not an image"}


def test_a_disk_that_is_full_is_told_and_the_shard_tried_again(run, photos, rows_in, tmp_path, monkeypatch):
    from captioner.pipelines.cluster import worker

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(worker, "results_of", full)
        status, _, err = run("photos", "-o", "out", *HERE)
    assert status == 1
    assert "No space left on device)" in err
    assert run("photos", "-o", "out", *HERE)[0] == 0
    assert len(rows_in(tmp_path / "out")) == 3


@pytest.fixture
def web(photos, draw_clip, tmp_path):
    """A web server that has a photo and a clip, forbids one and sends others on; returns its address."""
    clip = draw_clip(tmp_path / "clip.avi").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            path = self.path.partition("?")[0]
            data = {"/0.jpg": photos[0], "/clip.avi": clip, "/short.jpg": photos[1]}.get(path)
            status = {"/forbidden.jpg": 403, "/moved.jpg": 302}.get(path, 404 if data is None else 200)
            self.send_response(status)
            self.send_header("Location", "/0.jpg")
            self.send_header("Content-Length", str(len(data or b"")))
            self.end_headers()
            self.wfile.write((data or b"")[: 100 if path == "/short.jpg" else None])

        def log_message(self, *arguments):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_photos_on_the_web_that_cannot_be_had_are_rows_that_say_so(run, rows_in, web, tmp_path, monkeypatch):
    pytest.importorskip("aiohttp")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    names = ["0.jpg?width=1.5/2", "gone.jpg", "forbidden.jpg", "moved.jpg", "short.jpg", "clip.avi?token=a.b"]
    lines = [*(f"{web}/{name}" for name in names), "http://127.0.0.1:9/x.jpg", "nothing://x.jpg"]
    (tmp_path / "list.txt").write_text("".join(f"{line}\n" for line in lines))
    assert run("list.txt", "-o", "out", *HERE)[0] == 1
    rows = rows_in(tmp_path / "out")
    assert [row["path"] for row in rows] == lines
    assert ["caption" in row for row in rows] == [True, False, False, True, False, True, False, False]
    assert rows[1]["error"] == "cannot be read (no such file or directory)"
    assert "403" in rows[2]["error"]
