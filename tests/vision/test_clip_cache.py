import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from captioner.errors import DataError
from captioner.vision.clip_cache import ClipCache
from captioner.vision.clip_features import FramesConfig, encode, view
from captioner.vision.encoder import Features
from captioner.vision.images import Transform
from captioner.vision.video import Video

SMALL = Transform((16, 16))
FRAMES = FramesConfig(count=3)


class Encoder:
    """Each pixel is a region; counts the images it has seen."""

    def __init__(self):
        self.images = 0

    def __call__(self, pixels):
        self.images += len(pixels)
        return Features.of(torch.from_numpy(pixels).float().flatten(1, 2) / 255)


@pytest.fixture
def clips(draw_clip, tmp_path):
    return [draw_clip(tmp_path / f"{number}.avi", seed=number) for number in range(3)]


def test_features_are_those_of_the_views_and_their_mirror_images(clips, tmp_path):
    cache = ClipCache(tmp_path / "cache", "key", FRAMES, views=2)
    assert cache.fill(clips, Encoder(), SMALL) == {}
    versions = cache.read(clips[1])
    assert len(versions) == 4
    with Video(clips[1]) as video:
        seen = view(video, FRAMES, SMALL, 1).pixels
    plain, mirrored = encode([seen, seen[:, :, ::-1]], Encoder())
    assert torch.allclose(versions[2], plain, atol=1e-3)
    assert torch.allclose(versions[3], mirrored, atol=1e-3)


def test_nothing_is_computed_twice_but_what_changed(clips, draw_clip, tmp_path):
    encoder, told = Encoder(), []
    ClipCache(tmp_path / "cache", "key", FRAMES, views=1).fill(clips, encoder, SMALL)
    assert encoder.images == 3 * 3 * 2
    draw_clip(clips[2], seed=9, frames=20)
    cache = ClipCache(tmp_path / "cache", "key", FRAMES, views=1)
    cache.fill(clips, encoder, SMALL, progress=lambda done, total: told.append((done, total)))
    assert encoder.images == 4 * 3 * 2
    assert told == [(3, 3)]
    ClipCache(tmp_path / "cache", "key", FRAMES, views=2).fill(clips, encoder, SMALL)
    assert encoder.images == 7 * 3 * 2


def test_copies_at_another_place_are_not_computed_again(clips, tmp_path):
    encoder = Encoder()
    ClipCache(tmp_path / "cache", "key", FRAMES, views=1).fill(clips, encoder, SMALL)
    copies = [Path(shutil.copy(clip, tmp_path / f"copy of {clip.name}")) for clip in clips]
    cache = ClipCache(tmp_path / "cache", "key", FRAMES, views=1)
    before = encoder.images
    cache.fill(copies, encoder, SMALL)
    assert encoder.images == before
    assert not torch.equal(cache.read(copies[0])[0], cache.read(copies[1])[0])


def test_a_folder_of_frames_one_of_which_has_changed_is_computed_again(tmp_path):
    folder = tmp_path / "clip"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.bmp"), np.full((16, 16, 3), 9 * number, np.uint8))
    encoder = Encoder()
    ClipCache(tmp_path / "cache", "key", FRAMES, views=1).fill([folder], encoder, SMALL)
    before = encoder.images
    cv2.imwrite(str(folder / "1.bmp"), np.full((16, 16, 3), 200, np.uint8))  # which changes no time of the folder
    cache = ClipCache(tmp_path / "cache", "key", FRAMES, views=1)
    cache.fill([folder], encoder, SMALL)
    assert encoder.images == 2 * before
    assert cache.read(folder)[0][1].max() > 0.7


def test_another_cnn_or_choice_of_frames_has_another_cache(clips, tmp_path):
    caches = [ClipCache(tmp_path, key, frames, 1) for key in "ab" for frames in (FRAMES, FramesConfig(count=4))]
    assert len({cache.folder for cache in caches}) == 4


def test_clips_that_cannot_be_read_are_named_and_the_rest_is_done(clips, tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").write_bytes(b"")
    bad = [tmp_path / "text.mp4", tmp_path / "empty.mp4"]
    cache = ClipCache(tmp_path / "cache", "key", FRAMES, views=1)
    unreadable = cache.fill([bad[0], *clips, bad[1]], Encoder(), SMALL)
    assert unreadable == {bad[0]: f"{bad[0]}: not a video", bad[1]: f"{bad[1]}: empty file"}
    assert all(len(cache.read(clip)) == 2 for clip in clips)


def test_a_torn_file_is_refused(clips, tmp_path):
    cache = ClipCache(tmp_path / "cache", "key", FRAMES, views=1)
    cache.fill(clips, Encoder(), SMALL)
    for file in cache.folder.iterdir():
        file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(DataError, match="not a complete feature file"):
        cache.read(clips[0])
