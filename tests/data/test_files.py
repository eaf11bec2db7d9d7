"""Packed files that unpack to too much, or are damaged, are refused in a sentence."""

import gzip
import json
import zipfile

import pytest

from captioner.data import files
from captioner.data.caption_forms.json_files import read_json
from captioner.data.files import read_member, read_unpacked
from captioner.data.text import read_text
from captioner.errors import DataError


def test_a_gzipped_file_is_unpacked_up_to_a_limit(tmp_path):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"x" * 1000))
    assert read_unpacked(path, largest=1000) == b"x" * 1000
    with pytest.raises(DataError, match=r"a\.txt\.gz: unpacks to more than 999 bytes"):
        read_unpacked(path, largest=999)


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(b"x" * 99)[:-9], gzip.compress(b"x")[:10] + b"\xff"])
def test_a_damaged_gzipped_file_is_named(tmp_path, content):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.txt\.gz: "):
        read_text(path)


def test_a_member_of_a_zip_file_has_a_limit(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", json.dumps(["x" * 1000]))
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert len(read_member(archive, "a.json")) == 1004
        with pytest.raises(DataError, match=r"a\.zip: a\.json unpacks to 1,004 bytes, more than 999"):
            read_member(archive, "a.json", largest=999)


def test_deep_json_is_refused(tmp_path):
    (tmp_path / "deep.json").write_text("[" * 200_000 + "]" * 200_000, encoding="utf-8")
    with pytest.raises(DataError, match=r"deep\.json: (nested too deeply|not JSON)"):
        read_json(tmp_path / "deep.json")


def test_the_limit_is_above_all_that_is_common():
    assert files.LARGEST > 500e6
