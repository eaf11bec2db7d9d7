"""`captioner classify` from its arguments to its outputs and exit status, with a real (barely trained) model."""

import csv
import io
import json
import sys

import pytest
import torch
from PIL import Image

from captioner.models.base import load
from captioner.models.classify import ClassifyConfig, VideoClassifier
from captioner.models.classify_network import ClassifierConfig, ClassifierNetwork
from captioner.models.shared_encoder import FrameEncoder
from captioner.pipelines import cli
from captioner.vision.clip_features import FramesConfig
from captioner.vision.encoder import Encoder, EncoderConfig
from captioner.vision.images import Transform
from captioner.vision.video import sample_frames
from captioner.weights import named

LABELS = ["jump", "run", "sit"]


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    torch.manual_seed(5)
    config = ClassifyConfig(
        labels=LABELS,
        frames=FramesConfig(count=3),
        encoder=EncoderConfig(name="test_resnet", transform=Transform(size=(32, 32))),
        network=ClassifierConfig(components=8, hidden_size=6),
    )
    weights = named("", Encoder("test_resnet", config.encoder.transform).state_dict())
    encoder = FrameEncoder(config.encoder, torch.device("cpu"), weights)
    network = ClassifierNetwork(config.network, encoder.channels, len(LABELS))
    network.projection.fit(0.1 * torch.randn(60, 2, encoder.channels))
    folder = tmp_path_factory.mktemp("model") / "tiny"
    VideoClassifier(config, encoder, network).save(folder, "A model for tests.")
    return folder


