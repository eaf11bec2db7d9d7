"""Subtitle files are what players read, are written whole, and belong to one clip."""

import os

import pytest

from captioner.errors import UsageError
from captioner.pipelines.caption.subtitles import Subtitles, timestamp
from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.folder.row_file import WriteError

SEGMENTS = [
    {"start": 0.0, "end": 5.0, "caption": "A dog runs.", "score": -1.0},
    {"start": 5.0, "end": 3725.5, "caption": "A dog — sits.", "score": -1.5},
]


def record(path="holiday.mp4"):
    return Record(path, {"caption": "A dog runs.", "score": -1.0, "segments": SEGMENTS})


def test_subrip(tmp_path):
    Subtitles(str(tmp_path / "a.srt"), ["holiday.mp4"], overwrite=False).write([record()])
    assert (tmp_path / "a.srt").read_text(encoding="utf-8") == (
        "1\n00:00:00,000 --> 00:00:05,000\nA dog runs.\n\n2\n00:00:05,000 --> 01:02:05,500\nA dog — sits.\n"
    )


def test_webvtt(tmp_path):
    Subtitles(str(tmp_path / "a.vtt"), ["holiday.mp4"], overwrite=False).write([record()])
    text = (tmp_path / "a.vtt").read_text(encoding="utf-8")
    assert text.startswith("WEBVTT\n\n1\n00:00:00.000 --> 00:00:05.000\nA dog runs.\n\n2\n")


def test_captions_are_no_marks_in_webvtt(tmp_path):
    segments = [{**SEGMENTS[0], "caption": "R&B <3 --> A dog."}]
    for name, expected in (("a.vtt", "R&amp;B &lt;3 --&gt; A dog."), ("a.srt", "R&B <3 --> A dog.")):
        path = tmp_path / name
        Subtitles(str(path), ["holiday.mp4"], overwrite=False).write([Record("holiday.mp4", {"segments": segments})])
        assert path.read_text().splitlines()[-1] == expected


def test_a_file_that_is_there_is_done_unless_it_is_to_be_overwritten(tmp_path):
    path = str(tmp_path / "a.srt")
    Subtitles(path, ["holiday.mp4"], overwrite=False).write([record()])
    again = Subtitles(path, ["holiday.mp4"], overwrite=False)
    assert again.done == {os.path.abspath("holiday.mp4"): False}
    assert not Subtitles(path, ["holiday.mp4"], overwrite=True).done
    (tmp_path / "empty.srt").touch()
    assert not Subtitles(str(tmp_path / "empty.srt"), ["holiday.mp4"], overwrite=False).done


def test_a_clip_that_failed_gets_no_file(tmp_path):
    Subtitles(str(tmp_path / "a.srt"), ["b.mp4"], overwrite=False).write([Record("b.mp4", error="not a video")])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inputs", [["a.mp4", "b.mp4"], [], ["photo.jpg"]])
def test_subtitles_are_of_one_clip(tmp_path, inputs):
    with pytest.raises(UsageError, match=r"subtitles are of one clip, and .*\.jsonl holds any number"):
        Subtitles(str(tmp_path / "a.srt"), inputs, overwrite=False)


def test_other_files_are_never_replaced_unasked(tmp_path):
    (tmp_path / "a.srt").write_text("Dear diary")
    with pytest.raises(UsageError, match="holds something else than subtitles"):
        Subtitles(str(tmp_path / "a.srt"), ["a.mp4"], overwrite=False)
    with pytest.raises(UsageError, match="cannot be written"):
        Subtitles(str(tmp_path / "none" / "a.srt"), ["a.mp4"], overwrite=False)


def test_subtitles_of_a_clip_that_has_changed_are_not_taken_for_its_own(tmp_path):
    clip, path, made = tmp_path / "holiday.mp4", str(tmp_path / "a.srt"), {"captioner": "1", "model": "m@1"}
    clip.write_bytes(b"one")
    Subtitles(path, [str(clip)], overwrite=False, made_by=made).write([record(str(clip))])
    assert Subtitles(path, [str(clip)], overwrite=False, made_by=made).done
    clip.write_bytes(b"another")
    with pytest.raises(UsageError, match=r"holiday\.mp4 has changed since .*a\.srt was made; --overwrite"):
        Subtitles(path, [str(clip)], overwrite=False, made_by=made)
    (tmp_path / "other.mp4").write_bytes(b"other")
    with pytest.raises(UsageError, match=r"holds the subtitles of .*holiday\.mp4"):
        Subtitles(path, [str(tmp_path / "other.mp4")], overwrite=False, made_by=made)
    with pytest.raises(UsageError, match="made with model m@1, and now it is model m@2"):
        Subtitles(path, [str(clip)], overwrite=False, made_by={**made, "model": "m@2"})


def test_a_disk_that_is_full_leaves_no_half_file(tmp_path, monkeypatch):
    writer = Subtitles(str(tmp_path / "a.srt"), ["holiday.mp4"], overwrite=False)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(WriteError, match="no space left"):
        writer.write([record()])
    assert list(tmp_path.iterdir()) == []


def test_times_are_rounded_to_milliseconds():
    assert timestamp(59.9996, ",") == "00:01:00,000"
    assert timestamp(36000.001, ".") == "10:00:00.001"
