"""Parquet, metadata.jsonl and CSV for spreadsheets, read back by other programs and continued."""

import codecs
import csv
import json

import pytest

from captioner.errors import UsageError
from captioner.pipelines.caption.outputs import MetadataRows
from captioner.pipelines.folder.outputs import CsvRows, Record
from captioner.pipelines.folder.parquet import ParquetRows

DOG, CAT = {"caption": "A dog.", "score": -0.5}, {"caption": 'A "cat", très.', "score": -0.7}


def rows_of(path) -> list[dict]:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    return parquet.read_table(path).to_pylist()


def test_a_parquet_file_holds_the_rows_when_the_run_has_ended_and_is_continued(caption, make_photos, tmp_path):
    photos = make_photos(3)
    (photos / "bad.jpg").write_bytes(b"")
    outputs = ["-o", tmp_path / "a.parquet", "-o", tmp_path / "a.jsonl"]
    assert caption(photos, *outputs)[0] == 1
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    rows = rows_of(tmp_path / "a.parquet")
    assert [{key: value for key, value in row.items() if value is not None} for row in rows] == lines
    assert list(rows[0]) == ["path", "caption", "score", "warning", "error"]
    assert sorted(path.name for path in tmp_path.glob("a.*")) == [
        *("a.jsonl", "a.jsonl.made", "a.parquet", "a.parquet.made")
    ]
    make_photos(1, name="z{:04}.jpg")
    assert "1 images done" in caption(photos, *outputs)[2]
    again = rows_of(tmp_path / "a.parquet")
    assert again[:4] == rows
    assert len(again) == 5
    status, _, err = caption(photos, *outputs, "--beam-size", 1)
    assert status == 2
    assert "a.parquet: its rows were made with beam_size" in " ".join(err.split())
    assert rows_of(tmp_path / "a.parquet") == again


def test_a_photo_whose_name_is_no_utf8_is_known_in_a_parquet_file_again(caption, make_photos, tmp_path):
    photos = make_photos(1)
    photos.joinpath("photo0000.jpg").rename(photos / "bad\udcff.jpg")
    path = tmp_path / "a.parquet"
    assert caption(photos, "-o", path)[0] == 0
    before = rows_of(path)
    assert [row["path"].rpartition("/")[2] for row in before] == ["bad\ufffd.jpg"]
    status, _, err = caption(photos, "-o", path)
    assert status == 0
    assert "nothing to do" in err or "1 were done before" in err or "1 was done before" in err
    assert rows_of(path) == before


COLUMNS = {"path": str, "captions": {"caption": str, "score": float}}


def test_a_run_that_was_killed_is_continued_from_its_rows(tmp_path):
    path = str(tmp_path / "a.parquet")
    writer = ParquetRows(path, COLUMNS, overwrite=False)
    writer.write([Record("a.jpg", {"captions": [DOG, CAT]})])
    writer.file.abandon()  # killed
    assert not (tmp_path / "a.parquet").exists()
    writer = ParquetRows(path, COLUMNS, overwrite=False)
    assert [name.rpartition("/")[2] for name in writer.done] == ["a.jpg"]
    writer.write([Record("b\udcff.jpg", error="empty")])
    writer.close()
    empty = {"warning": None, "error": None}
    assert rows_of(path) == [
        {"path": "a.jpg", "captions": [DOG, CAT], **empty},
        {"path": "b\ufffd.jpg", "captions": None, "warning": None, "error": "empty"},
    ]


def test_another_parquet_file_is_refused_and_kept(tmp_path):
    pyarrow = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
    path = tmp_path / "a.parquet"
    for content in (None, b"", b"something else"):
        if content is None:
            parquet.write_table(pyarrow.table({"path": ["a"], "price": [1]}), path)
        else:
            path.write_bytes(content)
        before = path.read_bytes()
        with pytest.raises(UsageError, match=r"a\.parquet: "):
            ParquetRows(str(path), COLUMNS, overwrite=False)
        assert path.read_bytes() == before
        assert [each.name for each in tmp_path.iterdir()] == ["a.parquet"]


def test_metadata_beside_the_photos_is_read_as_an_imagefolder(caption, make_photos, tmp_path):
    photos = make_photos(2)
    (photos / "deep").mkdir()
    (photos / "photo0001.jpg").rename(photos / "deep" / "1.jpg")
    assert caption(photos, "-o", photos / "metadata.jsonl")[0] == 0
    rows = [json.loads(line) for line in (photos / "metadata.jsonl").read_text().splitlines()]
    assert [row["file_name"] for row in rows] == ["deep/1.jpg", "photo0000.jpg"]
    assert all(list(row) == ["file_name", "text"] and row["text"] for row in rows)
    assert "2 were done before" in caption(photos, "-o", photos / "metadata.jsonl")[2]
    datasets = pytest.importorskip("datasets", reason="datasets is not installed")
    loaded = datasets.load_dataset("imagefolder", data_dir=str(photos), split="train", cache_dir=str(tmp_path / "c"))
    assert sorted(loaded["text"]) == sorted(row["text"] for row in rows)


def test_metadata_of_photos_elsewhere_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"a metadata\.jsonl is of the photos below its folder"):
        MetadataRows(str(tmp_path / "metadata.jsonl"), [str(tmp_path.parent / "a.jpg")], overwrite=False)


def test_a_spreadsheet_knows_a_csv_file_with_a_byte_order_mark(tmp_path):
    path = str(tmp_path / "a.csv")
    for name, fields in (("a.jpg", DOG), ("b.jpg", CAT)):
        writer = CsvRows(path, ["path", "caption", "score"], bom=True, overwrite=False)
        writer.write([Record(name, fields)])
        writer.close()
    data = (tmp_path / "a.csv").read_bytes()
    assert data.startswith(codecs.BOM_UTF8)
    assert data.count(codecs.BOM_UTF8) == 1
    rows = list(csv.DictReader(data.decode("utf-8-sig").splitlines()))
    assert [(row["path"], row["caption"]) for row in rows] == [("a.jpg", "A dog."), ("b.jpg", 'A "cat", très.')]
    for cut in range(len(data)):
        (tmp_path / "a.csv").write_bytes(data[:cut])
        writer = CsvRows(path, ["path", "caption", "score"], bom=True, overwrite=False)
        writer.write([Record(name, DOG) for name in ("a.jpg", "b.jpg") if writer.holds(name) is None])
        writer.close()
        written = (tmp_path / "a.csv").read_bytes()
        assert written.count(codecs.BOM_UTF8) == 1
        assert len(list(csv.DictReader(written.decode("utf-8-sig").splitlines()))) == 2
