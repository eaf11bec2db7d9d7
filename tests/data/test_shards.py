import http.server
import os
import pickle
import threading
import time
from functools import partial

import pytest

from captioner.data.addresses import expand_braces, open_address, patiently
from captioner.data.caption_forms.beside import read_captions_beside
from captioner.data.photos import ImageStore
from captioner.data.shard_copies import Copies
from captioner.data.shards import Shards
from captioner.errors import DataError

fsspec = pytest.importorskip("fsspec")
PHOTO = 3000  # bytes


@pytest.fixture
def storage(make_tar, tmp_path):
    """Three shards of three photos with captions in a storage that counts what is read of it."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    for shard in range(3):
        files = []
        for number in range(3):
            files.append((f"{number}.jpg", content(shard, number)))
            files.append((f"{number}.txt", f"photo {number} of shard {shard}".encode()))
        path = make_tar(tmp_path / f"{shard}.tar", files)
        system.pipe_file(f"/photos/{shard}.tar", path.read_bytes())
    yield system
    system.store.clear()


def content(shard, number):
    return bytes([shard, number]) * (PHOTO // 2)


@pytest.fixture
def shards(storage, tmp_path):
    def make(addresses=("memory://photos/{0..2}.tar",), room=1 << 20, **options):
        return Shards(list(addresses), tmp_path / "lists", Copies(tmp_path / "copies", room), **options)

    return make


def copies(tmp_path):
    return sorted(path.name for path in (tmp_path / "copies").glob("*.tar"))


def until(condition):
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


def test_photos_are_found_by_shard_and_name_and_captions_lie_with_the_list(shards, storage, monkeypatch):
    store = ImageStore([], shards(room=0))
    assert len(store) == 18
    assert store.read("1.tar/2.jpg").tobytes() == content(1, 2)
    assert store.shard("1.tar/2.jpg") == 1
    assert store.tar_files == 3
    storage.store.clear()
    assert store.read("1.tar/2.txt").tobytes() == b"photo 2 of shard 1"
    with pytest.raises(DataError, match=r"memory://photos/1\.tar: cannot be read \(no such file or folder\)\."):
        store.read("1.tar/2.jpg")


def test_where_all_fit_each_is_fetched_once_and_the_storage_is_not_needed_again(shards, storage):
    store = pickle.loads(pickle.dumps(ImageStore([], shards())))
    storage.store.clear()
    for shard in range(3):
        for number in range(3):
            assert store.read(f"{shard}.tar/{number}.jpg").tobytes() == content(shard, number)


def test_copies_come_as_expected_and_the_oldest_make_room(shards, storage, tmp_path):
    size = storage.size("/photos/0.tar")
    found = shards(room=2 * size)
    assert found.mixed == 1
    found.expect([0])
    until(lambda: len(copies(tmp_path)) == 1)
    (first,) = copies(tmp_path)
    os.utime(tmp_path / "copies" / first, (1, 1))
    found.expect([1, 2])
    until(lambda: len(copies(tmp_path)) == 2 and first not in copies(tmp_path))
    store = ImageStore([], found)
    assert [store.read(f"{shard}.tar/0.jpg")[0] for shard in range(3)] == [0, 1, 2]


def test_names_in_order_expect_their_shard_and_the_next(shards, monkeypatch):
    found = shards(room=0)
    expected = []
    monkeypatch.setattr(found, "expect", expected.append)
    assert list(found.in_order([(0, "a"), (0, "b"), (2, "c")])) == ["a", "b", "c"]
    assert expected == [[0, 2], [2]]
    assert list(found.in_order([])) == []


def test_what_a_killed_process_left_of_a_copy_is_not_taken_for_one(shards, storage, tmp_path):
    found = shards(room=1)
    (tmp_path / "copies").mkdir()
    (tmp_path / "copies" / f"{found.shards[0].key}.part").write_bytes(b"half")
    assert ImageStore([], found).read("0.tar/1.jpg").tobytes() == content(0, 1)


def test_each_process_lists_its_part_and_all_are_there_once_all_have_come_back(shards, tmp_path):
    def others():
        shards(share=(1, 2))

    assert len(ImageStore([], shards(share=(0, 2), wait=others))) == 18
    assert len(list((tmp_path / "lists").iterdir())) == 3


def test_shards_of_one_name_in_two_folders_are_told_apart(shards, storage):
    storage.pipe_file("/photos/more/0.tar", storage.cat_file("/photos/1.tar"))
    store = ImageStore([], shards(["memory://photos/0.tar", "memory://photos/more"]))
    assert store.read("more/0.tar/0.jpg").tobytes() == content(1, 0)
    assert "0.tar/0.jpg" in store


@pytest.mark.parametrize(
    "names",
    [
        ["photos/train-0.tar", "photos/train-1.tar", "photos/val-0.tar"],
        ["photos/a/train-0.tar", "photos/a/train-1.tar", "photos/b/val-0.tar"],
        ["photos/a/train/0.tar", "photos/a/train/1.tar", "photos/b/val/0.tar"],
        ["photos/train-0.TAR", "photos/more/TRAIN-1.TAR", "else/val-0.tar"],
    ],
)
def test_shards_called_by_splits_are_these_in_whatever_folders(shards, storage, names):
    for number, name in enumerate(names):
        storage.pipe_file(f"/{name}", storage.cat_file(f"/photos/{number}.tar"))
    found = read_captions_beside("shards", ImageStore([], shards([f"memory://{name}" for name in names])))
    assert {entry.captions[0][-1]: entry.split for entry in found.entries} == {"0": "train", "1": "train", "2": "val"}


def test_a_shard_that_changes_is_noticed(shards, storage):
    found = shards(room=0)
    storage.pipe_file("/photos/0.tar", b"short")
    with pytest.raises(DataError, match="0 bytes came where 3,000 were asked for; the file has changed"):
        ImageStore([], found).read("0.tar/1.jpg")


def test_a_packed_shard_and_one_that_is_none_are_one_sentence(shards, storage):
    storage.pipe_file("/photos/1.tar", b"\x1f\x8b" + bytes(1000))
    with pytest.raises(DataError, match=r"memory://photos/1\.tar: a packed tar file, .* unpack it\."):
        shards(room=0)
    storage.pipe_file("/photos/1.tar", b"no tar file" * 100)
    with pytest.raises(DataError, match=r"memory://photos/1\.tar: not a zip, tar or Parquet file that can be read"):
        shards(room=0)


@pytest.mark.parametrize("pattern", ["s3://a/{0..99999999999}.tar", "{0..9999}{0..9999}", "{0..99999}{a,b,c}" * 2])
def test_more_names_than_anybody_has_are_one_sentence(pattern):
    with pytest.raises(DataError, match=r"stands for more than 10,000,000 names; give a folder or a pattern with \*\."):
        expand_braces(pattern)


def test_what_a_network_spoils_is_tried_again(monkeypatch):
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    answers = [OSError("reset"), OSError("reset"), b"photo"]

    def read():
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise DataError("cannot be read") from answer
        return answer

    assert patiently(read) == b"photo"
    assert waited == [2, 4]
    answers[:] = [FileNotFoundError("gone"), b"photo"]
    with pytest.raises(DataError):
        patiently(read)


@pytest.fixture
def web(storage, tmp_path):
    """The address of a web server of the shards, which tells no ETag and gives no parts of files."""
    pytest.importorskip("aiohttp")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_web_server_without_parts_of_files_serves_shards_that_fit_and_is_named_otherwise(web, shards, tmp_path):
    found = shards([f"{web}/{{0..2}}.tar"])
    assert ImageStore([], found).read("2.tar/1.jpg").tobytes() == content(2, 1)
    found.copies.folder = tmp_path / "elsewhere"
    with pytest.raises(DataError, match="or its server gives no parts of files"):
        ImageStore([], found).read("2.tar/1.jpg")


@pytest.mark.parametrize("pattern", ["{0..2}.tar", "*.tar"])
def test_a_shard_on_the_web_that_changes_at_the_same_size_is_noticed(web, shards, tmp_path, pattern):
    before = ImageStore([], shards([f"{web}/{pattern}"])).fingerprint("0.tar/1.jpg")
    path = tmp_path / "0.tar"
    path.write_bytes(path.read_bytes().replace(content(0, 1), content(7, 7)))
    os.utime(path, (1e9, 1e9))
    after = ImageStore([], shards([f"{web}/{pattern}"]))
    assert after.read("0.tar/1.jpg").tobytes() == content(7, 7)
    assert after.fingerprint("0.tar/1.jpg") != before


def test_a_query_is_no_part_of_a_shards_name_but_where_two_differ_in_it_only(web, shards, tmp_path):
    for number, name in enumerate(("train-0.tar", "train-1.tar", "val-0.tar")):
        (tmp_path / f"{number}.tar").rename(tmp_path / name)
    signed = [f"{web}/train-0.tar?sign=a/b", f"{web}/train-1.tar?sign=a/c", f"{web}/val-0.tar?sign=a/d"]
    store = ImageStore([], shards(signed))
    assert store.read("val-0.tar/1.jpg").tobytes() == content(2, 1)
    entries = read_captions_beside("shards", store).entries
    assert [entry.split for entry in entries] == ["train"] * 6 + ["val"] * 3
    twice = read_captions_beside("shards", ImageStore([], shards([*signed, f"{web}/val-0.tar?sign=a/e"])))
    assert [entry.split for entry in twice.entries] == ["train"] * 6 + ["val"] * 6


@pytest.fixture
def answers():
    """The address of a web server that answers `/STATUS.tar` with that status."""
    pytest.importorskip("aiohttp")

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(int(self.path[1:4]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "sentence"),
    [
        (404, "no such shard of photos."),
        (410, "no such shard of photos."),
        (403, "cannot be read (403, message='Forbidden', url="),
        (503, "cannot be read (503, message='Service Unavailable', url="),
    ],
)
def test_what_a_web_server_answers_is_told_apart(answers, shards, status, sentence):
    with pytest.raises(DataError) as raised:
        shards([f"{answers}/{status}.tar"])
    assert str(raised.value).startswith(f"{answers}/{status}.tar: {sentence}")


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_web_server_that_is_not_there_cannot_be_reached(answers, shards, scheme):
    nobody = "http://127.0.0.1:9" if scheme == "http" else answers.replace("http", "https")
    with pytest.raises(DataError) as raised:
        shards([f"{nobody}/0.tar"])
    assert str(raised.value).startswith(f"{nobody}/0.tar: cannot be reached (Cannot connect to host 127.0.0.1:")
    with pytest.raises(DataError) as raised, open_address(f"{nobody}/0.tar") as file:
        file.read()
    assert str(raised.value).startswith(f"{nobody}/0.tar: cannot be reached (")


def test_many_shards_of_a_folder_that_is_not_there_are_missing(shards):
    with pytest.raises(DataError, match=r"memory://nowhere/0\.tar, .* and 17 more: no such shard of photos\."):
        shards(["memory://nowhere/{0..19}.tar"])
