import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from captioner.data.results import read_annotations, read_results, read_training
from captioner.errors import DataError, UsageError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: Any, name: str = "file.json") -> Path:
        (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
        return tmp_path / name

    return write


def coco(*images: int) -> dict[str, Any]:
    return {
        "images": [{"id": image, "file_name": f"{image}.jpg"} for image in images],
        "annotations": [
            {"id": 10 * image + number, "image_id": image, "caption": text}
            for image in images
            for number, text in enumerate(["A dog.", "."])
        ],
    }


def karpathy(**splits: str) -> dict[str, Any]:
    return {
        "images": [
            {"filename": f"{name}.jpg", "imgid": number, "split": split, "sentences": [{"raw": f"{split} {name}"}]}
            for number, (name, split) in enumerate(splits.items())
        ]
    }


def results(*images: Any, caption: Any = "a dog") -> list[dict[str, Any]]:
    return [{"image_id": image, "caption": caption} for image in images]


def test_coco_references_keep_their_order_and_their_wordless_captions(write: Write) -> None:
    found = read_annotations(write(coco(5, 3)))
    assert dict(found.captions) == {5: ["A dog.", "."], 3: ["A dog.", "."]}
    assert list(found.captions) == [5, 3]
    assert found.files == {5: "5.jpg", 3: "3.jpg"}
    assert found.training is None


def test_images_without_any_reference_are_not_scored(write: Write) -> None:
    content = coco(1, 2)
    content["annotations"] = content["annotations"][:2]
    assert list(read_annotations(write(content)).captions) == [1]


def test_karpathy_files_give_their_test_split_unless_told_and_their_training_captions(write: Write) -> None:
    path = write(karpathy(a="train", b="restval", c="val", d="test"))
    found = read_annotations(path)
    assert (dict(found.captions), found.split) == ({3: ["test d"]}, "test")
    assert found.training == ["train a", "restval b"]
    assert list(read_annotations(path, "val").captions) == [2]


def test_training_captions_come_from_either_kind_of_file(write: Write) -> None:
    assert read_training(write(coco(1))) == ["A dog.", "."]
    assert read_training(write(karpathy(a="train", b="test"))) == ["train a"]


def test_results_are_captions_by_image(write: Write) -> None:
    assert read_results(write(results(4, 2))) == {4: "a dog", 2: "a dog"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "an empty list; there is no caption to score"),
        ("[{", "not JSON, or cut short"),
        ("", "not JSON, or cut short"),
        ({"annotations": []}, "annotations, not results"),
        ({"a": 1}, "not COCO results"),
        ([1], "entry 0 has no image_id and caption, but int"),
        ([{"image_id": 1, "bbox": [0, 0, 1, 1]}], "entry 0 has no image_id and caption, but image_id, bbox"),
        (results(""), "image_id '', which is neither a whole number nor a text"),
        (results(True), "image_id True, which is neither a whole number nor a text"),
        (results(1.5), r"image_id 1\.5, which is neither a whole number nor a text"),
        (results(1, caption=None), "the caption of image 1 is None, which is not a text"),
        (results(1, 2, 1, 2), r"2 images \(1, 2\) captioned more than once"),
    ],
)
def test_bad_results_are_named(write: Write, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_results(write(content))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON, or cut short"),
        (results(1), "a list, as COCO results are"),
        ({"images": [], "annotations": []}, "no image has a caption"),
        (
            {"images": [{"id": 1, "file_name": "a"}], "annotations": [{"id": 1, "image_id": 1, "bbox": []}]},
            "annotation 1 has no caption but bbox, id, image_id; this is another kind",
        ),
        ({"images": [{"id": 1, "file_name": "a"}] * 2, "annotations": []}, "some image ids occur twice"),
    ],
)
def test_bad_annotations_are_named(write: Write, content: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_annotations(write(content))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.json: cannot be read"):
        read_results(tmp_path / "nothing.json")


def test_splits_that_are_not_there_are_named_with_those_that_are(write: Write) -> None:
    with pytest.raises(UsageError, match="COCO captions without splits; leave --split val out"):
        read_annotations(write(coco(1)), "val")
    path = write(karpathy(a="train", b="test"))
    with pytest.raises(DataError, match=r"no captioned image in the val split \(1 in train, 1 in test\)"):
        read_annotations(path, "val")
    with pytest.raises(UsageError, match="--split dev: choose train, val, test"):
        read_annotations(path, "dev")


def test_images_that_are_not_annotated_are_an_error(write: Write) -> None:
    found = read_annotations(write(coco(1, 2)))
    with pytest.raises(DataError, match=r"r.json: 1 image \(7\) not annotated in .*file.json"):
        found.matched({1: "", 2: "", 7: ""}, "r.json")


def test_images_without_caption_are_counted_and_left_out_only_when_allowed(write: Write) -> None:
    found = read_annotations(write(coco(1, 2, 3, 4, 5)))
    with pytest.raises(DataError, match=r"no caption for 4 images \(1, 3, 4, ...\) of 5 in .*--allow-missing"):
        found.matched({2: "a"}, "r.json")
    left = found.matched({2: "a"}, "r.json", allow_missing=True)
    assert (list(left.captions), left.missing) == ([2], 4)
    assert found.matched(dict.fromkeys(range(1, 6), "a"), "r.json", allow_missing=True).missing == 0


def test_ids_may_be_texts_of_digits(write: Write) -> None:
    assert read_results(write(results("1", "000000000002"))) == {1: "a dog", 2: "a dog"}
    with pytest.raises(DataError, match=r"1 image \(1\) captioned more than once"):
        read_results(write(results("1", 1)))


def test_ids_may_be_any_texts_and_annotations_need_no_numbers_of_their_own(write: Write) -> None:
    content = coco(1, 2)
    for image in content["images"]:
        image["id"] = f"img-{image['id']}"
    for annotation in content["annotations"]:
        annotation["image_id"] = f"img-{annotation['image_id']}"
        del annotation["id"]
    references = read_annotations(write(content))
    assert dict(references.captions) == {"img-1": ["A dog.", "."], "img-2": ["A dog.", "."]}
    assert read_results(write(results("img-2", "img-1"), "r.json"), references) == {"img-2": "a dog", "img-1": "a dog"}


def test_annotations_and_results_may_write_one_number_differently(write: Write) -> None:
    content = coco(42)
    content["images"][0]["id"] = "000000000042"
    content["annotations"][0]["image_id"] = 42.0
    references = read_annotations(write(content))
    assert references.matched(read_results(write(results("42"), "r.json")), "r.json").captions == {42: ["A dog.", "."]}


def test_results_may_name_images_by_their_files(write: Write) -> None:
    references = read_annotations(write(coco(5, 3)))
    assert read_results(write(results("5.jpg", "photos\\3.jpg"), "r.json"), references) == {5: "a dog", 3: "a dog"}
    with pytest.raises(DataError, match=r"1 image \(7\.jpg\) not annotated"):
        references.matched(read_results(write(results(5, "7.jpg"), "r.json"), references), "r.json")


def test_rows_in_parquet_are_results(tmp_path: Path, write: Write) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    columns = {"path": ["P/5.jpg", "P/3.jpg"], "caption": ["A dog.", None], "error": [None, "broken"]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "rows.parquet")
    assert read_results(tmp_path / "rows.parquet", read_annotations(write(coco(5, 3)))) == {5: "A dog."}
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "rows.parquet").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"cut\.parquet: not a Parquet file that can be read"):
        read_results(tmp_path / "cut.parquet", read_annotations(write(coco(5, 3))))