@pytest.fixture
def run(model_folder, monkeypatch, capfd):
    """Runs the command in this process; returns its status, standard output and standard error."""

    def run(*arguments, model=model_folder, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["captioner", "classify", *map(str, arguments), "--model", str(model)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        return exit.value.code or 0, out, err

    return run


@pytest.fixture
def clips(draw_clip, tmp_path):
    (tmp_path / "clips").mkdir()
    for number in range(3):
        draw_clip(tmp_path / "clips" / f"{number}.avi", seed=number, frames=10 + 10 * number)
    return tmp_path / "clips"


def lines_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_pipe_gets_one_json_line_a_clip_equal_to_the_librarys_answer(run, clips, model_folder):
    status, out, err = run(clips)
    rows = lines_of(out)
    expected = load(str(model_folder), "cpu").classify(sorted(clips.iterdir()))
    assert status == 0
    assert [row["path"] for row in rows] == [str(clips / f"{number}.avi") for number in range(3)]
    for row, found in zip(rows, expected, strict=True):
        assert list(row) == ["path", "label", "score", "top"]
        assert row["label"] == row["top"][0]["label"]
        assert {each["label"]: each["score"] for each in row["top"]} == pytest.approx(
            {guess.label: guess.score for guess in found.top}, abs=1e-3
        )
    assert err.startswith("3 clips done in ")


def test_batch_size_and_workers_change_nothing(run, clips):
    assert len({run(clips, "--batch-size", size, "--workers", size)[1] for size in (1, 2, 5)}) == 1


def test_top_k_is_the_number_of_classes_given(run, clips):
    assert [len(row["top"]) for row in lines_of(run(clips, "--top-k", 1)[1])] == [1, 1, 1]
    assert [len(row["top"]) for row in lines_of(run(clips, "--top-k", 9)[1])] == [3, 3, 3]


def test_windows_cover_the_clip_and_their_mean_is_its_answer(run, clips):
    status, out, _ = run(clips, "--every", 1)
    assert status == 0
    rows = lines_of(out)
    spans = [[(part["start"], part["end"]) for part in row["segments"]] for row in rows]
    assert spans == [[(0, 1)], [(0, 1), (1, 2)], [(0, 1), (1, 2), (2, 3)]]
    for row in rows:
        shares = [{each["label"]: each["score"] for each in part["top"]} for part in row["segments"]]
        mean = {label: sum(share[label] for share in shares) / len(shares) for label in LABELS}
        assert {each["label"]: each["score"] for each in row["top"]} == pytest.approx(mean, abs=1e-3)


def test_all_formats_agree(run, clips, tmp_path):
    outputs = [argument for suffix in ("jsonl", "csv", "json", "html") for argument in ("-o", tmp_path / f"o.{suffix}")]
    status, out, _ = run(clips, *outputs, "--top-k", 2)
    assert (status, out) == (0, "")
    rows = lines_of((tmp_path / "o.jsonl").read_text())
    assert json.loads((tmp_path / "o.json").read_text()) == rows
    table = list(csv.DictReader((tmp_path / "o.csv").open(newline="")))
    assert [(row["label"], float(row["score"])) for row in table] == [(row["label"], row["score"]) for row in rows]
    assert [row["label_2"] for row in table] == [row["top"][1]["label"] for row in rows]
    page = (tmp_path / "o.html").read_text()
    shown = json.loads(page.partition('id="rows">')[2].partition("</script>")[0])
    assert [row["label"] for row in shown] == [row["label"] for row in rows]
    assert all(1 <= len(row["frames"]) <= 4 for row in shown)
    assert "STYLE" not in page


def test_a_table_of_windows_is_continued_clip_by_clip(run, clips, tmp_path):
    output = tmp_path / "windows.csv"
    run(clips, "--every", 1, "-o", output)
    whole = output.read_text()
    table = list(csv.DictReader(io.StringIO(whole)))
    assert [(row["window"], row["windows"]) for row in table] == [
        ("1", "1"), ("1", "2"), ("2", "2"), ("1", "3"), ("2", "3"), ("3", "3"),
    ]  # fmt: skip
    output.write_text("".join(whole.splitlines(keepends=True)[:-1]))  # killed within the last clip
    status, _, err = run(clips, "--every", 1, "-o", output)
    assert (status, output.read_text()) == (0, whole)
    assert "1 clips done" in err
    assert "2 were done before" in err


def test_what_cannot_be_read_has_its_own_row_and_the_rest_is_done(run, clips, tmp_path):
    (clips / "empty.mp4").write_bytes(b"")
    (clips / "text.mp4").write_text("no video")
    output = tmp_path / "o.jsonl"
    status, _, err = run(clips, "-o", output)
    rows = {row["path"].rpartition("/")[2]: row for row in lines_of(output.read_text())}
    assert status == 1
    assert rows["empty.mp4"]["error"] == "empty file"
    assert rows["text.mp4"]["error"] == "not a video"
    assert sum("label" in row for row in rows.values()) == 3
    assert "2 failed: 1 empty file, 1 not a video" in err
    assert run(clips, "-o", output)[0] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--every", "0"], "--every is 0; give a number of seconds"),
        (["-o", "labels.txt"], "labels.txt: an output ends in one of .jsonl .csv .json .html"),
        (["-o", "a.csv", "-o", "./a.csv"], "two outputs are the same file"),
    ],
)
def test_wrong_usage_is_one_sentence(run, clips, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(clips, *arguments)
    assert status == 2
    assert message in err


def test_a_folder_without_clips_and_a_model_of_another_kind_are_refused(run, clips, tmp_path):
    (tmp_path / "none").mkdir()
    status, _, err = run(tmp_path / "none")
    assert status == 2
    assert "no clips here" in err
    status, _, err = run(clips, model="photos")
    assert status == 2
    assert "photos is a photo captioner, not a video classifier" in err


def test_a_folder_of_frames_is_classified_as_one_clip(run, clips, tmp_path):
    source = sorted(clips.rglob("*.avi"))[0]
    (tmp_path / "more" / "frames").mkdir(parents=True)
    for number, frame in enumerate(sample_frames(source, rate=10.0).frames):
        Image.fromarray(frame).save(tmp_path / "more" / "frames" / f"{number}.png")
    rows = lines_of(run(tmp_path / "more", source)[1])
    assert [row["path"] for row in rows] == [str(tmp_path / "more" / "frames"), str(source)]
    assert rows[0]["label"] == rows[1]["label"]


def test_a_clusters_workers_write_the_rows_of_one_machine(run, clips, tmp_path, workers_here):
    parquet = pytest.importorskip("pyarrow.parquet")
    expected = [json.loads(line) for line in run(clips, "--every", "0.5")[1].splitlines()]
    arguments = (clips, "--every", "0.5", "--cluster", "here", "--shard-format", "parquet")
    run(*arguments, "-o", tmp_path / "out")
    rows = parquet.read_table(next((tmp_path / "out").glob("*.parquet"))).to_pylist()
    assert [{key: value for key, value in row.items() if value is not None} for row in rows] == expected
