"""Segments cover a clip without gaps, and begin where the scene changes if asked."""

from itertools import pairwise

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
    assert [each.start for each in found] == pytest.approx([0, 3, 5], abs=0.35)
    assert found[-1].end == 9
    for each in found:
        assert len(each.frames) == 3
        assert all(each.start - 0.2 <= time <= each.end for time in each.frames)


def test_long_scenes_are_divided_too_if_both_are_asked_for(clip):
    found = divide(clip, scenes=True, every=2)
    assert [each.start for each in found] == pytest.approx([0, 2, 3, 5, 7], abs=0.4)
    assert all(one.end == other.start for one, other in pairwise(found))


def test_colours_are_near_within_a_scene_and_far_between_scenes():
    one, other = picture(0), picture(1)
    assert distance(one, one) == pytest.approx(0, abs=1e-3)
    assert distance(one, np.roll(one, 5, axis=1)) < 0.05 < CUT < distance(one, other) <= 1
