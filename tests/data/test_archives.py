"""Photos in zip, tar and Parquet files, read one after the other."""

import bz2
import gzip
import io
import lzma
import tarfile
import zipfile
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.data.archives import Member, group_samples, read_members
from captioner.data.names import inner_name
from captioner.errors import DataError

FILES = {"a/1.jpg": b"one" * 300, "a/1.json": b"{}", "b.txt": b"", "a/2.jpg": b"two" * 4000}


def tar_of(files, links=()) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for name in links:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, "/etc/passwd"
            archive.addfile(info)
    return buffer.getvalue()


def zip_of(files, method=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


class Stream(io.RawIOBase):
    """Gives a few bytes at a time, forwards only, as a connection does."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, count=-1):
        return self._data.read(min(count, 777))


def read_all(source, **options):
    """Members, and the sentence at the end if there is one."""
    members = []
    try:
        for member in read_members(source, "x", **options):
            members.append(member)
    except DataError as error:
        return members, str(error)
    return members, None


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("kind", [io.BytesIO, Stream])
def test_a_tar_file_is_read_from_a_stream_however_it_is_packed(pack, kind):
    members, sentence = read_all(kind(pack(tar_of(FILES, links=["link.jpg"]))))
    assert {member.name: member.data for member in members} == FILES
    assert sentence is None


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_zip_file_is_read_from_a_path_and_from_a_file(tmp_path, method):
    (tmp_path / "x.zip").write_bytes(zip_of(FILES, method))
    for source in (tmp_path / "x.zip", str(tmp_path / "x.zip"), io.BytesIO(zip_of(FILES, method))):
        members, sentence = read_all(source)
        assert {member.name: member.data for member in members} == FILES
        assert sentence is None


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_only_wanted_suffixes_are_read(make):
    members, _ = read_all(io.BytesIO(make(FILES)), suffixes={".jpg"})
    assert [member.name for member in members] == ["a/1.jpg", "a/2.jpg"]


def test_members_of_one_key_are_one_sample():
    members = [Member(name) for name in ("a/1.jpg", "a/1.JSON", "a/1.seg.png", "b/1.jpg", ".hidden", "none", "b/1.txt")]
    samples = [(sample.key, sorted(sample.files)) for sample in group_samples(members)]
    assert samples == [("a/1", ["jpg", "json", "seg.png"]), ("b/1", ["jpg", "txt"])]


@pytest.mark.parametrize("name", ["../up.jpg", "a/../../up.jpg", "/etc/up.jpg", "C:\\up.jpg", "a\\..\\..\\up.jpg"])
@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_names_that_lead_out_of_the_archive_are_not_followed(make, name):
    members, sentence = read_all(io.BytesIO(make({name: b"x", "good.jpg": b"y"})))
    assert [(member.data, member.error) for member in members] == [
        (b"", "its name leads out of the archive"),
        (b"y", None),
    ]
    assert sentence is None


@given(st.text(max_size=30))
def test_no_inner_name_leads_out(name):
    inner = inner_name(name)
    assert inner is None or not (inner.startswith("/") or ".." in inner.split("/") or "\\" in inner)


@pytest.mark.parametrize("make", [zip_of, tar_of])
def test_a_member_that_unpacks_to_too_much_is_refused_and_the_rest_is_read(make):
    members, sentence = read_all(io.BytesIO(make({"bomb.jpg": bytes(100_001), "good.jpg": b"y"})), largest=100_000)
    assert members[0].error == "unpacks to 100,001 bytes, more than 100,000; unpack it yourself if that is meant"
    assert (members[1].data, sentence) == (b"y", None)


def test_a_zip_file_that_lies_about_sizes_gives_no_more_than_it_claims():
    data = zip_of({"bomb.jpg": bytes(50_000_000)})
    members, _ = read_all(io.BytesIO(data.replace((50_000_000).to_bytes(4, "little"), (10).to_bytes(4, "little"))))
    assert members[0].data == b""
    assert members[0].error.startswith("damaged in the zip file")


def test_a_tar_header_that_claims_gigabytes_costs_no_memory():
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 40
    members, sentence = read_all(io.BytesIO(tar_of({"a.jpg": b"x"})[:1024] + info.tobuf(tarfile.GNU_FORMAT)))
    assert [member.name for member in members] == ["a.jpg"]
    assert "is damaged" in sentence


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_members_packed_by_methods_that_know_no_limit_are_refused(method):
    members, _ = read_all(io.BytesIO(zip_of(FILES, method)))
    assert {member.error for member in members} == {"packed by another method than deflate; pack it again"}


def test_a_member_with_a_password_says_so():
    data = bytearray(zip_of({"a.jpg": b"x" * 99}))
    for mark, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + offset] |= 1
    members, _ = read_all(io.BytesIO(bytes(data)))
    assert members == [Member("a.jpg", error="locked by a password")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_tar_file_cut_at_any_place_gives_what_is_before_and_one_sentence(pack):
    data = pack(tar_of(FILES))
    end = len(data) - (0 if pack is gzip.compress else 9000)  # zeros follow the last member
    for cut in range(0, end - 1, 1 if pack is gzip.compress else 501):
        members, sentence = read_all(Stream(data[:cut]))
        assert [(member.name, member.data) for member in members] == list(FILES.items())[: len(members)]
        assert sentence is None or sentence.startswith("x: ")
        if members and sentence is not None:
            assert sentence == f"x: the archive ends too soon; only the {len(members)} files before that could be read."
        if len(members) < len(FILES):
            assert sentence is not None


@given(st.sampled_from([tar_of, zip_of]), st.integers(0, 3000), st.binary(min_size=1, max_size=9))
def test_damage_ends_in_members_and_at_most_one_sentence(make, place, bytes_):
    data = make(FILES)
    place %= len(data)
    read_all(io.BytesIO(data[:place] + bytes_ + data[place + len(bytes_) :]))


def test_a_member_without_a_name_is_told_and_the_others_are_read():
    damaged = zip_of({"?": b"nothing", "a.jpg": b"A"}).replace(b"?", b"\0")  # zipfile cuts names at a zero byte
    members, sentence = read_all(io.BytesIO(damaged))
    assert [(member.error, member.data) for member in members][1:] == [(None, b"A")]
    assert members[0].error is not None
    assert sentence is None


@pytest.mark.parametrize("data", [b"", b"no archive" * 99, b"PK\3\4 no zip", b"PAR1 no Parquet", b"\x1f\x8b"])
def test_what_is_no_archive_is_refused(data):
    members, sentence = read_all(io.BytesIO(data))
    assert members == []
    assert sentence.startswith("x: ")


def test_a_zip_file_from_a_connection_is_refused():
    assert "give a file, no stream" in read_all(Stream(zip_of(FILES)))[1]


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(DataError, match=r"none\.zip: cannot be read \(No such file"):
        list(read_members(tmp_path / "none.zip"))


def parquet_of(**columns):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")

    buffer = io.BytesIO()
    parquet.write_table(pyarrow.table(columns), buffer, row_group_size=2)
    return buffer.getvalue()


def test_a_parquet_file_gives_its_photos_by_their_paths_or_their_rows():
    photos = [{"bytes": b"1", "path": "a.jpg"}, {"bytes": b"2", "path": "a.jpg"}, {"bytes": b"3", "path": "c.jpg"}]
    members, _ = read_all(io.BytesIO(parquet_of(text=["x", "y", "z"], image=photos)))
    assert [(member.name, member.data) for member in members] == [("row-0", b"1"), ("row-1", b"2"), ("c.jpg", b"3")]
    members, _ = read_all(io.BytesIO(parquet_of(image=[b"1", b"2"], path=["x/1.jpg", "x/2.jpg"])))
    assert [(member.name, member.data) for member in members] == [("x/1.jpg", b"1"), ("x/2.jpg", b"2")]
    photos = [{"bytes": b"%d" % row, "path": path} for row, path in enumerate(["/data/a.jpg", "../b.jpg", "./c", "c"])]
    members, _ = read_all(io.BytesIO(parquet_of(image=[*photos, {"bytes": b"4", "path": "d.1"}])), suffixes={".jpg"})
    assert [member.name for member in members] == ["row-0", "row-1", "row-2", "row-3", "d.1"]
    assert "no column holds photos" in read_all(io.BytesIO(parquet_of(path=["a.jpg"])))[1]


def test_a_parquet_file_cut_or_damaged_is_one_sentence():
    data = parquet_of(image=[b"1" * 5000, b"2" * 5000])
    for bad in (data[:-20], data[:9] + bytes(200) + data[209:]):
        members, sentence = read_all(io.BytesIO(bad))
        assert sentence is None or sentence.startswith("x: ")
        assert sentence or zlib.crc32(members[0].data)
