"""`captioner read` from its arguments to its outputs and exit status, with a small reader of random weights."""

import csv
import io
import json
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from captioner.models.base import load
from captioner.models.read import ReadConfig, Reader
from captioner.models.read_network import ReaderConfig, ReaderNetwork
from captioner.pipelines import cli
from captioner.text.alphabet import Alphabet
from captioner.vision.line_pictures import LineTransform


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory):
    torch.manual_seed(0)
    alphabet = Alphabet("abcdef <")
    picture = LineTransform(height=16, step=32)
    config = ReaderConfig(channels=4, features=8, hidden_size=8)
    network = ReaderNetwork(config, 16, len(alphabet))
    torch.nn.init.normal_(network.readout.weight, std=3)
    folder = tmp_path_factory.mktemp("model") / "tiny"
    Reader(ReadConfig(picture=picture, network=config), network, alphabet).save(folder, "A model for tests.")
    return folder


@pytest.fixture
def run(model_folder, monkeypatch, capfd):
    """Runs the command in this process; returns its status, standard output and standard error."""

    def run(*arguments, model=model_folder):
        monkeypatch.setattr(sys, "argv", ["captioner", "read", *map(str, arguments), "--model", str(model)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        return exit.value.code or 0, out, err

    return run


def draw(path, seed, height=20, width=90):
    random = np.random.default_rng(seed)
    picture = np.full((height, width), 250, np.uint8)
    picture[4:-4, 6:-6] = random.integers(0, 2, (height - 8, width - 12)) * 240
    Image.fromarray(picture).save(path)


@pytest.fixture
def lines(tmp_path):
    (tmp_path / "lines").mkdir()
    for number in range(5):
        draw(tmp_path / "lines" / f"{number}.png", number, width=60 + 40 * number)
    return tmp_path / "lines"


def rows_of(text):
    return [json.loads(line) for line in text.splitlines()]


def test_a_pipe_gets_one_json_line_a_picture_equal_to_the_librarys_answer(run, lines, model_folder):
    status, out, err = run(lines)
    rows = rows_of(out)
    assert status == 0
    assert [row["path"] for row in rows] == [str(lines / f"{number}.png") for number in range(5)]
    for row, found in zip(rows, load(model_folder, "cpu").read(sorted(lines.iterdir())), strict=True):
        assert list(row)[:3] == ["path", "text", "score"]
        assert row["text"] == found.text
        assert row["score"] == pytest.approx(found.score, abs=1e-3)
    assert err.startswith("5 lines done in ")


def test_batch_size_and_workers_change_nothing(run, lines):
    assert len({run(lines, "--batch-size", size, "--workers", size)[1] for size in (1, 3)}) == 1


def test_all_formats_agree_and_the_gallery_shows_where_characters_stand(run, lines, tmp_path):
    outputs = [argument for suffix in ("jsonl", "csv", "json", "html") for argument in ("-o", tmp_path / f"o.{suffix}")]
    status, out, _ = run(lines, *outputs)
    assert (status, out) == (0, "")
    rows = rows_of((tmp_path / "o.jsonl").read_text())
    assert json.loads((tmp_path / "o.json").read_text()) == rows
    table = list(csv.DictReader((tmp_path / "o.csv").open(newline="")))
    assert [(row["text"], float(row["score"])) for row in table] == [(row["text"], row["score"]) for row in rows]
    page = (tmp_path / "o.html").read_text()
    shown = json.loads(page.partition('id="rows">')[2].partition("</script>")[0])
    assert [row["text"] for row in shown] == [row["text"] for row in rows]
    for row in shown:
        assert "".join(each[0] for each in row["characters"]) == row["text"]
        assert row["image"]
        assert (row["height"], row["width"]) == (20, 60 + 40 * int(row["path"][-5]))
    assert "STYLE" not in page


def test_an_output_is_continued(run, lines, tmp_path):
    output = tmp_path / "o.jsonl"
    run(lines / "0.png", lines / "3.png", "-o", output)
    status, _, err = run(lines, "-o", output)
    assert status == 0
    assert "3 lines done" in err
    assert "2 were done before" in err
    assert len(rows_of(output.read_text())) == 5


def test_what_is_no_line_has_its_own_row_and_the_rest_is_read(run, lines, tmp_path):
    Image.new("L", (80, 20), 255).save(lines / "empty.png")
    Image.new("L", (1, 1)).save(lines / "dot.png")
    draw(lines / "long.png", 9, 16, 40_000)
    draw(lines / "side.png", 9, 200, 30)
    (lines / "text.png").write_text("no picture")
    two = np.concatenate([np.asarray(Image.open(lines / "3.png"))] * 2)
    Image.fromarray(two).save(lines / "two.png")
    output = tmp_path / "o.jsonl"
    status, _, err = run(lines, "-o", output)
    rows = {row["path"].rpartition("/")[2]: row for row in rows_of(output.read_text())}
    assert status == 1
    assert "all of it is about equally bright" in rows["empty.png"]["error"]
    assert "1 x 1 pixels holds no text" in rows["dot.png"]["error"]
    assert "too long for a line (40000 x 16 pixels)" in rows["long.png"]["error"]
    assert "lies on its side" in rows["side.png"]["error"]
    assert rows["text.png"]["error"] == "not an image"
    assert "shows 2 lines" in rows["two.png"]["error"]
    assert sum("text" in row for row in rows.values()) == 5
    assert "6 failed" in err


def test_a_page_is_told_from_a_line(run, tmp_path):
    draw(tmp_path / "line.png", 1, 24, 300)
    line = np.asarray(Image.open(tmp_path / "line.png"))
    Image.fromarray(np.concatenate([line] * 30)).save(tmp_path / "page.png")
    status, out, _ = run(tmp_path / "page.png")
    assert status == 1
    assert "a page or paragraph of about 30 lines, not one" in rows_of(out)[0]["error"]


def test_words_leave_no_others_and_what_fits_none_is_read_without_them(run, lines, tmp_path):
    (tmp_path / "words.txt").write_text("a\nb\nabc\nzebra\n")
    status, out, _ = run(lines, "--beam-size", 20, "--words", tmp_path / "words.txt")
    assert status == 0
    for row in rows_of(out):
        fits = all(word in {"a", "b", "abc"} for word in row["text"].split())
        assert fits or "none of the words fits" in row["warning"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--lm", "captions"], "give --beam-size"),
        (["--beam-size", "4", "--lm-weight", "1"], "give both"),
        (["-o", "texts.doc"], "texts.doc: an output ends in one of .jsonl .csv .json .html"),
        (["-o", "a.csv", "-o", "./a.csv"], "two outputs are the same file"),
        (["--beam-size", "4", "--lm", "captions"], "captions predicts words, not characters"),
    ],
)
def test_wrong_usage_is_one_sentence(run, lines, monkeypatch, tmp_path, arguments, message):
    monkeypatch.chdir(tmp_path)
    status, _, err = run(lines, *arguments)
    assert status == 2
    assert message in err


def test_words_that_the_model_cannot_write_are_refused(run, lines, tmp_path):
    (tmp_path / "words.txt").write_text("xyz\n")
    status, _, err = run(lines, "--beam-size", 4, "--words", tmp_path / "words.txt")
    assert status == 2
    assert "no word there has only the characters" in err


def test_a_model_of_another_kind_is_refused(run, lines):
    status, _, err = run(lines, model="yoga")
    assert status == 2
    assert "yoga is a video classifier, not a reader of text lines" in err


def test_a_clusters_workers_write_the_rows_of_one_machine(run, lines, tmp_path, workers_here):
    out = tmp_path / "out"
    expected = run(lines)[1]
    assert run(lines, "-o", out, "--cluster", "here", "--shard-size", 2)[0] == 0
    assert "".join(path.read_text() for path in sorted(out.glob("*.jsonl"))) == expected
