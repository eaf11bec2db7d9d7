"""A Live Photo is one item, and so is a motion photo."""

import json

import av
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


@pytest.fixture
def motion(make_photos, tmp_path):
    """A folder with a motion photo and another photo; the clip shows blue."""
    folder = make_photos(2)
    with av.open(str(tmp_path / "clip.mp4"), "w") as file:
        stream = file.add_stream("mpeg4", 10)
        stream.width, stream.height, stream.pix_fmt = 96, 80, "yuv420p"
        for _ in range(10):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((80, 96, 3), (0, 0, 255), np.uint8), "rgb24")))
        file.mux(stream.encode())
    photo = folder / "photo0000.jpg"
    mark = b"http://ns.adobe.com/xap/1.0/\0<x GCamera:MotionPhoto='1'/>"
    jpeg = photo.read_bytes()
    segment = b"\xff\xe1" + (len(mark) + 2).to_bytes(2, "big") + mark
    photo.write_bytes(jpeg[:2] + segment + jpeg[2:] + (tmp_path / "clip.mp4").read_bytes())
    return folder


def test_the_clip_in_a_motion_photo_is_captioned_where_asked_for(caption, motion, tmp_path):
    expected = json.loads(caption(tmp_path / "clip.mp4")[1])["caption"]
    assert paths_of(caption(motion)[1]) == ["photo0000.jpg", "photo0001.jpg"]
    status, out, _ = caption(motion, "--live")
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [row["path"] for row in rows] == [
        *(str(motion / name) for name in ("photo0000.jpg", "photo0000.jpg/motion.mp4", "photo0001.jpg"))
    ]
    assert rows[1]["caption"] == expected
    assert caption(motion, "--live", "--sidecar")[0] == 0
    assert len(list(motion.glob("*.txt"))) == 2
    (motion / "photo0000.jpg").write_bytes((motion / "photo0000.jpg").read_bytes()[:-500])
    assert "error" in json.loads(caption(motion, "--live")[1].splitlines()[1])
