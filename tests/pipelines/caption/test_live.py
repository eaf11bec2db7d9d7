"""A Live Photo is one item."""

import json

import cv2
import numpy as np
import pytest


@pytest.fixture
def photos(make_photos, draw_clip):
    """Two photos; a clip of two seconds beside the first one, and one of eight seconds beside the second."""
    folder = make_photos(2)
    for number, frames in enumerate((20, 80)):
        draw_clip(folder / "x.avi", frames=frames)
        (folder / "x.avi").rename(folder / f"PHOTO{number:04}.MOV")
    return folder


def paths_of(out: str) -> list[str]:
    return [json.loads(line)["path"].rpartition("/")[2] for line in out.splitlines()]


def test_the_clip_of_a_live_photo_is_left_out_unless_asked_for(caption, photos):
    status, out, err = caption(photos)
    assert status == 0
    assert paths_of(out) == ["PHOTO0001.MOV", "photo0000.jpg", "photo0001.jpg"]
    assert "left out: 1 clip of Live Photos, whose photos are captioned; --live takes them too" in err
    assert len(paths_of(caption(photos, "--live")[1])) == 4
    assert len(paths_of(caption(photos, photos / "PHOTO0000.MOV")[1])) == 4


def test_a_live_photo_has_one_text(caption, photos):
    caption(photos, "--sidecar")
    assert sorted(path.name for path in photos.glob("*.txt")) == [
        *("PHOTO0001.MOV.txt", "photo0000.txt", "photo0001.jpg.txt")
    ]


def test_a_clip_that_cannot_be_read_has_its_own_row(caption, photos):
    (photos / "PHOTO0000.MOV").write_bytes(b"text")
    cv2.imwrite(str(photos / "b.jpg"), np.zeros((40, 40, 3), np.uint8))
    assert "PHOTO0000.MOV" in paths_of(caption(photos)[1])
