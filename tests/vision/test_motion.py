import numpy as np
import pytest
import torch

from captioner.vision.motion import differences, moving_window


def clip_with_square(places, size=(120, 200), side=30):
    frames = np.full((len(places), *size, 3), 90, np.uint8)
    for frame, (top, left) in zip(frames, places, strict=True):
        frame[top : top + side, left : left + side] = 220
    return frames


@pytest.mark.parametrize(("top", "left"), [(5, 5), (80, 150), (40, 90)])
def test_the_window_holds_what_moves(top, left):
    frames = clip_with_square([(top, left), (top + 4, left + 4), (top + 8, left + 8)])
    first, second, side = moving_window(frames, share=0.5)
    assert side == 60
    assert first <= top
    assert second <= left
    assert first + side >= min(top + 38, 120)
    assert second + side >= min(left + 38, 200)


def test_a_still_or_single_frame_is_seen_in_the_middle():
    still = clip_with_square([(5, 5)] * 3)
    assert moving_window(still, 0.5) == moving_window(still[:1], 0.5) == (30, 70, 60)


def test_noise_is_no_motion():
    frames = clip_with_square([(5, 5), (9, 9)])
    noisy = frames + np.random.default_rng(0).integers(0, 5, frames.shape, np.uint8)
    assert moving_window(noisy, 0.4) == moving_window(frames, 0.4)


def test_the_window_never_leaves_the_frame_nor_vanishes():
    tiny = np.random.default_rng(1).integers(0, 256, (3, 2, 5, 3), np.uint8)
    for share in (0.1, 1.0):
        top, left, side = moving_window(tiny, share)
        assert side >= 1
        assert 0 <= top <= 2 - side
        assert 0 <= left <= 5 - side


def test_differences_are_taken_before_the_mean_over_regions():
    grids = torch.tensor([[[1.0], [0.0]], [[0.0], [1.0]], [[0.0], [3.0]]])
    assert differences(grids)[:, 0].tolist() == [1.0, 1.0, 1.0]
    assert differences(grids[1:])[:, 0].tolist() == [1.0, 1.0]
    assert differences(grids[:1]).tolist() == [[0.0]]
