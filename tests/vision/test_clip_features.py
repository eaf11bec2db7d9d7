import numpy as np
import pytest
import torch

from captioner.vision.clip_features import FramesConfig, encode, see, view
from captioner.vision.encoder import Features
from captioner.vision.images import Transform
from captioner.vision.video import Frame, Video, instants

SMALL = Transform((32, 32), interpolation="area")


def test_the_first_view_is_the_whole_clip_as_a_trained_model_sees_it(draw_clip, tmp_path):
    with Video(draw_clip(tmp_path / "a.avi")) as video:
        seen = view(video, FramesConfig(count=5), SMALL)
        expected = np.stack([SMALL(frame.pixels) for frame in video.frames(instants(0, video.duration, count=5))])
    assert (seen.pixels == expected).all()
    assert seen.times == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.9])
    assert seen.window == (0, 0, 1, 1)


def test_other_views_are_parts_of_the_clip_and_always_the_same(draw_clip, tmp_path):
    with Video(draw_clip(tmp_path / "a.avi", frames=50)) as video:
        views = [view(video, FramesConfig(count=4, area="moving"), SMALL, number) for number in (0, 1, 2, 1)]
    assert (views[1].pixels == views[3].pixels).all()
    assert len({tuple(each.times) for each in views}) == 3
    for each in views[1:]:
        assert np.diff(each.times).max() <= np.diff(views[0].times).max() + 0.1


def test_a_short_clip_gives_the_frames_it_has(draw_clip, tmp_path):
    with Video(draw_clip(tmp_path / "a.avi", frames=2)) as video:
        assert len(view(video, FramesConfig(count=8), SMALL).pixels) == 2


def test_only_what_moves_is_seen_and_large_frames_are_shrunk_first():
    def frame(number):
        pixels = np.full((800, 1200, 3), 90, np.uint8)
        pixels[600 + 20 * number : 700 + 20 * number, 900:1000] = (220, 0, 0)
        return Frame(float(number), pixels)

    seen = see(map(frame, range(4)), FramesConfig(count=4, area="moving", share=0.5), SMALL)
    top, left, bottom, right = seen.window
    assert top < 600 / 800 < 760 / 800 < bottom <= 1
    assert left < 900 / 1200 < 1000 / 1200 < right <= 1
    assert (seen.pixels[..., 0] > 180).mean() > 0.04
    assert seen.pixels.shape == (4, 32, 32, 3)


def test_clips_go_through_the_cnn_at_once_and_come_out_apart():
    clips = [
        np.random.default_rng(seed).integers(0, 256, (frames, 4, 4, 3), np.uint8) for seed, frames in enumerate((3, 2))
    ]
    batches = []

    def encoder(pixels):
        batches.append(len(pixels))
        return Features.of(torch.from_numpy(pixels).float().flatten(1, 2))

    together = encode(clips, encoder)
    assert batches == [5]
    for clip, features in zip(clips, together, strict=True):
        assert features.shape == (len(clip), 2, 3)
        assert torch.equal(features, encode([clip], encoder)[0])
        assert torch.allclose(features[:, 0], torch.from_numpy(clip).float().mean(dim=(1, 2)))
