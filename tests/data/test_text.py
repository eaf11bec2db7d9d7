import gzip
import zipfile

import pytest

from captioner.data.text import read_text
from captioner.errors import DataError


@pytest.fixture
def archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "texts.zip", "w") as file:
        file.writestr("ptb.train.txt", " a dog \n a cat \n")
        file.writestr("__MACOSX/._ptb.train.txt", b"\0\xff")
    return tmp_path / "texts.zip"


def test_lines_come_without_white_space_around_and_empty_ones_not_at_all(tmp_path):
    (tmp_path / "a.txt").write_bytes("\ufeff a dog \r\n\r\n \ncafé\u2028bar\n".encode())
    assert read_text(tmp_path / "a.txt") == ["a dog", "café\u2028bar"]


def test_gzipped_text_and_text_in_a_zip_are_read(tmp_path, archive):
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"a dog\n"))
    assert read_text(tmp_path / "a.txt.gz") == ["a dog"]
    assert read_text(archive / "ptb.train.txt") == ["a dog", "a cat"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("latin.txt", "ein Bär".encode("latin1"), r"latin\.txt: not UTF-8 text \(byte 0xe4 at position 5\).*iconv"),
        ("wide.txt", "a dog".encode("utf-16-le"), r"wide\.txt: not text.*UTF-16"),
        ("empty.txt", b"", r"empty\.txt: holds no words"),
        ("blank.txt", b" \n\r\n", r"blank\.txt: holds no words"),
        ("broken.gz", b"\x1f\x8b\x08", r"broken\.gz: cannot be read as text"),
        ("broken.zip/a.txt", None, r"a\.txt: cannot be read as text"),
        ("none.txt", None, r"none\.txt: cannot be read as text \(No such file"),
        ("texts.zip/none.txt", None, r"texts\.zip: holds no none\.txt, but ptb\.train\.txt"),
        ("texts.zip", None, r"texts\.zip: a zip file; name the text inside it, such as .*texts\.zip/ptb\.train\.txt"),
        (".", None, "a folder, not a text file"),
    ],
)
def test_what_is_no_text_is_one_sentence_that_names_the_file(tmp_path, archive, name, content, message):
    (tmp_path / "broken.zip").write_bytes(b"PK no zip")
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        read_text(tmp_path / name)
    assert "\n" not in str(error.value)
