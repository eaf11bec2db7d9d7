import os
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from captioner.errors import VideoError
from captioner.vision.images import Transform
from captioner.vision.video import Video, instants, sample_frames

needs_ffmpeg = pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="makes its clips with the ffmpeg program")


def write_clip(
    path: Path, frames: int = 50, rate: float = 25.0, size: tuple[int, int] = (48, 64), codec="MJPG"
) -> Path:
    """A clip whose frame number i has the grey value 5 * i."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), rate, size[::-1])
    assert writer.isOpened()
    for number in range(frames):
        writer.write(np.full((*size, 3), 5 * number, dtype=np.uint8))
    writer.release()
    return path


def ffmpeg(path: Path, *arguments: str) -> Path:
    command = ["ffmpeg", "-v", "error", "-y", *arguments, "-threads", "1", str(path)]
    subprocess.run(command, check=True, timeout=60, stdin=subprocess.DEVNULL)
    return path


def moving(path: Path, *arguments: str, seconds: float = 2.0) -> Path:
    """A clip in which every frame differs, encoded as the arguments say."""
    return ffmpeg(path, "-f", "lavfi", "-i", f"testsrc2=s=96x64:r=25:d={seconds}", *arguments)


def in_sequence(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def brightness(clip) -> list[int]:
    return [round(float(frame.mean()) / 5) for frame in clip.frames]


def test_frames_are_those_shown_in_the_middles_of_equal_parts(tmp_path):
    clip = sample_frames(write_clip(tmp_path / "a.avi"), count=5)
    assert brightness(clip) == [5, 15, 25, 35, 45]
    assert clip.times == pytest.approx([0.2, 0.6, 1.0, 1.4, 1.8])
    assert clip.duration == pytest.approx(2.0)
    assert clip.warning is None
    assert clip.frames.shape == (5, 48, 64, 3)


def test_a_rate_gives_frames_of_a_part_of_the_clip(tmp_path):
    clip = sample_frames(write_clip(tmp_path / "a.avi"), rate=5, start=1.0, end=1.6)
    assert brightness(clip) == [27, 32, 37]


def test_frames_larger_than_allowed_are_refused_before_one_is_decoded(tmp_path):
    path = write_clip(tmp_path / "a.avi")
    with pytest.raises(
        VideoError, match=r"a\.avi: too large \(64 x 48 pixels; --max-pixels, now 3,071, sets the limit\)"
    ):
        Video(path, max_pixels=64 * 48 - 1)
    with Video(path, max_pixels=64 * 48) as video:
        assert video.duration == pytest.approx(2)


def test_no_frame_is_given_twice(tmp_path):
    clip = sample_frames(write_clip(tmp_path / "a.avi", frames=3), count=16)
    assert brightness(clip) == [0, 1, 2]
    assert len(sample_frames(write_clip(tmp_path / "one.avi", frames=1), count=16).frames) == 1


def test_a_transform_is_applied_to_each_frame(tmp_path):
    clip = sample_frames(write_clip(tmp_path / "a.avi"), count=4, transform=Transform((20, 30)))
    assert clip.frames.shape == (4, 20, 30, 3)


def test_frames_that_are_shrunk_on_the_way_are_nearly_those_shrunk_afterwards(tmp_path):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 5.0, (288, 216))
    rng = np.random.default_rng(0)
    for _ in range(3):
        writer.write(cv2.resize(rng.integers(0, 256, (4, 5, 3), np.uint8), (288, 216)))
    writer.release()
    transform = Transform((32, 40))
    direct = sample_frames(path, count=3, transform=transform).frames.astype(int)
    after = sample_frames(path, count=3, transform=lambda frame: transform(frame)).frames
    assert direct.shape == after.shape == (3, 32, 40, 3)
    assert np.abs(direct - after).mean() < 5  # colours at hard edges differ, since they are stored at half the size


def test_going_back_in_an_open_video(tmp_path):
    with Video(write_clip(tmp_path / "a.avi")) as video:
        late = [frame.time for frame in video.frames([1.9])]
        early = [frame.time for frame in video.frames([0.1, 1.0])]
    assert late + early == pytest.approx([1.88, 0.08, 1.0])


@needs_ffmpeg
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("h264.mp4", "-c:v libx264 -g 12"),
        ("one-key.mp4", "-c:v libx264 -g 250"),
        ("open.mp4", "-c:v libx264 -x264-params open-gop=1:keyint=15:bframes=3"),
        ("late.mp4", "-c:v libx264 -g 12 -output_ts_offset 5"),
        ("index.mkv", "-c:v libx264 -g 12"),
        ("stream.ts", "-c:v libx264 -g 12"),
        ("flash.flv", "-c:v libx264 -g 12"),
        ("old.mpg", "-c:v mpeg2video -bf 2"),
        ("vp8.webm", "-c:v libvpx -g 12"),
        ("packed.avi", "-c:v libx264 -g 12"),
        ("motion.avi", "-c:v mjpeg"),
        ("bare.h264", "-c:v libx264 -g 12"),
    ],
)
def test_frames_are_exactly_those_of_sequential_reading(tmp_path, name, arguments):
    path = moving(tmp_path / name, *arguments.split())
    every = in_sequence(path)
    with Video(path) as video:
        for times in (instants(0, 2, count=3), [1.8], [0.3], instants(0.5, 0.8, rate=25), [1.2, 1.9]):
            for frame in video.frames(times):
                place = round((frame.time - video.start) * 25)
                assert np.array_equal(frame.pixels, every[place]), f"at {frame.time} of {list(times)}"
            assert frame.time == pytest.approx(times[-1], abs=0.21)


@needs_ffmpeg
def test_where_instants_are_near_each_other_the_frame_is_the_one_shown_then(tmp_path):
    path = moving(tmp_path / "a.mp4", "-c:v", "libx264", "-g", "12")
    clip = sample_frames(path, rate=5)
    assert clip.times == pytest.approx(np.arange(10) / 5 + 0.08)


@needs_ffmpeg
def test_variable_frame_rates_are_read_by_timestamps(tmp_path):
    path = moving(tmp_path / "a.mp4", "-vf", "select='lt(n,10)+gt(n,40)'", "-vsync", "vfr", "-c:v", "libx264")
    clip = sample_frames(path, count=4, end=2.0)
    assert clip.times == pytest.approx([0.24, 0.36, 1.72])  # nothing new is shown from 0.36 s to 1.64 s


@needs_ffmpeg
@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["ts", "mpg"])
def test_recordings_that_lie_behind_one_another_are_one_clip(tmp_path, suffix):
    first = moving(tmp_path / f"a.{suffix}", "-g", "12", seconds=2)
    second = ffmpeg(tmp_path / f"b.{suffix}", "-f", "lavfi", "-i", "color=red:s=96x64:r=25:d=4", "-g", "100")
    both = tmp_path / f"both.{suffix}"
    both.write_bytes(b"".join(path.read_bytes() for path in (second, first, first)))
    with Video(both) as video:
        assert video.duration == pytest.approx(8, abs=0.2)
        frames = list(video.frames(instants(0, video.duration, rate=25)))
        assert video.warning is None
        sought = next(video.frames([6.0]))  # back from the end
    assert len(frames) == pytest.approx(200, abs=4)
    expected = in_sequence(both)
    for place, frame in ((10, frames[10]), (90, frames[90]), (120, frames[120]), (150, sought)):
        assert any(np.array_equal(frame.pixels, each) for each in expected[place - 2 : place + 3])
    assert not np.array_equal(frames[110].pixels, frames[120].pixels)


@pytest.mark.parametrize("angle", [90, 180, 270])
def test_rotation_is_undone_as_players_do(tmp_path, angle):
    plain = moving(tmp_path / "plain.mp4", "-c:v", "libx264", seconds=0.2)
    turned = ffmpeg(tmp_path / "turned.mp4", "-i", str(plain), "-c", "copy", "-metadata:s:v:0", f"rotate={angle}")
    shown = ffmpeg(tmp_path / "shown.png", "-i", str(turned), "-frames:v", "1")
    expected = cv2.imread(str(shown))[:, :, ::-1].astype(int)
    frame = sample_frames(turned, count=1, end=0.04).frames[0]
    assert frame.shape == expected.shape
    assert np.abs(frame - expected).mean() < 3


@needs_ffmpeg
def test_sides_of_odd_length(tmp_path):
    path = moving(tmp_path / "a.mp4", "-vf", "scale=101:67", "-pix_fmt", "yuv444p", "-c:v", "libx264", seconds=0.4)
    assert sample_frames(path, count=2).frames.shape == (2, 67, 101, 3)


OFFSET = ("-output_ts_offset", "0.5")


@needs_ffmpeg
def test_frames_of_a_stream_that_changes_its_size_are_all_of_the_first_size(tmp_path):
    small = moving(tmp_path / "small.ts", "-c:v", "libx264", seconds=0.5)
    large = moving(tmp_path / "large.ts", "-vf", "scale=192:128", "-c:v", "libx264", *OFFSET, seconds=0.5)
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    assert sample_frames(both, rate=25).frames.shape[1:] == (64, 96, 3)


@needs_ffmpeg
def test_a_file_that_ends_too_soon_gives_what_is_there_and_a_warning(tmp_path):
    whole = moving(tmp_path / "whole.mp4", "-c:v", "libx264", "-movflags", "faststart")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    clip = sample_frames(cut, count=8)
    assert len(clip.frames) >= 6
    assert 0.5 < clip.duration < 1.5
    assert clip.warning == f"the file ends too soon ({clip.duration:.1f} of 2.0 seconds could be read)"


@needs_ffmpeg
def test_a_clip_that_begins_late_is_whole(tmp_path):
    clip = sample_frames(moving(tmp_path / "a.mkv", "-vf", "setpts=PTS+100/TB", "-c:v", "mjpeg"), count=3)
    assert clip.duration == pytest.approx(2.0, abs=0.01)
    assert clip.times == pytest.approx([1 / 3, 1, 5 / 3], abs=0.05)
    assert clip.warning is None


@needs_ffmpeg
def test_damaged_parts_are_said(tmp_path):
    data = bytearray(moving(tmp_path / "a.ts", "-c:v", "libx264").read_bytes())
    for place in range(len(data) // 4, len(data) // 2, 500):
        data[place] ^= 0xFF
    broken = tmp_path / "broken.ts"
    broken.write_bytes(data)
    clip = sample_frames(broken, rate=25)
    assert clip.warning == "parts of the file are damaged"
    assert len(clip.frames) > 20


def test_a_wrong_length_in_the_header_does_not_matter(tmp_path):
    path = write_clip(tmp_path / "a.avi", frames=40, codec="MJPG")
    data = bytearray(path.read_bytes())
    header, stream = data.index(b"avih"), data.index(b"strh")
    for claimed in (7, 4000):
        data[header + 24 : header + 28] = data[stream + 40 : stream + 44] = claimed.to_bytes(4, "little")
        path.write_bytes(data)
        clip = sample_frames(path, count=4)
        assert clip.duration == pytest.approx(1.6)
        assert brightness(clip) == [5, 15, 25, 35]
        assert (clip.warning is None) == (claimed == 7)


def test_files_that_are_no_video_are_errors_that_say_why(tmp_path):
    text = tmp_path / "text.mp4"
    text.write_text("This is no clip, whatever its name says.\n" * 50)
    empty = tmp_path / "empty.mp4"
    empty.touch()
    playlist = tmp_path / "list.mp4"
    write_clip(tmp_path / "a.mp4", codec="mp4v")
    playlist.write_text("ffconcat version 1.0\nfile a.mp4\n")
    cut = tmp_path / "cut.mp4"
    cut.write_bytes((tmp_path / "a.mp4").read_bytes()[:1000])
    for path, reason in (
        (text, "not a video"),
        (empty, "empty file"),
        (playlist, "not a video"),
        (cut, "the file ends too soon (its index is missing)"),
        (tmp_path / "none.mp4", "cannot be read (no such file or directory)"),
    ):
        with pytest.raises(VideoError) as error:
            sample_frames(path, count=2)
        assert str(error.value) == f"{path}: {reason}"


@needs_ffmpeg
def test_a_title_that_is_no_utf8_stops_nothing(tmp_path):
    titled = moving(tmp_path / "a.avi", "-metadata", os.fsdecode(b"title=caf\xe9"), seconds=0.2)
    assert b"caf\xe9" in titled.read_bytes()
    assert len(sample_frames(titled, count=2).frames) == 2


@needs_ffmpeg
def test_sound_without_frames_is_an_error_that_says_so(tmp_path):
    path = ffmpeg(tmp_path / "song.mp4", "-f", "lavfi", "-i", "sine=d=1")
    with pytest.raises(VideoError, match="no video in it, only sound"):
        sample_frames(path, count=2)


def test_a_file_without_frames_is_an_error_that_says_so(tmp_path):
    path = tmp_path / "none.avi"
    cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 25.0, (64, 48)).release()
    with pytest.raises(VideoError, match=r"has no frames|not a video"):
        sample_frames(path, count=2)


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flip, overwrite, remove, double or cut, often near the ends, where containers keep their indices."""
    damaged = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 5, 20])):
        length = len(damaged)
        edge = rng.randrange(min(length, 2000))
        place = rng.choice([rng.randrange(length), edge, length - 1 - edge])
        kind = rng.randrange(5)
        if kind == 0:
            damaged[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            damaged[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"])
        elif kind == 2 and length > 1000:
            del damaged[place : place + rng.choice([1, 3, 16, 500])]
        elif kind == 3:
            damaged[place:place] = damaged[place : place + rng.choice([1, 4, 64])]
        elif kind == 4 and rng.random() < 0.2:
            del damaged[place + 1 :]
    return bytes(damaged)


def test_damaged_files_give_frames_or_one_clear_error(tmp_path):
    rounds = int(os.environ.get("CAPTIONER_FUZZ_ROUNDS", "30"))  # docs/robustness.md records longer runs
    seeds = [write_clip(tmp_path / "a.avi", 24), write_clip(tmp_path / "b.mp4", 24, codec="mp4v")]
    if shutil.which("ffmpeg"):
        seeds += [moving(tmp_path / f"c.{kind}", "-c:v", "libx264", "-g", "8") for kind in ("mp4", "mkv", "ts", "flv")]
    rng = random.Random(5)
    counts = Counter()
    for seed in seeds:
        data = seed.read_bytes()
        for _ in range(rounds):
            path = tmp_path / f"damaged{seed.suffix}"
            path.write_bytes(mutate(data, rng))
            try:
                clip = sample_frames(path, count=5)
                assert len(clip.frames) == len(clip.times) > 0
                counts["clip"] += 1
            except VideoError:
                counts["error"] += 1
    print(dict(counts))
    assert min(counts["clip"], counts["error"]) > rounds / 4


def test_frames_are_asked_for_by_a_count_or_a_rate():
    for wrong in ({}, {"count": 2, "rate": 1.0}, {"count": 0}, {"rate": -1.0}):
        with pytest.raises(ValueError, match="positive"):
            instants(0, 1, **wrong)
    assert instants(2, 4, count=2).tolist() == [2.5, 3.5]
    assert instants(0, 0, rate=5).tolist() == [0.0]