def test_rows_that_were_written_are_results_by_the_annotated_names(write: Write) -> None:
    images = [{"id": 11, "file_name": "2019/a.jpg"}, {"id": 22, "file_name": "2020/a.jpg"}]
    texts = [{"id": image["id"], "image_id": image["id"], "caption": "x"} for image in images]
    references = read_annotations(write({"images": images, "annotations": texts}))
    rows = [{"path": "P/2020/a.jpg", "caption": "B."}, {"path": "P/2019/a.jpg", "captions": [{"caption": "A."}]}]
    rows.append({"path": "P/c.jpg", "error": "not an image"})
    path = write("".join(json.dumps(row) + "\n" for row in rows), "rows.jsonl")
    assert read_results(path, references) == {22: "B.", 11: "A."}
    path = write("path,caption\nP\\2020\\a.jpg,B.\n", "rows.csv")
    assert read_results(path, references) == {22: "B."}
    with pytest.raises(DataError, match=r"a\.jpg may be 2019/a\.jpg or 2020/a\.jpg"):
        read_results(write("path,caption\na.jpg,B.\n", "rows.csv"), references)


def test_a_caption_that_a_comma_cuts_in_two_is_refused_where_another_column_follows(write: Write) -> None:
    references = read_annotations(write(coco(5)))
    path = write("path,caption,score\n5.jpg,A man, a horse,0.3\n", "rows.csv")
    with pytest.raises(DataError, match="row 1 has too many cells or too few"):
        read_results(path, references)
    path = write("path,score,caption\n5.jpg,0.3,A man, a horse\n", "rows.csv")
    assert list(read_results(path, references).values()) == ["A man, a horse"]


def pack(path: Path) -> Path:
    packed = path.with_name(f"{path.name}.gz")
    packed.write_bytes(gzip.compress(path.read_bytes()))
    return packed


def test_gzipped_annotations_and_results_are_read_as_plain_ones(write: Write) -> None:
    plain = write(coco(1, 2), "annotations.json")
    references = read_annotations(pack(plain))
    assert references.captions == read_annotations(plain).captions
    assert read_results(pack(write(results(1, 2)))) == {1: "a dog", 2: "a dog"}
    rows = {
        "rows.jsonl": '{"path": "1.jpg", "caption": "a dog"}\n',
        "rows.csv": "path,caption\n1.jpg,a dog\n",
        "rows.tsv": "path\tcaption\n1.jpg\ta dog\n",
    }
    for name, text in rows.items():
        assert read_results(pack(write(text, name)), references) == {1: "a dog"}


@pytest.mark.parametrize("name", ["cut.json.gz", "cut.jsonl.gz"])
def test_a_gzipped_file_that_is_cut_short_is_named(write: Write, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(gzip.compress(json.dumps(results(*range(99))).encode())[:-20])
    with pytest.raises(DataError, match=r"cut\.jsonl?\.gz: cannot be read as text"):
        read_results(tmp_path / name, read_annotations(write(coco(1))))
