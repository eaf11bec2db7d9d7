import json
import logging
import os
import zipfile
from pathlib import Path

import pytest

from captioner.data.captions import CaptionSet, ImageStore
from captioner.errors import DataError

SHARED = Path(os.environ.get("CAPTIONER_SHARED", Path(__file__).parents[2].parent / "shared"))


def coco(*captions):
    """COCO JSON with one photo for each list of captions."""
    return {
        "images": [{"id": 10 + number, "file_name": f"{number}.jpg"} for number in range(len(captions))],
        "annotations": [
            {"id": 100 * number + place, "image_id": 10 + number, "caption": caption}
            for number, written in enumerate(captions)
            for place, caption in enumerate(written)
        ],
    }


def karpathy(*splits, **extra):
    return {
        "images": [
            {"filename": f"{number}.jpg", "imgid": number, "split": split, "sentences": [{"raw": "A dog ."}], **extra}
            for number, split in enumerate(splits)
        ]
    }


@pytest.fixture
def write(tmp_path):
    def write(content, name="captions.json"):
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / name

    return write


def test_coco_captions_keep_their_ids_text_and_tokens(write, capsys):
    captions = CaptionSet.read(write(coco([" A man's hat. ", "Two dogs"], ["A cat"])), split="val")
    first, second = captions
    assert (first.id, first.file_name, first.split) == (10, "0.jpg", "val")
    assert first.captions == ("A man's hat.", "Two dogs")
    assert first.tokens == (("a", "man", "'s", "hat"), ("two", "dogs"))
    assert second == captions[1]
    assert capsys.readouterr().out == ""  # pycocotools would print


def test_karpathy_files_say_their_splits(write):
    captions = CaptionSet.read(write(karpathy("train", "restval", "val", "test")))
    assert [image.split for image in captions] == ["train", "train", "val", "test"]
    assert [image.id for image in captions.split("train")] == [0, 1]


def test_karpathy_coco_entries_use_coco_ids_and_folders(write):
    (image,) = CaptionSet.read(write(karpathy("val", cocoid=391895, filepath="val2014")))
    assert (image.id, image.file_name) == (391895, "val2014/0.jpg")


