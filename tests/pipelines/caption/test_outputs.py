"""COCO results, text files beside the photos, and the table on a terminal."""

import io
import json

import pytest
from rich.console import Console

from captioner.errors import UsageError
from captioner.pipelines.caption.outputs import CaptionTable, CocoResults, coco_ids
from captioner.pipelines.folder.inputs import identity
from captioner.pipelines.folder.outputs import Record

DOG = {"caption": "A dog.", "score": -0.5}
CAT = {"caption": "A cat.", "score": -0.75}


def test_coco_ids_come_from_coco_file_names(tmp_path):
    images = ["val/COCO_val2014_000000000042.jpg", "000000000007.jpg"]
    writer = CocoResults(str(tmp_path / "r.json"), images, None, overwrite=False)
    writer.write([Record(images[0], DOG), Record(images[1], {"captions": [CAT, DOG]})])
    writer.close()
    assert json.loads((tmp_path / "r.json").read_bytes()) == [
        {"image_id": 42, "caption": "A dog."},
        {"image_id": 7, "caption": "A cat."},
    ]


def test_coco_ids_come_from_annotations(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"images": [{"id": 9, "file_name": "my dog.jpg"}]}))
    writer = CocoResults(str(tmp_path / "r.json"), ["x/my dog.jpg"], str(tmp_path / "a.json"), overwrite=False)
    writer.write([Record("x/my dog.jpg", DOG)])
    assert json.loads((tmp_path / "r.json").read_bytes()) == [{"image_id": 9, "caption": "A dog."}]


def test_ids_that_are_texts_are_written_as_the_annotations_have_them_and_continued(tmp_path):
    images = [{"id": "img-9", "file_name": "my dog.jpg"}, {"id": "0010", "file_name": "cat.jpg"}]
    (tmp_path / "a.json").write_text(json.dumps({"images": images}))
    paths = ["x/my dog.jpg", "x/cat.jpg"]
    writer = CocoResults(str(tmp_path / "r.json"), paths, str(tmp_path / "a.json"), overwrite=False)
    writer.write([Record(path, DOG) for path in paths])
    writer.close()
    assert [row["image_id"] for row in json.loads((tmp_path / "r.json").read_bytes())] == ["img-9", "0010"]
    again = CocoResults(str(tmp_path / "r.json"), paths, str(tmp_path / "a.json"), overwrite=False)
    assert again.done == {identity(path): False for path in paths}


def test_failures_are_not_in_coco_results_and_are_tried_again(tmp_path):
    images = ["000000000001.jpg", "000000000002.jpg"]
    writer = CocoResults(str(tmp_path / "r.json"), images, None, overwrite=False)
    writer.write([Record(images[0], error="not an image"), Record(images[1], DOG)])
    writer.close()
    assert len(json.loads((tmp_path / "r.json").read_bytes())) == 1
    again = CocoResults(str(tmp_path / "r.json"), images, None, overwrite=False)
    assert again.done == {identity(images[1]): False}


def test_results_of_images_not_asked_for_now_are_kept(tmp_path):
    first, second = ["000000000001.jpg"], ["000000000002.jpg"]
    for images in (first, second):
        writer = CocoResults(str(tmp_path / "r.json"), images, None, overwrite=False)
        writer.write([Record(images[0], DOG)])
        writer.close()
    assert [row["image_id"] for row in json.loads((tmp_path / "r.json").read_bytes())] == [1, 2]


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        (
            ["dog.jpg", "000000000001.jpg"],
            None,
            r"dog\.jpg: no COCO image id \(1 of 2 images\); --annotations FILE\.json",
        ),
        (["dog.jpg"], '{"images": []}', r"no COCO image id \(1 of 1 images\); .*a\.json lacks this name"),
        (["dog.jpg"], "[1]", "not a COCO captions file"),
        (["a/000000000001.jpg", "b/000000000001.jpg"], None, "have the same image id 1"),
    ],
)
def test_images_without_an_id_of_their_own_are_refused_at_once(tmp_path, images, annotations, message):
    if annotations is not None:
        (tmp_path / "a.json").write_text(annotations)
        annotations = str(tmp_path / "a.json")
    with pytest.raises(UsageError, match=message):
        CocoResults(str(tmp_path / "r.json"), images, annotations, overwrite=False)
    assert not (tmp_path / "r.json").exists()


def test_missing_annotations_say_so(tmp_path):
    with pytest.raises(UsageError, match=r"none\.json: cannot be read"):
        CocoResults(str(tmp_path / "r.json"), ["a.jpg"], "none.json", overwrite=False)


ANNOTATED = {11: "2019/IMG_1.jpg", 22: "2020/IMG_1.jpg", 33: "windows\\cafe\u0301.jpg", 44: "plain.jpg"}


@pytest.fixture
def annotated(tmp_path):
    images = [{"id": number, "file_name": name} for number, name in ANNOTATED.items()]
    (tmp_path / "a.json").write_text(json.dumps({"images": images}))
    return str(tmp_path / "a.json")


def test_ids_are_of_the_photo_with_the_annotated_folder(annotated):
    paths = {"P/2019/IMG_1.jpg": 11, "P/2020/IMG_1.jpg": 22, "windows/caf\u00e9.jpg": 33, "any/plain.jpg": 44}
    assert coco_ids(list(paths), annotated) == {identity(path): number for path, number in paths.items()}


def test_ids_that_names_do_not_tell_are_refused(annotated):
    with pytest.raises(UsageError, match=r"may be 2019/IMG_1\.jpg \(11\) or 2020/IMG_1\.jpg \(22\) in .*a\.json"):
        coco_ids(["flat/IMG_1.jpg"], annotated)
    with pytest.raises(UsageError, match="lacks this name"):  # in a folder of the tree that is not annotated
        coco_ids(["P/2021/IMG_1.jpg"], annotated, ["P"])


def test_the_table_aligns_captions_scores_and_errors():
    output = io.StringIO()
    table = CaptionTable(Console(file=output, width=60), ["a.jpg", "a-very-long-folder-name/with-a-photo.jpg", "c.jpg"])
    table.write([Record("a.jpg", {"captions": [DOG, CAT]}), Record("c.jpg", error="not an image")])
    table.write([Record("a-very-long-folder-name/with-a-photo.jpg", DOG, warning="cut")])
    assert [line.rstrip() for line in output.getvalue().splitlines()] == [
        "a.jpg                     A dog.                      -0.50",
        "                          A cat.                      -0.75",
        "c.jpg                     not an image",
        "…r-name/with-a-photo.jpg  A dog. (cut)                -0.50",
    ]
