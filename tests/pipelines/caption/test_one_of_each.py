"""A folder with one photo of each kind, captioned into every form at once, and continued after a kill."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
import zipfile

import cv2
import numpy as np
import pytest
from PIL import Image

from captioner.data.embedded import has_description
from captioner.vision.images import read_image

pytest.importorskip("pyexiv2", reason="pyexiv2 is not installed")
pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
pytest.importorskip("pillow_jxl", reason="pillow-jxl-plugin is not installed")
pytest.importorskip("rawpy", reason="rawpy is not installed")
parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed")
pillow_heif.register_heif_opener()

KINDS = {"jpg": "JPEG", "heic": "HEIF", "jxl": "JXL", "png": "PNG", "webp": "WEBP", "tif": "TIFF", "gif": "GIF"}
EMBEDDED = {"jpg", "png", "webp", "tif"}


def picture(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(small, (96, 80), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def folder(tmp_path, dng_of):
    """One photo in each format, and what else lies in such folders."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for suffix, kind in KINDS.items():
        Image.fromarray(picture(0)).save(photos / f"{suffix}.{suffix}", kind, quality=98)
    (photos / "dng.dng").write_bytes(dng_of(picture(0), preview=96))
    for suffix in ("heic", "jxl"):
        (photos / f"bad.{suffix}").write_bytes((photos / f"{suffix}.{suffix}").read_bytes()[:70])
    (photos / "bad.nef").write_bytes(b"II*\0" + bytes(99))
    (photos / "drawing.svg").write_text("<svg/>", encoding="utf-8")
    with zipfile.ZipFile(photos / "more.zip", "w") as archive:
        archive.write(photos / "jpg.jpg", "jpg.jpg")
    return photos


def outputs(tmp_path) -> list[str]:
    names = ("a.jsonl", "a.csv", "a.parquet", "a.html", "photos/metadata.jsonl")
    files = [argument for name in names for argument in ("-o", str(tmp_path / name))]
    return [*files, "--sidecar", "+.txt", "--sidecar", "+.xmp", "--embed"]


def check(tmp_path, photos, good: set[str], bad: set[str]) -> None:
    """Every form has every photo once."""
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    names = [os.path.basename(row["path"]) for row in rows]
    assert sorted(names) == sorted(good | bad)
    captions = {os.path.basename(row["path"]): row["caption"] for row in rows if "error" not in row}
    assert set(captions) == good
    table = parquet.read_table(tmp_path / "a.parquet").to_pylist()
    assert [os.path.basename(row["path"]) for row in table] == names
    with (tmp_path / "a.csv").open(newline="", encoding="utf-8") as file:
        read = list(csv.DictReader(file))
    assert {os.path.basename(row["path"]): row["caption"] for row in read if not row["error"]} == captions
    metadata = [json.loads(line) for line in (photos / "metadata.jsonl").read_text().splitlines()]
    assert {row["file_name"]: row["text"] for row in metadata} == captions
    assert len(metadata) == len(captions)
    assert {path.name.removesuffix(".txt"): path.read_text().strip() for path in photos.glob("*.txt")} == captions
    assert {path.name.removesuffix(".xmp") for path in photos.glob("*.xmp")} == good
    for name in good:
        assert name.rpartition(".")[2] not in EMBEDDED or has_description((photos / name).read_bytes(), "en")
    assert not [name for name in os.listdir(photos) if name.endswith(".part")]


def test_one_of_each_kind_is_captioned_into_every_form(caption, folder, tmp_path):
    before = {suffix: read_image(folder / f"{suffix}.{suffix}") for suffix in [*KINDS, "dng"]}
    for suffix in set(before) - {"gif"}:
        assert np.abs(before[suffix].astype(int) - before["jpg"]).mean() < 3
    status, out, err = caption(folder, *outputs(tmp_path))
    assert (status, out) == (1, "")
    good, bad = {f"{suffix}.{suffix}" for suffix in before}, {"bad.heic", "bad.jxl", "bad.nef"}
    check(tmp_path, folder, good, bad)
    assert "passed over: 1 .svg and 1 .zip" in err
    assert "3 failed: 1 damaged HEIF file, 1 damaged JPEG XL file, 1 damaged RAW file" in err
    assert ".heic files are not written to; use --sidecar +.xmp" in err
    assert all(np.array_equal(pixels, read_image(folder / f"{suffix}.{suffix}")) for suffix, pixels in before.items())
    assert "11 were done before" in caption(folder, *outputs(tmp_path))[2]


@pytest.mark.slow
def test_a_killed_run_with_every_form_is_continued_without_loss(model_folder, make_photos, tmp_path):
    photos = make_photos(24)
    pixels = {path.name: read_image(path) for path in photos.iterdir()}
    command = [sys.executable, "-m", "captioner", "caption", photos, *outputs(tmp_path), "--batch-size", "2"]
    command += ["--model", model_folder, "--workers", "1"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rows = tmp_path / "a.jsonl"
    while process.poll() is None and not (rows.exists() and rows.stat().st_size > 300):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert all(np.array_equal(read_image(photos / name), before) for name, before in pixels.items())
    assert subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0
    check(tmp_path, photos, set(pixels), set())
    assert all(np.array_equal(read_image(photos / name), before) for name, before in pixels.items())
