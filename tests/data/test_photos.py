import io
import multiprocessing
import os
import pickle
import tarfile
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor

import pytest

from captioner.data.photos import ImageStore
from captioner.errors import DataError, ImageError


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "train").mkdir()
    (tmp_path / "train" / "a.jpg").write_bytes(b"photo a")
    (tmp_path / "b.jpg").write_bytes(b"photo b")
    return tmp_path


@pytest.fixture
def archive(tmp_path_factory):
    path = tmp_path_factory.mktemp("archive") / "photos.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for number in range(50):
            file.writestr(f"val/{number}.jpg", f"photo {number}" * 500)
    return path


def test_a_photo_is_found_by_relative_path_and_by_name_alone(folder, archive):
    store = ImageStore([folder, archive])
    for name, content in (("train/a.jpg", b"photo a"), ("a.jpg", b"photo a"), ("b.jpg", b"photo b")):
        assert name in store
        assert store.read(name).tobytes() == content
    assert store.read("val/7.jpg").tobytes() == store.read("7.jpg").tobytes() == b"photo 7" * 500
    assert len(store) == 52


def test_a_folder_the_captions_name_need_not_exist(folder):
    assert ImageStore([folder]).read("val2014/b.jpg").tobytes() == b"photo b"


def test_zip_files_inside_a_folder_are_searched_too(archive):
    assert "3.jpg" in ImageStore([archive.parent])


def test_a_photo_that_is_not_there_is_named(folder):
    store = ImageStore([folder])
    assert "c.jpg" not in store
    with pytest.raises(DataError, match=r"c\.jpg: not found"):
        store.read("c.jpg")


def test_one_path_is_one_path(folder):
    assert len(ImageStore(folder)) == len(ImageStore(str(folder))) == len(ImageStore([folder]))


def test_links_that_lead_nowhere_or_in_circles_are_passed_over(folder):
    (folder / "loop.jpg").symlink_to("loop.jpg")
    (folder / "gone.jpg").symlink_to("nowhere.jpg")
    (folder / "gone.zip").symlink_to("nowhere.zip")
    (folder / "train" / "again").symlink_to(folder, target_is_directory=True)
    store = ImageStore([folder])
    assert len(store) == 2
    assert store.read("a.jpg").tobytes() == b"photo a"


def test_a_folder_reached_by_a_link_is_read(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere")
    (other / "c.jpg").write_bytes(b"photo c")
    (folder / "more").symlink_to(other, target_is_directory=True)
    assert ImageStore([folder]).read("more/c.jpg").tobytes() == b"photo c"


def test_a_photo_that_unpacks_to_more_than_any_photo_is_refused(archive, monkeypatch):
    monkeypatch.setattr("captioner.data.photos.LARGEST", 1000)
    with pytest.raises(ImageError, match=r"photos\.zip: val/0\.jpg unpacks to 3,500 bytes, more than 1,000"):
        ImageStore([archive]).read("0.jpg")


def test_two_photos_of_one_name_need_their_folders(folder):
    (folder / "val").mkdir()
    (folder / "val" / "a.jpg").write_bytes(b"another")
    store = ImageStore([folder])
    with pytest.raises(DataError, match=r"a\.jpg: several files have this name"):
        store.read("a.jpg")
    assert store.read("val/a.jpg").tobytes() == b"another"
    assert store.read("data/val/a.jpg").tobytes() == b"another"


def test_the_first_path_wins(folder, tmp_path_factory):
    other = tmp_path_factory.mktemp("other")
    (other / "b.jpg").write_bytes(b"another")
    assert ImageStore([other, folder]).read("b.jpg").tobytes() == b"another"


def test_many_threads_read_what_one_would(archive):
    store = ImageStore([archive])
    names = [f"{number % 50}.jpg" for number in range(2000)]
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(lambda name: store.read(name).tobytes(), names))
    assert contents == [f"photo {name.removesuffix('.jpg')}".encode() * 500 for name in names]


def _read(store, name):
    return store.read(name).tobytes()


