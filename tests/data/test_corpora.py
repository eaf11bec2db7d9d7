import gzip
import json

import pytest

from captioner.data.captions import CaptionSet
from captioner.data.corpora import held_out_photos, photo_id, read_caption_text
from captioner.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """Two photos with two captions each, laid out like Multi30k's captions."""
    folder = tmp_path / "captions"
    folder.mkdir()
    (folder / "train_images.txt").write_text("1000268201.jpg\n36979.jpg\n")
    (folder / "train.1.en").write_text("A girl climbs.\nA\u2028dog.\n")
    (folder / "train.2.en.gz").write_bytes(gzip.compress(b"A child.\nDogs.\n"))
    return folder


@pytest.fixture
def coco(tmp_path):
    content = {
        "images": [{"id": 42, "file_name": "COCO_val2014_000000000042.jpg"}],
        "annotations": [{"id": 0, "image_id": 42, "caption": "A dog on a rack. "}],
    }
    (tmp_path / "captions.json").write_text(json.dumps(content))
    return tmp_path / "captions.json"


def test_a_mark_at_the_beginning_of_a_file_is_no_part_of_a_name_or_a_caption(folder):
    for name in ("train_images.txt", "train.1.en"):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes().replace(b"\n", b"\r\n"))
    pairs = read_caption_text([folder])
    assert pairs[0] == ("1000268201", "A girl climbs.")
    assert not any(photo == "1000268201" for photo, _ in read_caption_text([folder], {"1000268201"}))


@pytest.mark.parametrize(
    ("name", "photo"),
    [
        ("1000268201_693b08cb0e.jpg", "1000268201"),
        ("1000268201.jpg", "1000268201"),
        ("Images/36979.jpg", "36979"),
        ("000000000042.jpg", "000000000042"),
        ("val2014/COCO_val2014_000000000042.jpg", "000000000042"),
        ("my holiday.jpg", "my holiday"),
        ("2024-05-01.jpg", "2024-05-01"),
    ],
)
def test_a_photo_has_one_id_under_all_its_names(name, photo):
    assert photo_id(name) == photo


def test_captions_come_with_their_photos(folder, coco):
    assert read_caption_text([folder, coco]) == [
        ("1000268201", "A girl climbs."),
        ("36979", "A\u2028dog."),
        ("1000268201", "A child."),
        ("36979", "Dogs."),
        ("000000000042", "A dog on a rack."),
    ]


def test_a_caption_that_a_photo_has_in_two_files_is_read_once(folder, coco):
    assert read_caption_text([coco, folder, coco]) == read_caption_text([coco, folder])


def test_captions_of_held_out_photos_are_left_out(folder, coco, tmp_path):
    entries = [
        {"filename": name, "split": split, "sentences": [{"raw": "A dog"}]}
        for name, split in (("1000268201_693b08cb0e.jpg", "test"), ("36979_abc.jpg", "train"), ("42_a.jpg", "val"))
    ]
    (tmp_path / "dataset.json").write_text(json.dumps({"images": entries}))
    held = held_out_photos(CaptionSet.read(tmp_path / "dataset.json"))
    assert held == {"1000268201", "42"}
    assert {photo for photo, _ in read_caption_text([folder, coco], held)} == {"36979", "000000000042"}


def test_nothing_left_is_an_error(coco):
    with pytest.raises(DataError, match="no captions to learn from"):
        read_caption_text([coco], {"000000000042"})


def test_lines_that_do_not_match_the_photos_are_an_error(folder):
    (folder / "train.3.en").write_text("Only one.\n")
    with pytest.raises(DataError, match=r"train\.3\.en: 1 lines, but train_images\.txt names 2 photos"):
        read_caption_text([folder])


def test_a_folder_without_photo_names_or_captions_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no captions here"):
        read_caption_text([tmp_path])
    (tmp_path / "val_images.txt").write_text("1.jpg\n")
    with pytest.raises(DataError, match=r"val_images\.txt has no captions beside it"):
        read_caption_text([tmp_path])


def test_a_cut_gzip_file_is_named(folder):
    path = folder / "train.2.en.gz"
    path.write_bytes(path.read_bytes()[:20])
    with pytest.raises(DataError, match=r"train\.2\.en\.gz: cannot be read as text"):
        read_caption_text([folder])
