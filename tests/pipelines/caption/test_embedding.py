"""`captioner caption --embed`: photos keep everything, whatever goes wrong."""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from captioner.data.embedded import embed_description, has_description
from captioner.errors import UsageError
from captioner.pipelines.caption.embedding import Embedded
from captioner.pipelines.folder.inputs import identity
from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.folder.row_file import WriteError
from captioner.vision.images import read_image

pytest.importorskip("pyexiv2", reason="pyexiv2 is not installed")
DOG = {"caption": "A dog.", "score": -0.5}


def is_described(path, language="en") -> bool:
    return has_description(path.read_bytes(), language)


def test_photos_are_described_once_and_rows_are_of_the_photos_as_they_are_then(caption, make_photos, tmp_path):
    photos = make_photos(3)
    pixels = [read_image(path) for path in sorted(photos.iterdir())]
    by_hand = photos / "photo0001.jpg"
    by_hand.write_bytes(embed_description(by_hand.read_bytes(), "By hand.", "en"))
    kept = by_hand.read_bytes()
    (photos / "x.gif").write_bytes(b"GIF89a")
    status, out, err = caption(photos, "--embed", "-o", tmp_path / "a.jsonl", "--exclude", "x.gif")
    assert (status, out) == (0, "")
    assert "1 photo had a description already; --overwrite writes it anew" in err
    assert by_hand.read_bytes() == kept
    assert all(is_described(path) for path in photos.glob("*.jpg"))
    assert all(map(np.array_equal, pixels, [read_image(path) for path in sorted(photos.glob("*.jpg"))]))
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert rows[0]["caption"].encode() in (photos / "photo0000.jpg").read_bytes()
    before = {path: path.read_bytes() for path in photos.iterdir()}
    assert "3 were done before" in caption(photos, "--embed", "-o", tmp_path / "a.jsonl", "--exclude", "x.gif")[2]
    assert before == {path: path.read_bytes() for path in photos.iterdir()}


def test_files_that_are_not_written_to_say_what_to_do_instead(tmp_path):
    writer = Embedded([str(tmp_path / "a.heic"), str(tmp_path / "b.mp4")], overwrite=False, language="en")
    assert [reason for _, reason in writer.problems] == [
        ".heic files are not written to; use --sidecar +.xmp",
        ".mp4 files are not written to; use --sidecar +.xmp",
    ]


def test_a_photo_that_cannot_be_written_stays_as_it_is_and_the_others_are_written(make_photos):
    photos = make_photos(3)
    paths = sorted(map(str, photos.iterdir()))
    os.chmod(paths[0], 0o444)
    with open(paths[1], "r+b") as file:
        file.truncate(300)
    before = [path.read_bytes() for path in sorted(photos.iterdir())]
    writer = Embedded(paths, overwrite=False, language="en")
    writer.write([Record(path, DOG) for path in paths])
    after = [path.read_bytes() for path in sorted(photos.iterdir())]
    assert after[:2] == before[:2]
    assert has_description(after[2], "en")
    assert writer.problems[0] == (paths[0], "cannot be written (permission denied)")
    assert writer.problems[1][0] == paths[1]
    assert writer.done == {identity(paths[2]): False}
    assert os.stat(paths[0]).st_mode & 0o777 == 0o444
    assert not [name for name in os.listdir(photos) if name.endswith(".part")]


def test_a_full_disk_leaves_the_photo_and_says_so(tmp_path):
    """On a small file system where that can be had (as root), else by a limit on the size of files."""
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "none", small]
    mounted = shutil.which("mount") is not None and subprocess.run(mount, capture_output=True).returncode == 0
    try:
        pixels = np.random.default_rng(0).integers(0, 256, (200, 300, 3), np.uint8)
        path = small / "a.jpg"
        cv2.imwrite(str(path), pixels, [cv2.IMWRITE_JPEG_QUALITY, 98])
        if mounted:
            (small / "other").write_bytes(bytes(230_000 - path.stat().st_size))
        before = path.read_bytes()
        writer = Embedded([str(path)], overwrite=False, language="en")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        if not mounted:
            resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
        try:
            with pytest.raises(WriteError, match=r"a\.jpg: cannot be written \(.*\); it is as it was"):
                writer.write([Record(str(path), DOG)])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert path.read_bytes() == before
        assert sorted(os.listdir(small)) == ["a.jpg", "other"][: 1 + mounted]
    finally:
        if mounted:
            subprocess.run(["umount", small], check=True)


KILLED = """
import sys
from captioner.pipelines.caption.embedding import Embedded
from captioner.pipelines.folder.outputs import Record
paths = sys.argv[1:]
writer = Embedded(paths, overwrite=True, language="en")
print("ready", flush=True)
for number in range(10**6):
    writer.write([Record(path, {"caption": f"Caption {number}.", "score": -1}) for path in paths])
"""


def test_a_kill_at_any_moment_leaves_whole_photos(make_photos):
    photos = make_photos(3)
    paths = sorted(map(str, photos.iterdir()))
    pixels = [hashlib.sha256(read_image(path).tobytes()).digest() for path in paths]
    for delay in (0.0, 0.013, 0.05, 0.11):
        process = subprocess.Popen([sys.executable, "-c", KILLED, *paths], stdout=subprocess.PIPE)
        assert process.stdout.readline() == b"ready\n"
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert [hashlib.sha256(read_image(path).tobytes()).digest() for path in paths] == pixels
        for path in paths:
            with open(path, "rb") as file:
                data = file.read()
            assert data.endswith(b"\xff\xd9")
            embed_description(data, "Again.", "en")


def test_a_missing_library_is_named_with_its_extra(monkeypatch, make_photos):
    monkeypatch.setitem(sys.modules, "pyexiv2", None)
    with pytest.raises(UsageError, match=r'--embed needs pyexiv2; pip install "captioner\[formats\]"'):
        Embedded([str(make_photos(1) / "photo0000.jpg")], overwrite=False, language="en")
