"""Segments cover a clip without gaps, and begin where the scene changes if asked."""

from fractions import Fraction
from itertools import pairwise

import av
import cv2
import numpy as np
import pytest

from captioner.vision.scenes import CUT, distance, segments
from captioner.vision.video import Video

RATE = 10


def picture(seed: int) -> np.ndarray:
    small = np.random.default_rng(seed).integers(0, 256, (3, 4, 3), np.uint8)
    return cv2.resize(small, (64, 48), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def clip(tmp_path):
    """Scenes of 3, 2 and 4 seconds, each a picture that slowly moves."""
    writer = cv2.VideoWriter(str(tmp_path / "a.avi"), cv2.VideoWriter_fourcc(*"MJPG"), RATE, (64, 48))
    for scene, seconds in enumerate((3, 2, 4)):
        for number in range(seconds * RATE):
            writer.write(np.roll(picture(scene), number // 2, axis=1))
    writer.release()
    return tmp_path / "a.avi"


def divide(path, count=3, **options):
    with Video(path) as video:
        return list(segments(video, lambda frame: frame.time, count, **options))


def spans(found):
    return [(round(each.start, 2), round(each.end, 2)) for each in found]


def test_a_clip_is_one_segment_unless_more_are_asked_for(clip):
    assert spans(divide(clip)) == [(0, 9)]
    assert divide(clip)[0].frames == pytest.approx([1.5, 4.5, 7.5])


def test_segments_of_a_length(clip):
    assert spans(divide(clip, every=2)) == [(0, 2), (2, 4), (4, 6), (6, 8), (8, 9)]
    assert spans(divide(clip, every=4)) == [(0, 4), (4, 9)]  # a last short one joins the one before
    assert spans(divide(clip, every=100)) == [(0, 9)]


def test_scenes_begin_where_the_picture_changes(clip):
    found = divide(clip, scenes=True)
    assert [each.start for each in found] == pytest.approx([0, 3, 5], abs=0.01)
    assert found[-1].end == 9
    for each in found:
        assert len(each.frames) == 3
        assert all(each.start - 0.2 <= time <= each.end for time in each.frames)


def test_long_scenes_are_divided_too_if_both_are_asked_for(clip):
    found = divide(clip, scenes=True, every=2)
    assert [each.start for each in found] == pytest.approx([0, 2, 3, 5, 7], abs=0.4)
    assert all(one.end == other.start for one, other in pairwise(found))


@pytest.fixture
def encode(tmp_path):
    """Encodes (time in seconds, picture) pairs, the last pair only saying when the clip ends; returns the path."""

    def encode(frames, suffix=".mp4", **options):
        path = tmp_path / f"shown{suffix}"
        with av.open(str(path), "w") as file:
            stream = file.add_stream("mpeg4" if suffix == ".mp4" else "libvpx", rate=25)
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
            ends = [time for time, _ in frames[1:]]
            for (time, image), end in zip(frames, ends, strict=False):
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = round(1000 * time), Fraction(1, 1000)
                for packet in stream.encode(frame):
                    packet.duration = round(1000 * (end - time))
                    file.mux(packet)
            for packet in stream.encode():
                file.mux(packet)
        return path

    return encode


@pytest.mark.parametrize("suffix", [".mp4", ".webm"])
def test_a_slide_show_is_cut_where_its_pictures_change(encode, suffix):
    shown = [(0, picture(0)), (10, picture(1)), (20, picture(2)), (29.9, picture(2)), (30, picture(2))]
    found = divide(encode(shown, suffix), scenes=True)
    assert spans(found)[:-1] == [(0, 10), (10, 20)]
    assert [each.frames[0] for each in found] == pytest.approx([0, 10, 20])


def test_the_cut_does_not_depend_on_how_many_frames_a_second_there_are(encode):
    for rate in (2, 7, 50):
        frames = [(time, picture(0 if time < 4 else 1)) for time in np.arange(0, 8, 1 / rate)]
        assert spans(divide(encode([*frames, (8, picture(1))]), scenes=True))[0] == pytest.approx(
            (0, 4), abs=1 / 7 + 0.01
        )


def test_a_picture_that_stays_is_divided_too_if_a_length_is_asked_for(encode):
    found = divide(
        encode([(0, picture(0)), (10, picture(1)), (15.9, picture(1)), (16, picture(1))]), scenes=True, every=4
    )
    assert [each.start for each in found] == pytest.approx([0, 4, 8, 10, 14], abs=0.01)
    assert [each.frames[0] for each in found][:4] == pytest.approx([0, 0, 0, 10])
    assert all(one.end == other.start for one, other in pairwise(found))


def test_colours_are_near_within_a_scene_and_far_between_scenes():
    one, other = picture(0), picture(1)
    assert distance(one, one) == pytest.approx(0, abs=1e-3)
    assert distance(one, np.roll(one, 5, axis=1)) < 0.05 < CUT < distance(one, other) <= 1
