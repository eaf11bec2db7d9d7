"""Captioned clips in MSR-VTT's form become a caption set; what does not fit is one clear error."""

import json

import pytest

from captioner.data.video_captions import read_video_captions
from captioner.errors import DataError


@pytest.fixture
def write(tmp_path):
    """Writes a captions file and empty clips `video0.mp4` ... in sub-folders."""

    def write(videos, sentences, clips=3):
        for number in range(clips):
            (tmp_path / "clips" / str(number % 2)).mkdir(parents=True, exist_ok=True)
            (tmp_path / "clips" / str(number % 2) / f"video{number}.mp4").touch()
        (tmp_path / "captions.json").write_text(json.dumps({"info": {}, "videos": videos, "sentences": sentences}))
        return tmp_path / "captions.json", tmp_path / "clips"

    return write


def video(number, **more):
    return {"video_id": f"video{number}", "category": 9, "url": "", **more}


def sentence(number, caption):
    return {"video_id": f"video{number}", "caption": caption, "sen_id": 1}


def test_clips_with_their_splits_and_captions(write):
    paths = write(
        [video(0, split="train"), video(1, split="validate"), video(2)],
        [sentence(1, "a dog runs"), sentence(0, "A man is singing."), sentence(2, "cars"), sentence(0, "a singer")],
    )
    clips = read_video_captions(*paths)
    assert [(clip.file_name, clip.split) for clip in clips] == [
        ("0/video0.mp4", "train"),
        ("1/video1.mp4", "val"),
        ("0/video2.mp4", "train"),
    ]
    assert clips[0].captions == ("A man is singing.", "a singer")
    assert clips[0].tokens[0] == ("a", "man", "is", "singing")


def test_missing_clips_are_said_or_left_out(write):
    paths = write([video(0), video(7)], [sentence(0, "a dog"), sentence(7, "a cat")], clips=1)
    with pytest.raises(DataError, match=r"1 of 2 clips not found in .*clips, such as video7; add them"):
        read_video_captions(*paths)
    assert [clip.file_name for clip in read_video_captions(*paths, allow_missing=True)] == ["0/video0.mp4"]


@pytest.mark.parametrize(
    ("videos", "sentences", "message"),
    [
        ([video(0, split="holdout")], [], "split 'holdout'; known are train, validate, val and test"),
        ([video(0)], [sentence(4, "a dog")], "sentences of 1 videos that are not listed, such as video4"),
        ([video(0)], [sentence(0, 3)], "a caption is not a text"),
        ([video(0, split="train"), video(0, split="test")], [], "video0 is in the splits train and test; leave it in"),
        ([{"name": "video0"}], [], "not captions of clips, which have videos"),
        (None, [], "not captions of clips, which have videos"),
    ],
)
def test_files_that_do_not_fit_are_errors_that_say_why(write, videos, sentences, message):
    with pytest.raises(DataError, match=message):
        read_video_captions(*write(videos, sentences))


def test_rows_of_captions_that_are_left_out_are_said(write, tmp_path, caplog):
    write([], [])
    (tmp_path / "captions.csv").write_text("video,caption\nvideo0.mp4,A dog.\nvideo1.mp4\n")
    assert len(read_video_captions(tmp_path / "captions.csv", tmp_path / "clips")) == 1
    assert "1 rows have too few cells" in caplog.text


def test_a_folder_that_is_not_there_is_an_error(write, tmp_path):
    captions, _ = write([video(0)], [sentence(0, "a dog")])
    with pytest.raises(DataError, match="no such folder of clips"):
        read_video_captions(captions, tmp_path / "none")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.csv", "video_id,caption,split\nvideo0,a dog,train\nvideo0,dogs,train\nvideo1,a cat,val\n"),
        ("captions.tsv", "0/video0.mp4\ta dog\n0\\video0.mp4\tdogs\n1/video1.mp4\tsome cat\n"),
        (
            "metadata.jsonl",
            '{"video": "video0.mp4", "text": ["a dog", "dogs"]}\n{"video": "video1.mp4", "text": "a cat"}',
        ),
    ],
)
def test_captions_of_clips_may_have_the_forms_that_those_of_photos_have(write, tmp_path, name, content):
    _, clips = write([], [], clips=2)
    (tmp_path / name).write_text(content)
    found = read_video_captions(tmp_path / name, clips)
    assert [clip.file_name for clip in found] == ["0/video0.mp4", "1/video1.mp4"]
    assert found[0].captions == ("a dog", "dogs")


def test_texts_beside_clips_are_their_captions_and_clips_of_one_name_are_a_question(write, tmp_path):
    _, clips = write([], [], clips=2)
    (clips / "0" / "video0.txt").write_text("a dog\ndogs\n")
    (clips / "1" / "video1.mp4.txt").write_text("a cat")
    assert [clip.captions for clip in read_video_captions(clips, clips)] == [("a dog", "dogs"), ("a cat",)]
    (clips / "1" / "video0.mp4").touch()
    (tmp_path / "a.csv").write_text("video,caption\nvideo0,a dog\n")
    with pytest.raises(DataError, match=r"video0 may be 0/video0\.mp4 or 1/video0\.mp4; give it with its folder"):
        read_video_captions(tmp_path / "a.csv", clips)
