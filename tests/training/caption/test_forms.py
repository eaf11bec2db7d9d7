"""Trainings on captions in the forms that other tools keep."""

import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from captioner.pipelines.train.command import train

OWN = Path(__file__).parents[3] / "configs" / "own_photos.yaml"
STAGE = {"epochs": 1, "batch_size": 8, "learning_rate": 0.01}


@pytest.fixture(scope="module")
def captions(squares):
    """Captions by the path of each training photo."""
    content = json.loads((squares / "train.json").read_text())
    names = {image["id"]: squares / "photos" / image["file_name"] for image in content["images"]}
    found = {}
    for entry in content["annotations"]:
        found.setdefault(names[entry["image_id"]], []).append(entry["caption"])
    return found


def texts(folder, captions):
    for path, written in captions.items():
        shutil.copy(path, folder)
        (folder / path.name).with_suffix(".txt").write_text("\n".join(written))


def table(folder, captions):
    (folder / "photos").mkdir()
    rows = [f"{path.name}\t{text}\n" for path, written in captions.items() for text in written]
    (folder / "my_captions.tsv").write_text("photo\tcaption\n" + "".join(rows))
    for path in captions:
        shutil.copy(path, folder / "photos")


def metadata(folder, captions):
    rows = [
        json.dumps({"file_name": path.name, "text": text}) for path, written in captions.items() for text in written
    ]
    (folder / "metadata.jsonl").write_text("\n".join(rows))
    for path in captions:
        shutil.copy(path, folder)


def shard(folder, captions):
    with tarfile.open(folder / "0000.tar", "w") as archive:
        for path, written in captions.items():
            archive.add(path, path.name)
            content = json.dumps({"caption": written}).encode()
            info = tarfile.TarInfo(f"{path.stem}.json")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))


@pytest.mark.parametrize("write", [texts, table, metadata, shard])
def test_a_folder_is_enough_to_train_on_whatever_form_its_captions_have(
    write, captions, write_config, tmp_path, capsys
):
    folder = tmp_path / "mine"
    folder.mkdir()
    write(folder, captions)
    config = write_config(stages={"cross_entropy": STAGE}, data__sets={"own": {"hold_out": 6}}, data__root=str(folder))
    model = train(config, [], tmp_path / "run", resume=False, device="cpu")
    said = " ".join(capsys.readouterr().err.split())
    assert "36 photos, 2 captions each" in said
    assert (
        "Learnt from: 30 photos (own: captions found in its folder) and 60 captions"
        in (model / "README.md").read_text()
    )


def test_the_configuration_for_own_photos_needs_a_folder_alone(captions, write_config, tmp_path):
    first = train(write_config(stages={"cross_entropy": STAGE}), [], tmp_path / "first", resume=False, device="cpu")
    folder = tmp_path / "mine"
    folder.mkdir()
    texts(folder, captions)
    overrides = [f"data.root={folder}", f"init={first}", "stages.cross_entropy.epochs=1"]
    model = train(OWN, overrides, tmp_path / "run", resume=False, device="cpu")
    assert "16 photos" in (model / "README.md").read_text()
