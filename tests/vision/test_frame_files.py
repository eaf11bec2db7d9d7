"""Folders of numbered frames and GIFs are clips."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from captioner.data.clips import ClipSet
from captioner.errors import VideoError
from captioner.pipelines.folder.inputs import find_inputs
from captioner.vision.frame_files import is_frames, numbered_frames
from captioner.vision.scenes import segments
from captioner.vision.video import CLIP_SUFFIXES, Video, sample_frames


def write_frames(folder: Path, count: int, name: str = "{:05}.png", first: int = 0, size=(40, 60)) -> Path:
    """Frames whose grey value is their number times five."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        Image.fromarray(np.full((*size, 3), 5 * number % 256, np.uint8)).save(folder / name.format(first + number))
    return folder


def greys(clip) -> list[int]:
    return [int(frame[0, 0, 0]) // 5 for frame in clip.frames]


@pytest.mark.parametrize("name", ["{:05}.png", "frame_{}.png", "img.{:03}.PNG"])
def test_numbered_frames_are_a_clip_in_the_order_of_their_numbers(tmp_path, name):
    folder = write_frames(tmp_path / "clip", 50, name, first=7)
    (folder / ".hidden.jpg").touch()
    (folder / "notes.txt").touch()
    clip = sample_frames(folder, count=5)
    assert clip.duration == 2.0
    assert greys(clip) == [5, 15, 25, 35, 45]
    assert clip.times.tolist() == pytest.approx([0.2, 0.6, 1.0, 1.4, 1.8])
    assert greys(sample_frames(folder, rate=25.0)) == list(range(50))
    assert len(sample_frames(folder, count=80).frames) == 50  # none is given twice


def test_a_pattern_names_some_of_a_folders_pictures(tmp_path):
    folder = write_frames(write_frames(tmp_path / "clip", 4), 10, "b{}.png")
    assert numbered_frames(folder) == []
    assert is_frames(folder / "b%d.png")
    assert not is_frames(folder / "b.png")
    assert greys(sample_frames(folder / "b%d.png", count=10)) == list(range(10))


def test_damaged_frames_are_replaced_by_their_neighbours_and_said(tmp_path):
    folder = write_frames(tmp_path / "clip", 10)
    for number in (3, 4):
        (folder / f"{number:05}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    clip = sample_frames(folder, count=10)
    assert greys(clip)[:7] == [0, 1, 2, 2, 5, 5, 6]
    assert clip.warning == "parts of the file are damaged"
    for path in folder.iterdir():
        path.write_bytes(b"")
    with pytest.raises(VideoError, match="clip: not one frame can be decoded"):
        sample_frames(folder, count=3)


def test_frames_of_other_sizes_become_that_of_the_first_and_large_ones_are_refused(tmp_path):
    folder = write_frames(tmp_path / "clip", 2)
    Image.new("RGB", (80, 80)).save(folder / "00002.png")
    assert sample_frames(folder, count=3).frames.shape == (3, 40, 60, 3)
    with Video(folder, max_pixels=3000) as video, pytest.raises(VideoError, match=r"clip: too large \(80 x 80 pixels"):
        list(video.frames([0.0, 0.05, 0.1]))


@pytest.mark.parametrize("names", ["a.png b.png", "1.png", "1.png 2.png cover.png", "a1.png b2.png", ""])
def test_other_folders_are_no_clips(tmp_path, names):
    for name in names.split():
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    assert numbered_frames(tmp_path) == []
    with pytest.raises(VideoError, match="no numbered frames in it"):
        sample_frames(tmp_path, count=1)


def test_scenes_are_found_in_frames(tmp_path):
    folder = write_frames(tmp_path / "clip", 100)
    for number in range(100):
        colour = (200, 30, 30) if number < 60 else (30, 30, 200)
        Image.new("RGB", (60, 40), colour).save(folder / f"{number:05}.png")
    with Video(folder) as video:
        parts = list(segments(video, lambda frame: frame.time, 2, scenes=True))
    assert [(part.start, part.end) for part in parts] == [(0.0, 2.4), (2.4, 4.0)]


def write_gif(path: Path, count: int) -> Path:
    frames = [Image.fromarray(np.full((40, 60, 3), 5 * number, np.uint8)) for number in range(count)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100)
    return path


def test_a_gif_is_a_clip_by_its_own_times(tmp_path):
    clip = sample_frames(write_gif(tmp_path / "a.gif", 20), count=4)
    assert clip.duration == 2.0
    assert greys(clip) == [2, 7, 12, 17]


def test_classes_may_hold_frames_gifs_and_copies_of_them(tmp_path):
    for label in ("sit", "run"):
        write_frames(tmp_path / label / "one", 3, first=len(label))
        write_gif(tmp_path / label / "two.gif", 3 + (label == "run"))
    write_frames(tmp_path / "run" / "copy", 3)
    write_frames(tmp_path / "run" / "other", 3, size=(50, 50))
    found = ClipSet.read(tmp_path)
    assert [clip.path.relative_to(tmp_path).as_posix() for clip in found.clips] == [
        *("run/copy", "run/one", "run/other", "run/two.gif", "sit/one", "sit/two.gif")
    ]
    groups = {clip.path.relative_to(tmp_path).as_posix(): clip.group for clip in found.clips}
    assert groups["run/copy"] == groups["run/one"] == groups["sit/one"] != groups["run/other"]


def test_commands_for_clips_list_folders_of_frames_as_one_input(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_frames(tmp_path / "deep" / "clip", 3)
    write_gif(tmp_path / "deep" / "a.gif", 2)
    assert find_inputs(["deep"], CLIP_SUFFIXES, frames=True).paths == ["deep/a.gif", "deep/clip"]
    assert find_inputs(["deep/clip"], CLIP_SUFFIXES, frames=True).paths == ["deep/clip"]
    assert find_inputs(["deep/clip/%05d.png"], CLIP_SUFFIXES).paths == ["deep/clip/%05d.png"]
    assert find_inputs(["deep"], {".png"}).paths == [f"deep/clip/0000{number}.png" for number in range(3)]
