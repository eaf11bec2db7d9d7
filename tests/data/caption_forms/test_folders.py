import io
import json
import tarfile
import zipfile

import cv2
import numpy as np
import pytest

from captioner.data.caption_forms import find_captions
from captioner.data.captions import CaptionSet
from captioner.data.photos import ImageStore
from captioner.errors import DataError

PHOTO = cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


@pytest.fixture
def put(tmp_path):
    """Writes files below a folder; texts as they are, None as a photo."""

    def put(**files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(PHOTO if content is None else content if isinstance(content, bytes) else content.encode())
        return tmp_path

    return put


def tar(files):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()


def found_in(folder):
    return {entry.name: (entry.captions, entry.split) for entry in find_captions(folder).entries}


def test_texts_beside_photos_have_a_caption_a_line(put):
    folder = put(
        **{
            "a.jpg": None,
            "a.txt": "A dog.\r\n\nA dog runs.\n",
            "s/b.png": None,
            "s/b.png.caption": "A cat.",
            "c.jpg": None,
        }
    )
    found = find_captions(folder)
    assert found_in(folder) == {"a.jpg": (("A dog.", "A dog runs."), None), "s/b.png": (("A cat.",), None)}
    assert found.form == ".caption and .txt beside each photo"
    assert "1 photos have no captions beside them and are not used" in found.problems[0]


def test_folders_of_splits_are_splits(put):
    folder = put(**{f"{split}/{n}.jpg": None for split in ("train", "validation", "test") for n in "ab"})
    put(**{f"{split}/{n}.txt": f"{split} {n}" for split in ("train", "validation", "test") for n in "ab"})
    captions = CaptionSet.read(folder)
    assert [(image.file_name, image.split) for image in captions][2:] == [
        ("train/a.jpg", "train"),
        ("train/b.jpg", "train"),
        ("validation/a.jpg", "val"),
        ("validation/b.jpg", "val"),
    ]


def test_metadata_as_hugging_face_writes_it_names_photos_of_its_own_folder(put):
    rows = "".join(json.dumps({"file_name": f"{n}.jpg", "text": f"Photo {n}."}) + "\n" for n in (1, 2))
    folder = put(**{f"{split}/metadata.jsonl": rows for split in ("train", "test")})
    put(**{f"{split}/{n}.jpg": None for split in ("train", "test") for n in (1, 2)})
    captions = CaptionSet.read(folder)
    assert {image.file_name: image.split for image in captions} == {
        "test/1.jpg": "test",
        "test/2.jpg": "test",
        "train/1.jpg": "train",
        "train/2.jpg": "train",
    }
    assert captions.with_photos(ImageStore([folder])) is captions
    assert "JSON Lines in test/metadata.jsonl and train/metadata.jsonl" in find_captions(folder).form
    put(**{"more/metadata.jsonl": rows[:-9]})
    assert "line 2 is not JSON, or cut short" in find_captions(folder).problems[-1]


def test_flickr8k_as_its_authors_wrote_it_has_its_splits(put):
    captions = "".join(f"{n}.jpg#{c}\tA photo {n} .\n" for n in range(6) for c in range(5))
    lists = {
        "Flickr_8k.trainImages.txt": "0.jpg\n1.jpg\n2.jpg\n",
        "Flickr_8k.devImages.txt": "3.jpg\n",
        "Flickr_8k.testImages.txt": "4.jpg\n",
    }
    others = {
        "Flickr8k.lemma.token.txt": captions.replace("photo", "pho"),
        "ExpertAnnotations.txt": "1.jpg\t2.jpg#2\t1\t1\t1\n" * 3,
        "CrowdFlowerAnnotations.txt": "1.jpg\t2.jpg#2\t1\t3\t0\n" * 3,
        "readme.txt": "A corpus.\n",
    }
    folder = put(**{"Flickr8k.token.txt": captions, **lists, **others, **{f"Images/{n}.jpg": None for n in range(6)}})
    found = find_captions(folder)
    assert [entry.split for entry in found.entries] == ["train"] * 3 + ["val", "test"]
    assert all(len(entry.captions) == 5 for entry in found.entries)
    assert "1 photos are in none of" in found.problems[0]
    assert len(CaptionSet.read(folder).with_photos(ImageStore([folder]))) == 5


def test_coco_as_it_is_fetched_has_a_split_a_file(put):
    def coco(number):
        return json.dumps(
            {
                "images": [{"id": number, "file_name": f"{number:012}.jpg"}],
                "annotations": [{"id": 1, "image_id": number, "caption": "A dog."}],
            }
        )

    folder = put(
        **{
            "annotations/captions_train2017.json": coco(1),
            "annotations/captions_val2017.json": coco(2),
            "annotations/instances_val2017.json": "{}",
            "train2017/000000000001.jpg": None,
            "val2017/000000000002.jpg": None,
        }
    )
    assert found_in(folder) == {"000000000001.jpg": (("A dog.",), "train"), "000000000002.jpg": (("A dog.",), "val")}


def test_shards_hold_photos_and_captions_under_one_key(put):
    shard = {
        "0.jpg": PHOTO,
        "0.txt": b"A dog.",
        "1.jpg": PHOTO,
        "1.json": b'{"caption": ["A cat.", "Cats."]}',
        "2.jpg": PHOTO,
    }
    folder = put(
        **{
            "train-0000.tar": tar(shard),
            "train-0001.tar": tar(shard),
            "val-0000.tar": tar({"0.jpg": PHOTO, "0.txt": b"Val."}),
        }
    )
    found = find_captions(folder)
    assert found.form == ".json and .txt in 3 shards"
    assert found_in(folder)["train-0001.tar/1.jpg"] == (("A cat.", "Cats."), "train")
    assert found_in(folder)["val-0000.tar/0.jpg"] == (("Val.",), "val")
    store = ImageStore([folder])
    captions = CaptionSet.read(folder).with_photos(store)
    assert len(captions) == 5
    assert all(store.read(image.file_name).tobytes() == PHOTO for image in captions)
    assert [entry.captions for entry in find_captions(folder / "val-0000.tar").entries] == [("Val.",)]


def test_a_shard_that_is_cut_short_gives_what_is_whole(put, caplog):
    whole = tar({"0.jpg": PHOTO, "0.txt": b"A dog.", "1.jpg": PHOTO, "1.txt": b"A cat."})
    folder = put(**{"a.tar": whole[:2100]})
    assert list(found_in(folder)) == ["a.tar/0.jpg"]
    assert "a.tar: the archive" in caplog.text
    put(**{"a.tar": b"nothing"})
    with pytest.raises(DataError, match=r"a\.tar: neither a folder nor an archive"):
        find_captions(folder)


def test_photos_and_texts_may_lie_in_a_zip_file(put, tmp_path):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name, content in {"p/a.jpg": PHOTO, "p/a.txt": b"A dog."}.items():
            archive.writestr(name, content)
    assert found_in(tmp_path) == {"p/a.jpg": (("A dog.",), None)}


def test_what_a_person_wrote_comes_before_what_this_program_wrote(put):
    folder = put(**{"a.jpg": None, "a.txt": "By hand.", "all.jsonl": '{"path": "a.jpg", "caption": "By a model."}\n'})
    assert found_in(folder) == {"a.jpg": (("By a model.",), None)}
    put(**{"all.jsonl.made": "{}"})
    assert found_in(folder) == {"a.jpg": (("By hand.",), None)}
    (folder / "a.txt").unlink()
    assert found_in(folder) == {"a.jpg": (("By a model.",), None)}


def test_several_files_of_captions_are_a_question_and_none_says_what_was_looked_for(put):
    folder = put(
        **{"a.jpg": None, "one.csv": "image,caption\na.jpg,A dog.\n", "two.tsv": "image\tcaption\na.jpg\tA cat.\n"}
    )
    with pytest.raises(DataError, match=r"one\.csv and two\.tsv all hold captions; name the one that is meant"):
        find_captions(folder)
    (folder / "one.csv").write_text("image,label\na.jpg,3\n")
    (folder / "two.tsv").unlink()
    with pytest.raises(DataError, match=r"no captions here; .*These are no captions: .*one\.csv: no table"):
        find_captions(folder)
    with pytest.raises(DataError, match=r"nowhere: cannot be read"):
        find_captions(folder / "nowhere")


def test_thumbnails_of_storage_boxes_are_no_photos(put):
    folder = put(**{"a.jpg": None, "a.txt": "A dog.", "@eaDir/a.jpg": None, "@eaDir/a.txt": "A thumbnail."})
    assert list(found_in(folder)) == ["a.jpg"]


def test_names_without_suffix_and_paths_of_another_computer_are_found(put):
    rows = [("one", "A dog."), ("C:\\Users\\me\\photos\\two.jpg", "A cat."), ("/home/me/photos/three.jpg", "A cow.")]
    text = "image\tcaption\n" + "".join(f"{name}\t{caption}\n" for name, caption in rows)
    folder = put(**{"captions.tsv": text, **{f"photos/{name}.jpg": None for name in ("one", "two", "three", "four")}})
    store = ImageStore([folder])
    assert [store.read(image.file_name).tobytes() for image in CaptionSet.read(folder).with_photos(store)] == [
        PHOTO
    ] * 3
