"""By what it is known that a file has changed since its row was written."""

import os
import shutil

import cv2
import numpy as np
import pytest

from captioner.pipelines.folder.made import Source, stamp_of


def write_frames(folder, value):
    folder.mkdir(exist_ok=True)
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.bmp"), np.full((8, 8, 3), value if number == 1 else 0, np.uint8))


@pytest.mark.parametrize("name", ["clip", "clip/%d.bmp"])
def test_numbered_frames_of_which_one_has_changed_have_changed(tmp_path, name):
    path = str(tmp_path / name)
    write_frames(tmp_path / "clip", 1)
    source = Source(path, stamp_of(path))
    assert not source.has_changed()
    os.utime(tmp_path / "clip" / "1.bmp", (5, 5))
    assert not source.has_changed()
    write_frames(tmp_path / "clip", 2)
    assert source.has_changed()


def test_numbered_frames_that_are_there_have_not_moved_to_their_copies(tmp_path):
    paths = [str(tmp_path / name / "%d.bmp") for name in ("clip", "copy")]
    for name in ("clip", "copy"):
        write_frames(tmp_path / name, 1)
    source = Source(paths[0], stamp_of(paths[0]))
    assert not source.has_moved_to(paths[1])
    shutil.rmtree(tmp_path / "clip")
    assert source.has_moved_to(paths[1])


def test_a_file_that_is_gone_has_not_changed(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"photo")
    source = Source(str(path), stamp_of(str(path)))
    path.unlink()
    assert not source.has_changed()
