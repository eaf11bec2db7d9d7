"""Photos in archives by paths of their own, and lists of photos."""

import gzip
import io
import tarfile
import threading
import zipfile

import pytest

from captioner.data import packed
from captioner.data.packed import open_packed, read_packed, split
from captioner.data.photo_lists import read_photo_list
from captioner.errors import DataError, ImageError

FILES = {"a/1.jpg": b"one" * 300, "b.txt": b"", "a/2.jpg": b"two" * 4000}


def write_tar(path, files, pack=bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    path.write_bytes(pack(buffer.getvalue()))


def write_zip(path, files) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def write_parquet(path, **columns) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    parquet.write_table(pyarrow.table(columns), path, row_group_size=2)


@pytest.fixture(params=["x.zip", "x.tar", "x.TGZ", "x.parquet"])
def archive(request, tmp_path):
    path = tmp_path / request.param
    if path.suffix == ".parquet":
        photos = [{"path": name, "bytes": data} for name, data in FILES.items()]
        write_parquet(path, image=photos)
    elif path.suffix == ".zip":
        write_zip(path, FILES)
    else:
        write_tar(path, FILES, gzip.compress if path.suffix == ".TGZ" else bytes)
    return path


def test_a_file_in_an_archive_is_read_by_its_path_in_any_order(archive):
    assert open_packed(str(archive)).names == list(FILES)
    for name in reversed(FILES):
        assert read_packed(f"{archive}/{name}") == FILES[name]
    with pytest.raises(ImageError, match=r"x\.\w+/gone\.jpg: cannot be read \(no such file in the archive\)"):
        read_packed(f"{archive}/gone.jpg")


def test_several_threads_read_one_archive(archive):
    wrong = []

    def read():
        for _ in range(20):
            wrong.extend(name for name, data in FILES.items() if read_packed(f"{archive}/{name}") != data)

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_only_files_that_are_archives_are_looked_into(tmp_path):
    (tmp_path / "folder.zip").mkdir()
    write_zip(tmp_path / "x.zip", FILES)
    assert split(str(tmp_path / "folder.zip" / "a.jpg")) is None
    assert split(str(tmp_path / "x.jpg")) is None
    assert split(str(tmp_path / "x.zip")) is None
    assert split(f"{tmp_path}/x.zip/a/1.jpg") == (str(tmp_path / "x.zip"), "a/1.jpg")
    assert read_packed(str(tmp_path / "x.jpg")) is None


def test_an_archive_that_changes_is_read_anew(tmp_path):
    write_zip(tmp_path / "x.zip", FILES)
    assert read_packed(f"{tmp_path}/x.zip/b.txt") == b""
    write_zip(tmp_path / "x.zip", {"b.txt": b"longer than before"})
    assert read_packed(f"{tmp_path}/x.zip/b.txt") == b"longer than before"


def test_the_stamp_of_a_file_follows_its_content(tmp_path):
    bitmap = bytes(30_000)
    changed = bitmap[:15_000] + b"1" + bitmap[15_001:]  # beginning and end are the same
    write_tar(tmp_path / "x.tar", {"a.bmp": bitmap, "b.bmp": changed})
    write_parquet(tmp_path / "x.parquet", image=[bitmap, changed, bitmap])
    for name, (first, second) in {"x.tar": ("a.bmp", "b.bmp"), "x.parquet": ("row-0", "row-1")}.items():
        opened = open_packed(str(tmp_path / name))
        assert opened.stamp(first) != opened.stamp(second)
        assert opened.stamp(first) == opened.stamp(first)
    assert opened.stamp("row-0") == opened.stamp("row-2")


def test_a_tar_file_cut_short_names_the_files_that_are_whole_and_says_so(tmp_path):
    write_tar(tmp_path / "x.tar", FILES)
    data = (tmp_path / "x.tar").read_bytes()
    (tmp_path / "x.tar").write_bytes(data[: data.index(b"two") + 99])
    found = open_packed(str(tmp_path / "x.tar"))
    assert found.names == ["a/1.jpg", "b.txt"]
    assert found.problem == "the archive ends too soon; only the 2 files before that could be read"


def test_names_that_lead_out_are_left_out_and_named(tmp_path):
    write_tar(tmp_path / "x.tar", {"../../up.jpg": b"x", "good.jpg": b"y"})
    found = open_packed(str(tmp_path / "x.tar"))
    assert found.names == ["good.jpg"]
    assert found.problem == "1 of its names lead out of it, such as ../../up.jpg"


def test_a_file_without_a_name_is_told_and_the_others_are_read(tmp_path):
    write_zip(tmp_path / "x.zip", {"?": b"nothing", "good.jpg": b"y"})
    data = (tmp_path / "x.zip").read_bytes()
    (tmp_path / "x.zip").write_bytes(data.replace(b"?", b"\0"))  # zipfile cuts names at a zero byte
    found = open_packed(str(tmp_path / "x.zip"))
    assert found.names == ["good.jpg"]
    assert found.problem == "1 of its names lead out of it, such as one that is empty"


def test_a_packed_tar_file_that_unpacks_to_more_than_the_disk_holds_is_refused(tmp_path, monkeypatch):
    write_tar(tmp_path / "x.tgz", {"bomb.jpg": bytes(5_000_000)}, gzip.compress)
    monkeypatch.setattr(packed, "_SPARE", 1 << 60)
    with pytest.raises(DataError, match=r"x\.tgz: unpacks to more than the disk has room for"):
        open_packed(str(tmp_path / "x.tgz"))


@pytest.mark.parametrize("name", ["x.zip", "x.tar", "x.tgz", "x.parquet"])
@pytest.mark.parametrize("data", [b"", b"PK\3\4", b"PAR1", b"\x1f\x8b\x08", b"something else" * 99])
def test_what_is_no_archive_is_one_sentence(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(DataError, match=rf"^{tmp_path}/{name}: [^\n]+$"):
        open_packed(str(tmp_path / name))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.csv", "id,path\n1,deep/x.jpg\n2,\"y, too.jpg\"\n"),
        ("a.csv", "path;id\ndeep/x.jpg;1\n\"y, too.jpg\";2\n"),
        ("a.tsv", "Image\tlabel\ndeep\\x.jpg\ta\ny, too.jpg\tb\n"),
        ("a.tsv", "deep/x.jpg\ta\ny, too.jpg\tb\n"),
        ("a.csv", "\ufefffile_name\ndeep/x.jpg\n\"y, too.jpg\"\n"),
    ],
)
def test_a_list_gives_paths_from_its_own_folder(tmp_path, name, text):
    (tmp_path / "deep").mkdir()
    for photo in ("deep/x.jpg", "y, too.jpg"):
        (tmp_path / photo).touch()
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_photo_list(str(tmp_path / name)) == [f"{tmp_path}/deep/x.jpg", f"{tmp_path}/y, too.jpg"]


def test_a_parquet_list_gives_paths(tmp_path):
    write_parquet(tmp_path / "a.parquet", caption=["x", "y"], image_path=["1.jpg", "2.jpg"])
    assert read_photo_list(str(tmp_path / "a.parquet")) == [f"{tmp_path}/1.jpg", f"{tmp_path}/2.jpg"]


def test_a_list_without_paths_names_its_columns(tmp_path):
    (tmp_path / "a.csv").write_text("name,label\nx,1\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"a\.csv: no column is called path, image or file_name; they are name and lab"):
        read_photo_list(str(tmp_path / "a.csv"))