def test_a_zip_file_may_hold_the_captions_beside_the_photos(write, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("captions.json", json.dumps(coco(["A dog"])))
        archive.writestr("0.jpg", b"photo")
    captions = CaptionSet.read(tmp_path / "all.zip")
    assert len(captions.with_photos(ImageStore([tmp_path / "all.zip"]))) == 1


def test_captions_without_words_are_left_out_and_counted(write, caplog):
    with caplog.at_level(logging.WARNING):
        captions = CaptionSet.read(write(coco(["A dog", "..."], ["", " ! "], [])))
    assert [image.captions for image in captions] == [("A dog",)]
    assert "3 captions (0.jpg, 1.jpg, 1.jpg) have no words" in caplog.text
    assert "2 photos (1.jpg, 2.jpg) left without a caption" in caplog.text


def test_a_file_without_any_words_is_an_error(write):
    with pytest.raises(DataError, match="no photo with a caption of at least one word"):
        CaptionSet.read(write(coco(["."])))


def test_an_empty_split_is_an_error_that_says_what_there_is(write):
    captions = CaptionSet.read(write(karpathy("val", "val", "test")))
    with pytest.raises(DataError, match=r"captions\.json: no photo in the train split \(2 in val, 1 in test\)"):
        captions.split("train")


def test_missing_photos_are_counted_and_named_unless_allowed(write, tmp_path, caplog):
    captions = CaptionSet.read(write(coco(*[["A dog"]] * 6)))
    photos = tmp_path / "photos"
    photos.mkdir()
    store = ImageStore([photos])
    with pytest.raises(DataError, match=r"6 photos \(0.jpg, 1.jpg, 2.jpg, ...\) of 6 not found"):
        captions.with_photos(store, allow_missing=True)
    (photos / "3.jpg").write_bytes(b"photo")
    store = ImageStore([photos])
    with pytest.raises(
        DataError, match=r"5 photos \(0.jpg, 1.jpg, 2.jpg, ...\) of 6 not found.*data.allow_missing=true"
    ):
        captions.with_photos(store)
    with caplog.at_level(logging.WARNING):
        left = captions.with_photos(store, allow_missing=True)
    assert [image.file_name for image in left] == ["3.jpg"]
    assert "5 photos" in caplog.text


def test_photos_held_out_are_always_the_same(write):
    captions = CaptionSet.read(write(coco(*[["A dog"]] * 20)))
    held = captions.hold_out(5)
    assert len(held.split("val")) == 5
    assert len(held.split("train")) == 15
    assert [image.split for image in captions.hold_out(5)] == [image.split for image in held]
    assert [image.split for image in captions.hold_out(5, seed=1)] != [image.split for image in held]
    with pytest.raises(DataError, match="cannot keep 20 of 20 training photos for val"):
        captions.hold_out(20)


def test_joined_sets_keep_their_order_and_refuse_a_photo_twice(write):
    first = CaptionSet.read(write(coco(["A dog"])))
    other = coco(["A cat"])
    other["images"][0]["file_name"] = "other.jpg"
    second = CaptionSet.read(write(other, "other.json"))
    assert [image.file_name for image in CaptionSet.join([first, second])] == ["0.jpg", "other.jpg"]
    with pytest.raises(DataError, match=r"1 photo \(0.jpg\) listed more than once"):
        CaptionSet.join([first, first])


def broken(change):
    content = coco(["A dog", "A cat"], ["A bird"])
    change(content)
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"images": [{"id": 1, "file_na', "not JSON, or cut short"),
        ("", "not JSON, or cut short"),
        ([{"image_id": 1, "caption": "A dog"}], "a list, as COCO results are"),
        ({"info": {}}, "neither COCO captions .* nor a Karpathy"),
        ({"images": [], "annotations": []}, "no photo with a caption"),
        (broken(lambda c: [a.pop("caption") for a in c["annotations"]]), "another kind of COCO file"),
        (broken(lambda c: c["annotations"][0].update(image_id=99)), "image ids that images does not list: 99"),
        (broken(lambda c: c["annotations"][0].pop("image_id")), "every annotation needs an image_id"),
        (broken(lambda c: c["images"][0].pop("file_name")), "every image needs an id and a file_name"),
        (broken(lambda c: c["images"][0].update(id=[1])), "every image needs an id"),
        (broken(lambda c: c["images"][1].update(id=10)), "image ids occur twice"),
        (broken(lambda c: c["images"][1].update(file_name="0.jpg")), "listed more than once"),
        (karpathy("train", "dev"), "image 1 has split 'dev'; known are train, restval, val and test"),
        ({"images": [{"sentences": [{"raw": "A dog"}], "split": "val"}]}, "image 0 is not a Karpathy entry"),
        ({"images": [{"sentences": [{"raw": 1}], "split": "val", "filename": "a"}]}, "raw caption that is not a text"),
    ],
)
def test_a_broken_file_is_named_with_its_fault(write, content, message):
    path = write(content)
    with pytest.raises(DataError, match=message) as error:
        CaptionSet.read(path)
    assert str(error.value).startswith(str(path))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"none\.json: cannot be read .No such file"):
        CaptionSet.read(tmp_path / "none.json")


def test_a_zip_file_with_several_json_files_is_ambiguous(tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.writestr("a.json", "{}")
        archive.writestr("b.json", "{}")
    with pytest.raises(DataError, match=r"holds 2 JSON files \(a.json, b.json\), not one"):
        CaptionSet.read(tmp_path / "all.zip")


@pytest.mark.shared
@pytest.mark.skipif(not SHARED.exists(), reason=f"{SHARED} is not there")
def test_flickr8k_has_its_published_splits():
    captions = CaptionSet.read(SHARED / "data/flickr8k/dataset_flickr8k.json.zip")
    assert [len(captions.split(split)) for split in ("train", "val", "test")] == [6000, 1000, 1000]
    assert all(len(image.captions) == 5 for image in captions.split("test"))
    assert captions.with_photos(ImageStore([SHARED / "data/flickr8k"])) is captions
