"""`captioner caption` with clips: mixed folders, segments, subtitles, galleries, bad files, continuing."""

import io
import json
import sys

import cv2
import numpy as np
import pytest
from PIL import Image

from captioner.pipelines import cli


def draw(seed: int) -> np.ndarray:
    """A smooth random picture, BGR."""
    small = np.random.default_rng(seed).integers(0, 256, (4, 5, 3), np.uint8)
    return cv2.resize(small, (96, 80), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def run(model_folder, monkeypatch, capfd):
    """Runs the command in this process; returns its status, standard output and standard error."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["captioner", "caption", *map(str, arguments), "--model", str(model_folder)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        return exit.value.code or 0, out, err

    return run


@pytest.fixture
def make_clip(tmp_path):
    """Makes a clip of pictures, each shown for some seconds."""

    def make(name: str, *scenes: tuple[int, float], rate: int = 8):
        path = tmp_path / "clips" / name
        path.parent.mkdir(exist_ok=True)
        writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), rate, (96, 80))
        for seed, seconds in scenes:
            for _ in range(round(seconds * rate)):
                writer.write(draw(seed))
        writer.release()
        return path

    return make


def lines_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def photo(path, seed):
    cv2.imwrite(str(path), draw(seed), [cv2.IMWRITE_JPEG_QUALITY, 100])


def test_photos_and_clips_are_captioned_together_and_bad_ones_say_why(run, make_clip):
    folder = make_clip("b.avi", (1, 1)).parent
    photo(folder / "a.jpg", 0)
    (folder / "c.mp4").write_text("text")
    (folder / "d.mkv").touch()
    make_clip("e.avi", (2, 0.1), rate=10)
    status, out, err = run(folder)
    rows = lines_of(out)
    assert status == 1
    assert [row["path"] for row in rows] == [
        str(folder / name) for name in ("a.jpg", "b.avi", "c.mp4", "d.mkv", "e.avi")
    ]
    assert [row.get("error") for row in rows] == [None, None, "not a video", "empty file", None]
    assert all(row["caption"] and row["score"] < 0 for row in rows if "error" not in row)
    assert err.startswith("3 images and clips done in ")


def test_a_clip_that_does_not_move_is_captioned_as_its_picture(run, make_clip):
    clip = make_clip("a.avi", (3, 1))
    photo(clip.with_suffix(".jpg"), 3)
    still, moving = (row["caption"] for row in lines_of(run(clip.with_suffix(".jpg"), clip)[1]))
    assert still == moving


def test_batch_size_and_frames_at_a_time_do_not_change_what_is_written(run, make_clip):
    folder = make_clip("a.avi", (4, 1), (1, 1)).parent
    make_clip("b.avi", (3, 1))
    photo(folder / "c.jpg", 4)
    outputs = [lines_of(run(folder, "--batch-size", size, "--workers", size)[1]) for size in (1, 5, 40)]
    assert len({tuple(row["caption"] for row in rows) for rows in outputs}) == 1


def test_segments_say_what_is_shown_when_and_equal_ones_merge(run, make_clip):
    clip = make_clip("a.avi", (4, 2), (1, 2), (1, 2))
    (row,) = lines_of(run(clip, "--every", "2")[1])
    segments = row["segments"]
    assert [(each["start"], each["end"]) for each in segments] == [(0.0, 2.0), (2.0, 6.0)]
    assert segments[0]["caption"] != segments[1]["caption"]
    assert row["caption"] == segments[1]["caption"]  # what is said for the longest time
    (row,) = lines_of(run(clip, "--scenes")[1])
    assert [each["caption"] for each in row["segments"]] == [each["caption"] for each in segments]


def test_subtitles_follow_scenes_and_are_not_written_again(run, make_clip, tmp_path):
    clip = make_clip("a.avi", (4, 2), (1, 3))
    status, _, _ = run(clip, "-o", tmp_path / "a.srt", "-o", tmp_path / "a.vtt", "-o", tmp_path / "a.jsonl")
    (row,) = lines_of((tmp_path / "a.jsonl").read_text())
    blocks = (tmp_path / "a.srt").read_text().split("\n\n")
    assert status == 0
    assert [block.splitlines()[2] for block in blocks] == [each["caption"] for each in row["segments"]]
    assert blocks[-1].splitlines()[1].endswith("--> 00:00:05,000")
    assert (tmp_path / "a.vtt").read_text().startswith("WEBVTT\n\n1\n00:00:00.000 -->")
    assert "1 were done before" in run(clip, "-o", tmp_path / "a.srt", "-o", tmp_path / "a.jsonl")[2]


def test_subtitles_of_a_broken_clip_fail_with_its_reason(run, tmp_path):
    (tmp_path / "a.mp4").write_text("text")
    status, _, err = run(tmp_path / "a.mp4", "-o", tmp_path / "a.srt")
    assert status == 1
    assert "not a video" in err
    assert not (tmp_path / "a.srt").exists()


def test_a_table_has_a_row_for_each_segment_and_continues(run, make_clip, tmp_path):
    folder = make_clip("a.avi", (4, 2), (1, 2)).parent
    photo(folder / "b.jpg", 3)
    output = tmp_path / "out.csv"
    assert run(folder, "--every", "2", "-o", output)[0] == 0
    whole = output.read_text()
    rows = [line.split(",") for line in whole.splitlines()]
    assert [row[1:5] for row in rows[1:3]] == [["1", "2", "0.0", "2.0"], ["2", "2", "2.0", "4.0"]]
    assert rows[3][0].endswith("b.jpg")
    assert rows[3][5]
    output.write_text("\n".join(whole.splitlines()[:2]) + "\n")  # as if killed within the clip
    assert run(folder, "--every", "2", "-o", output)[0] == 0
    assert output.read_text() == whole


def test_a_gallery_has_a_few_frames_of_each_clip(run, make_clip, tmp_path):
    clip = make_clip("a.avi", (1, 2), (2, 2))
    photo(clip.with_suffix(".jpg"), 0)
    assert run(clip.parent, "--every", "2", "-o", tmp_path / "out.html")[0] == 0
    page = (tmp_path / "out.html").read_text()
    rows = json.loads(page.partition('<script type="application/json" id="rows">')[2].partition("</script>")[0])
    assert [len(row["frames"]) for row in rows if "frames" in row] == [4]
    assert rows[0]["segments"][0]["start"] == 0.0
    assert (rows[0]["height"], rows[0]["width"]) == (80, 96)
    assert "attention" in rows[1]["captions"][0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{clips}", "-o", "{tmp}/a.srt"], "subtitles are of one clip, and here are 2 inputs"),
        (["{clips}", "--every", "0"], "--every is 0; give a number of seconds, from 0.1 to 1,000,000."),
        (["{clips}", "--every", "inf"], "--every is inf; give a number of seconds, from 0.1 to 1,000,000."),
        (["{clips}", "--frames", "0"], "--frames"),
    ],
)
def test_wrong_usage_is_said_at_once(run, make_clip, tmp_path, arguments, message):
    folder = make_clip("a.avi", (1, 1)).parent
    make_clip("b.avi", (1, 1))
    status, _, err = run(*(each.format(clips=folder, tmp=tmp_path) for each in arguments))
    assert status == 2
    assert message in err


def test_long_clips_are_read_a_segment_at_a_time(run, make_clip):
    clip = make_clip("a.avi", *((seed % 3, 1) for seed in range(12)))
    (row,) = lines_of(run(clip, "--every", "1", "--workers", "1", "--batch-size", "4")[1])
    assert row["segments"][-1]["end"] == 12.0
    assert np.isclose(sum(each["end"] - each["start"] for each in row["segments"]), 12.0)


def test_numbered_frames_that_are_named_and_gifs_where_clips_are_asked_for_are_clips(run, tmp_path):
    (tmp_path / "clip").mkdir()
    for number in range(20):
        cv2.imwrite(str(tmp_path / "clip" / f"{number:03}.png"), draw(number // 10))
    frames = [Image.fromarray(cv2.cvtColor(draw(number), cv2.COLOR_BGR2RGB)) for number in (0, 1)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=2000)
    status, out, _ = run(tmp_path / "clip" / "%03d.png", tmp_path / "a.gif", "--scenes")
    rows = lines_of(out)
    assert status == 0
    assert [row["path"] for row in rows] == [str(tmp_path / "clip" / "%03d.png"), str(tmp_path / "a.gif")]
    assert rows[1]["segments"][-1]["end"] == 4.0
    assert "segments" in rows[0]
    assert "segments" not in lines_of(run(tmp_path / "a.gif")[1])[0]
    assert len(lines_of(run(tmp_path / "clip")[1])) == 20
    assert run(tmp_path / "a.gif", "-o", tmp_path / "a.srt")[0] == 0
    assert (tmp_path / "a.srt").read_text().startswith("1\n00:00:00,000 --> ")
    assert lines_of(run(tmp_path / "gone" / "%d.png")[1])[0]["error"].startswith("no numbered frames in it")