def test_other_processes_can_read(archive):
    store = ImageStore([archive])
    store.read("1.jpg")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        contents = pool.starmap(_read, [(store, f"{number}.jpg") for number in range(50)])
    assert contents == [f"photo {number}".encode() * 500 for number in range(50)]
    assert _read(pickle.loads(pickle.dumps(store)), "5.jpg") == b"photo 5" * 500


@pytest.mark.parametrize("name", ["b.jpg", "x.zip", "x.tar"])
def test_a_fingerprint_changes_with_the_content_alone(folder, name):
    def write(path, content):
        if name == "x.zip":
            with zipfile.ZipFile(path, "w") as file:
                file.writestr(zipfile.ZipInfo("b.jpg"), content)
        elif name == "x.tar":
            with tarfile.open(path, "w") as file:
                member = tarfile.TarInfo("b.jpg")
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))
        else:
            path.write_bytes(content)
        os.utime(path, ns=(1, 1))

    def fingerprint(path):
        return ImageStore(path).fingerprint("b.jpg")

    for kind in ("here", "there"):
        (folder / kind).mkdir()
        write(folder / kind / name, b"photo b" * 3000)
    os.utime(folder / "there" / name, ns=(2, 2))  # as copying does
    assert fingerprint(folder / "here") == fingerprint(folder / "there")
    write(folder / "there" / name, b"photo B" * 3000)
    assert fingerprint(folder / "here") != fingerprint(folder / "there")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_of_two_files_with_one_name_in_an_archive_the_later_counts(tmp_path, make_tar):
    make_tar(tmp_path / "x.tar", [("a.jpg", b"old"), ("b.jpg", b"b"), ("a.jpg", b"newer")])
    with zipfile.ZipFile(tmp_path / "y.zip", "w") as archive:
        for content in (b"old", b"newer"):
            archive.writestr("c.jpg", content)
    store = ImageStore(tmp_path)
    assert store.read("x.tar/a.jpg").tobytes() == store.read("c.jpg").tobytes() == b"newer"
    assert store.size("x.tar/a.jpg") == store.size("c.jpg") == 5
    assert store.fingerprint("c.jpg").endswith(f"{zlib.crc32(b'newer'):08x}")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all files")
def test_a_photo_that_cannot_be_read_has_a_fingerprint(folder):
    (folder / "b.jpg").chmod(0)
    assert ImageStore(folder).fingerprint("b.jpg").startswith("unreadable")


def test_a_path_that_is_no_store_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere: no such folder, zip file or tar file"):
        ImageStore([tmp_path / "nowhere"])
    (tmp_path / "cut.zip").write_bytes(b"PK not really")
    with pytest.raises(DataError, match=r"cut\.zip: neither a folder nor an archive"):
        ImageStore([tmp_path / "cut.zip"])


def test_damage_inside_a_zip_file_is_reported_for_its_photo(archive):
    content = bytearray(archive.read_bytes())
    content[60] ^= 255  # in the first photo's compressed bytes
    archive.write_bytes(content)
    store = ImageStore([archive])
    with pytest.raises(ImageError, match=r"photos\.zip: val/0\.jpg cannot be read"):
        store.read("0.jpg")
    assert store.read("1.jpg").tobytes() == b"photo 1" * 500


def test_a_photo_deleted_meanwhile_is_reported(folder):
    store = ImageStore([folder])
    (folder / "b.jpg").unlink()
    with pytest.raises(ImageError, match=r"b\.jpg: cannot be read"):
        store.read("b.jpg")


def test_photos_in_folders_of_other_names_are_other_photos(tmp_path):
    for year in ("2019", "2020"):
        (tmp_path / "photos" / year).mkdir(parents=True)
        (tmp_path / "photos" / year / "IMG_1.jpg").write_bytes(year.encode())
    store = ImageStore([tmp_path / "photos"])
    assert "2021/IMG_1.jpg" not in store
    assert store.read("photos/2020/IMG_1.jpg").tobytes() == b"2020"
    with pytest.raises(DataError, match="several files"):
        store.read("IMG_1.jpg")
