"""Photos in archives and lists get the rows that they get as files."""

import csv
import io
import json
import os
import tarfile
import zipfile

import pytest


def write_tar(path, files) -> None:
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def write_zip(path, files) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)


def write_parquet(path, files) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    photos = [{"path": name, "bytes": data} for name, data in files.items()]
    parquet.write_table(pyarrow.table({"image": photos, "text": [""] * len(photos)}), path, row_group_size=2)


WRITERS = {"x.zip": write_zip, "x.tar": write_tar, "x.tar.gz": write_tar, "x.parquet": write_parquet}


def rows_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def captions(rows) -> list[str]:
    return [row["caption"] for row in rows]


@pytest.fixture
def photos(make_photos):
    """Photos, and their bytes by the names that they have in archives."""
    folder = make_photos(3)
    return folder, {f"deep/{path.stem}.JPG": path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("name", WRITERS)
def test_photos_in_an_archive_have_the_captions_of_the_files(caption, photos, tmp_path, name):
    folder, files = photos
    expected = captions(rows_of(caption(folder)[1]))
    others = {"deep/photo0000.json": b"{}", "deep/notes.docx": b"x", "__MACOSX/deep/._photo.jpg": b"x", ".x.jpg": b""}
    WRITERS[name](tmp_path / name, files | ({} if name == "x.parquet" else others))
    status, out, err = caption(tmp_path / name)
    rows = rows_of(out)
    assert [row["path"] for row in rows] == [f"{tmp_path}/{name}/{inner}" for inner in files]
    assert captions(rows) == expected
    assert status == 0
    assert name == "x.parquet" or "passed over: 1 .docx" in err
    assert captions(rows_of(caption(f"{tmp_path}/{name}/deep/photo0001.JPG")[1])) == expected[1:2]
    assert captions(rows_of(caption(f"{tmp_path}/{name}/deep")[1])) == expected


@pytest.mark.parametrize("name", ["x.zip", "x.tar"])
def test_an_output_of_an_archive_is_continued_and_what_has_changed_is_done_again(caption, photos, tmp_path, name):
    _, files = photos
    names = list(files)
    WRITERS[name](tmp_path / name, {inner: files[inner] for inner in names[:2]})
    outputs = ["-o", tmp_path / "a.jsonl", "-o", tmp_path / "a.csv"]
    assert caption(tmp_path / name, *outputs)[0] == 0
    WRITERS[name](tmp_path / name, {names[0]: files[names[2]], **{inner: files[inner] for inner in names[1:]}})
    os.utime(tmp_path / name, (1, 1))
    status, _, err = caption(tmp_path / name, *outputs)
    assert status == 0
    assert "2 images done" in err
    assert "1 were done before" in err
    assert "1 had changed" in err
    rows = {row["path"].rpartition("/")[2]: row["caption"] for row in rows_of((tmp_path / "a.jsonl").read_text())}
    assert len(rows) == 3
    assert rows["photo0000.JPG"] == rows["photo0002.JPG"]
    assert "3 were done before" in caption(tmp_path / name, *outputs)[2]


def test_a_list_gives_a_row_to_each_photo_that_it_names(caption, photos, tmp_path):
    folder, files = photos
    write_zip(tmp_path / "x.zip", files)
    inner = f"x.zip/{list(files)[2]}"
    (tmp_path / "a.tsv").write_text(f"path\tid\nphotos/photo0001.jpg\t1\n{inner}\t2\ngone.jpg\t3\n", encoding="utf-8")
    status, out, _ = caption(tmp_path / "a.tsv")
    expected = captions(rows_of(caption(folder)[1]))
    rows = rows_of(out)
    assert captions(rows[:2]) == expected[1:]
    assert rows[2]["error"] == "cannot be read (no such file or directory)"
    assert status == 1


def test_captions_of_one_run_are_the_inputs_of_another(caption, photos, tmp_path):
    folder, _ = photos
    caption(folder, "-o", tmp_path / "a.csv")
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        expected = [row["caption"] for row in csv.DictReader(file)]
    assert captions(rows_of(caption(tmp_path / "a.csv")[1])) == expected


def test_a_damaged_archive_is_a_row_and_the_others_are_read(caption, photos, tmp_path):
    _, files = photos
    write_tar(tmp_path / "cut.tar", files)
    last = list(files.values())[2]
    data = (tmp_path / "cut.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(data[: data.index(last) + 9])
    (tmp_path / "bad.zip").write_bytes(b"PK\3\4")
    write_zip(tmp_path / "good.zip", {"../up.jpg": last, "good.jpg": last})
    status, out, err = caption(tmp_path / "cut.tar", tmp_path / "bad.zip", tmp_path / "good.zip")
    rows = rows_of(out)
    assert status == 1
    assert {row["path"]: row["error"] for row in rows if "error" in row} == {
        str(tmp_path / "cut.tar"): "the archive ends too soon; only the 2 files before that could be read",
        str(tmp_path / "bad.zip"): "not a zip file that can be read (File is not a zip file)",
        str(tmp_path / "good.zip"): "1 of its names lead out of it, such as ../up.jpg",
    }
    assert len([row for row in rows if "caption" in row]) == 3
    assert "3 failed" in err


def test_an_archive_that_has_a_fault_fails_each_run_and_has_one_row(caption, photos, tmp_path):
    _, files = photos
    photo = next(iter(files.values()))
    write_zip(tmp_path / "good.zip", {"../up.jpg": b"x", "a.jpg": photo, "b.jpg": photo})
    named = [tmp_path / "good.zip" / name for name in ("a.jpg", "b.jpg")]
    for before in ("1 failed", "3 were done before, 1 of which had failed"):
        status, _, err = caption(*named, "-o", tmp_path / "rows.jsonl")
        assert status == 1
        assert before in err
        assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 3


def test_archives_in_folders_are_counted_and_texts_are_not_written_into_archives(caption, photos, tmp_path):
    folder, files = photos
    write_zip(folder / "more.zip", files)
    assert "passed over: 1 .zip" in caption(folder)[2]
    status, _, err = caption(folder / "more.zip", "--sidecar")
    assert status == 2
    assert "--sidecar cannot write into an archive; use -o FILE" in " ".join(err.split())
