"""`captioner caption` from its arguments to its outputs and exit status, with a real (untrained) model."""

import csv
import io
import json
import os
import resource
import signal
import subprocess
import sys
import time
from functools import partial

import cv2
import numpy as np
import pytest
from PIL import Image

from captioner.models.base import load
from captioner.pipelines import cli


@pytest.fixture
def run(model_folder, monkeypatch, capfd):
    """Runs the command in this process; returns its status, standard output and standard error."""

    def run(*arguments, model=model_folder, stdin=b""):
        monkeypatch.setattr(sys, "argv", ["captioner", "caption", *map(str, arguments), "--model", str(model)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as exit:
            cli.main()
        out, err = capfd.readouterr()
        return exit.value.code or 0, out, err

    return run


def lines_of(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_pipe_gets_one_json_line_an_image_equal_to_the_librarys_captions(run, make_photos, model_folder):
    photos = make_photos(5)
    status, out, err = run(photos)
    rows = lines_of(out)
    expected = load(str(model_folder)).caption(sorted(photos.iterdir()))
    assert status == 0
    assert [row["path"] for row in rows] == [str(photos / f"photo{number:04}.jpg") for number in range(5)]
    assert [row["caption"] for row in rows] == [caption.text for caption in expected]
    assert [row["score"] for row in rows] == pytest.approx([caption.score for caption in expected], abs=1e-3)
    assert len({row["caption"] for row in rows}) > 1
    assert err.startswith("5 images done in ")


def test_batch_size_and_workers_do_not_change_what_is_written(run, make_photos):
    photos = make_photos(7)
    outputs = {run(photos, "--batch-size", size, "--workers", size)[1] for size in (1, 3, 7)}
    captions = {tuple(row["caption"] for row in lines_of(out)) for out in outputs}
    assert len(captions) == 1


def test_all_formats_at_once_agree(run, make_photos, tmp_path):
    photos = make_photos(3, name="{:012}.jpg")
    names = [f"out.{suffix}" for suffix in ("jsonl", "csv", "json", "html")]
    outputs = [argument for name in names for argument in ("-o", tmp_path / name)]
    status, out, _ = run(photos, *outputs, "--sidecar", "--num-captions", 3)
    assert (status, out) == (0, "")
    rows = lines_of((tmp_path / "out.jsonl").read_text())
    best = [row["captions"][0]["caption"] for row in rows]
    assert all(len(row["captions"]) == 3 for row in rows)
    table = list(csv.DictReader((tmp_path / "out.csv").open(newline="")))
    assert [row["caption"] for row in table] == best
    assert [row["caption_3"] for row in table] == [row["captions"][2]["caption"] for row in rows]
    assert json.loads((tmp_path / "out.json").read_bytes()) == [
        {"image_id": number, "caption": caption} for number, caption in enumerate(best)
    ]
    assert [(photos / f"{number:012}.txt").read_text().splitlines()[0] for number in range(3)] == best
    assert (tmp_path / "out.html").read_text().count('"attention"') == 9


def test_options_reach_the_search(run, make_photos):
    photos = make_photos(2)
    short = lines_of(run(photos, "--max-length", 2, "--beam-size", 1)[1])
    assert all(len(row["caption"].rstrip(".").split()) <= 2 for row in short)
    status, _, err = run(photos, "--num-captions", 9)
    assert status == 2
    assert "num_captions" in err


def test_running_again_continues_and_adds_only_what_is_new(run, make_photos, tmp_path):
    photos = make_photos(3)
    (photos / "broken.jpg").write_bytes(b"words")
    assert run(photos, "-o", tmp_path / "out.jsonl")[0] == 1
    before = (tmp_path / "out.jsonl").read_text()
    make_photos(5)
    status, _, err = run(photos, "-o", tmp_path / "out.jsonl")
    after = (tmp_path / "out.jsonl").read_text()
    assert status == 1
    assert after.startswith(before)
    assert sorted(os.path.basename(row["path"]) for row in lines_of(after)) == [
        "broken.jpg",
        *(f"photo{number:04}.jpg" for number in range(5)),
    ]
    assert "4 were done before, 1 of which had failed" in err
    (photos / "broken.jpg").unlink()
    assert run(photos, "-o", tmp_path / "out.jsonl", "--overwrite")[0] == 0
    assert len(lines_of((tmp_path / "out.jsonl").read_text())) == 5


def test_every_bad_input_has_its_own_row_and_the_rest_is_captioned(run, make_photos, tmp_path):
    photos = make_photos(2)
    whole = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))[1].tobytes()
    (photos / "cut-late.jpg").write_bytes(whole[: len(whole) * 3 // 4])
    (photos / "cut-early.jpg").write_bytes(whole[: len(whole) // 4])
    (photos / "empty.jpg").write_bytes(b"")
    (photos / "letter.jpg").write_bytes(b"Dear reader")
    Image.new("RGB", (400, 300)).save(photos / "large.png")
    os.symlink("gone.jpg", photos / "vanished.jpg")
    status, out, err = run(photos, "--max-pixels", 100_000)
    rows = {os.path.basename(row["path"]): row for row in lines_of(out)}
    assert status == 1
    assert rows["cut-late.jpg"]["warning"].startswith("the file ends too soon (7")
    assert "caption" in rows["cut-late.jpg"]
    assert rows["cut-early.jpg"]["error"].startswith("the file ends too soon (only 2")
    assert rows["empty.jpg"]["error"] == "empty file"
    assert rows["letter.jpg"]["error"] == "not an image"
    assert rows["large.png"]["error"].startswith("too large (400 x 300 pixels; --max-pixels, now 100,000")
    assert rows["vanished.jpg"]["error"] == "cannot be read (no such file or directory)"
    assert "caption" in rows["photo0001.jpg"]
    assert "3 images done" in err
    assert "1 of them with a warning" in err
    assert "5 failed: " in err
    assert "1 not an image" in err


def test_a_photo_without_permission_has_its_own_row(run, make_photos):
    photos = make_photos(2)
    (photos / "photo0000.jpg").chmod(0)
    if os.access(photos / "photo0000.jpg", os.R_OK):
        pytest.skip("this user may read everything (root)")
    status, out, _ = run(photos)
    assert status == 1
    assert lines_of(out)[0]["error"] == "cannot be read (permission denied)"


def test_the_eight_orientations_have_one_caption(run, tmp_path, make_photos):
    upright = Image.open(make_photos(1) / "photo0000.jpg")
    turn = Image.Transpose
    undo = [turn.FLIP_LEFT_RIGHT, turn.ROTATE_180, turn.FLIP_TOP_BOTTOM]
    undo += [turn.TRANSPOSE, turn.ROTATE_90, turn.TRANSVERSE, turn.ROTATE_270]
    (tmp_path / "turned").mkdir()
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = upright if orientation == 1 else upright.transpose(undo[orientation - 2])
        stored.save(tmp_path / "turned" / f"{orientation}.jpg", exif=exif, quality=98, subsampling=0)
    rows = lines_of(run(tmp_path / "turned")[1])
    assert len(rows) == 8
    assert len({row["caption"] for row in rows}) == 1


def test_names_in_any_script_or_bytes_are_kept(run, make_photos):
    photos = make_photos(1)
    names = ["日本.jpg", "Ünïcode.jpg", "new\nline.jpg", 'quote".jpg', os.fsdecode(b"caf\xe9.jpg")]
    data = (photos / "photo0000.jpg").read_bytes()
    for name in names:
        try:
            (photos / name).write_bytes(data)
        except OSError as error:
            pytest.skip(f"this file system does not take every name: {error}")
    for _ in range(2):
        status, _, _ = run(photos, "-o", photos / "out.jsonl", "-o", photos / "out.csv")
        assert status == 0
    found = [os.path.basename(row["path"]) for row in lines_of((photos / "out.jsonl").read_text())]
    assert sorted(found) == sorted([*names, "photo0000.jpg"])


def test_paths_are_read_from_standard_input(run, make_photos):
    photos = make_photos(3)
    status, out, _ = run("-", stdin=f"{photos}/photo0002.jpg\n{photos}/gone.jpg\n".encode())
    assert status == 1
    assert [row.get("error") for row in lines_of(out)] == [None, "cannot be read (no such file or directory)"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["none.jpg", "nor.jpg"], "captioner: none.jpg and nor.jpg: no such file or folder; nothing has been done.\n"),
        (["{photos}", "-o", "{tmp}/no/where.jsonl"], "where.jsonl: cannot be written (no such file or directory)."),
        (
            ["{photos}", "-o", "out.docx"],
            "captioner: out.docx: an output ends in one of .jsonl .csv .parquet .json .html .srt .vtt.\n",
        ),
        (["{photos}", "-o", "{tmp}/a.csv", "-o", "{tmp}/./a.csv"], "two outputs are the same file; name each once."),
        (["{photos}", "-o", "{tmp}/r.json"], "no COCO image id (2 of 2 images)"),
        (["{tmp}/empty"], "no images or clips here; looked for .3fr .3gp .arw"),
        (["{photos}", "--device", "tpu"], "device is 'tpu'"),
    ],
)
def test_wrong_usage_is_said_at_once_in_one_sentence(run, make_photos, tmp_path, arguments, message):
    photos = make_photos(2)
    (tmp_path / "empty").mkdir()
    status, out, err = run(*(argument.format(photos=photos, tmp=tmp_path) for argument in arguments))
    assert (status, out) == (2, "")
    assert message in err
    assert "Traceback" not in err


def test_an_unknown_model_is_said_before_any_work(run, make_photos):
    status, out, err = run(make_photos(1), model="no-such-model")
    assert (status, out) == (2, "")
    assert "no-such-model: no such model" in err


def test_quiet_says_nothing(run, make_photos, tmp_path):
    assert run(make_photos(2), "-o", tmp_path / "out.jsonl", "--quiet") == (0, "", "")


def test_a_full_disk_leaves_a_valid_file_and_status_1(run, make_photos, tmp_path):
    photos = make_photos(30)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, hard))
    try:
        status, _, err = run(photos, "-o", tmp_path / "out.jsonl", "--batch-size", 4)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    written = lines_of((tmp_path / "out.jsonl").read_text())
    assert status == 1
    assert "out.jsonl: cannot be written (file too large). Its" in err
    assert 0 < len(written) < 30
    assert run(photos, "-o", tmp_path / "out.jsonl")[0] == 0
    names = [row["path"] for row in lines_of((tmp_path / "out.jsonl").read_text())]
    assert names == [str(photos / f"photo{number:04}.jpg") for number in range(30)]


# -P: the tests run where the sources lie, which must not be imported for what is installed
COMMAND = [sys.executable, "-P", "-m", "captioner.pipelines.cli", "caption"]


def start(model_folder, *arguments) -> subprocess.Popen:
    command = [*COMMAND, *map(str, arguments), "--model", model_folder]
    # a shell that puts the tests into the background has them ignore Ctrl-C
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)


def wait_for_rows(process, path, rows) -> None:
    """Until the output has so many rows, or the process has ended."""
    while process.poll() is None and not (path.exists() and path.read_bytes().count(b"\n") >= rows):
        time.sleep(0.002)


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_every_photo_is_there_once(run, make_photos, tmp_path, model_folder):
    photos, out = make_photos(120), tmp_path / "out.jsonl"
    for rows in (1, 40):
        process = start(model_folder, photos, "-o", out, "--batch-size", 1)
        wait_for_rows(process, out, rows)
        process.kill()
        process.communicate()
    assert run(photos, "-o", out)[0] == 0
    names = [row["path"] for row in lines_of(out.read_text())]
    assert names == [str(photos / f"photo{number:04}.jpg") for number in range(120)]


@pytest.mark.slow
def test_ctrl_c_gives_status_130_a_summary_and_whole_rows(make_photos, tmp_path, model_folder):
    out = tmp_path / "out.jsonl"
    process = start(model_folder, make_photos(600), "-o", out, "--batch-size", 1)
    wait_for_rows(process, out, 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    rows = lines_of(out.read_text())
    assert process.returncode == 130, (process.returncode, len(rows), err)
    assert f"{len(rows)} images done" in err
    assert "the same command continues" in err
    assert "Traceback" not in err


def test_a_reader_that_stops_reading_ends_the_command_quietly(make_photos, model_folder):
    process = start(model_folder, make_photos(200), "--batch-size", 1)
    assert json.loads(process.stdout.readline())["caption"]
    process.stdout.close()
    assert "Traceback" not in process.stderr.read()
    assert process.wait() == 1


def test_a_terminal_gets_a_table(make_photos, model_folder):
    import pty

    ours, theirs = pty.openpty()
    command = [*COMMAND, make_photos(2), "--model", model_folder]
    process = subprocess.Popen(command, stdout=theirs, stderr=theirs, env={**os.environ, "COLUMNS": "100"})
    os.close(theirs)
    text = ""
    try:
        while part := os.read(ours, 4096).decode("utf-8", "replace"):
            text += part
    except OSError:  # the other side has closed
        pass
    assert process.wait() == 0
    rows = [line for line in text.splitlines() if "photo000" in line]
    assert len(rows) == 2
    assert "2 images done" in text


@pytest.fixture(scope="session")
def language_folder(tmp_path_factory):
    import torch

    from captioner.models.language import LanguageConfig, LanguageModel
    from captioner.models.language_network import NetworkConfig
    from captioner.text.vocabulary import SPECIALS, Vocabulary

    torch.manual_seed(0)
    config = LanguageConfig(network=NetworkConfig(hidden_size=8, embedding_size=8))
    language = LanguageModel.build(config, Vocabulary([*SPECIALS, "cat", "sits", "grass"]))
    with torch.no_grad():
        language.network.bias[5] = 50.0  # it would rather say nothing but "sits"
    folder = tmp_path_factory.mktemp("language") / "tiny"
    language.save(folder, "Random weights, for tests.")
    return folder


def test_a_language_model_has_a_say(run, make_photos, language_folder):
    photos = make_photos(2)
    _, alone, _ = run(photos)
    status, fused, _ = run(photos, "--lm", language_folder, "--lm-weight", "5")
    assert status == 0
    words = [
        {word for row in lines_of(rows) for word in row["caption"].lower().strip(".").split()}
        for rows in (fused, alone)
    ]
    assert words[0] == {"sits"}
    assert words[1] != {"sits"}
    _, unchanged, _ = run(photos, "--lm", language_folder, "--lm-weight", "0")
    assert [row["caption"] for row in lines_of(unchanged)] == [row["caption"] for row in lines_of(alone)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--lm-weight", "0.5"), "name one with --lm"),
        (("--lm", "photos"), "photos is a photo captioner, not a language model"),
        (("--lm", "nothing"), "nothing: no such model"),
    ],
)
def test_a_language_model_that_is_none_is_refused(run, make_photos, arguments, message):
    status, _, err = run(make_photos(1), *arguments)
    assert status == 2
    assert message in " ".join(err.split())


def test_a_captioner_is_needed_to_caption(run, make_photos, language_folder):
    status, _, err = run(make_photos(1), model=language_folder)
    assert status == 2
    assert "is a language model, not a photo captioner" in " ".join(err.split())
    assert f"captioner perplexity {language_folder} FILE.txt" in err


@pytest.fixture
def german(make_translator, monkeypatch, model_folder):
    """Makes an untrained translator the one that the package has."""
    from captioner.models import base

    translator, known, found = make_translator(), base.load, base.find
    monkeypatch.setattr(base, "find", lambda name: model_folder if name == "en-de" else found(name))
    monkeypatch.setattr(base, "translator_to", lambda language: "en-de")
    monkeypatch.setattr(base, "load", lambda name, *rest: translator if name == "en-de" else known(name, *rest))
    return translator


def test_captions_in_another_language_are_translated_in_every_output(run, make_photos, german, tmp_path):
    photos = make_photos(3)
    _, english, _ = run(photos)
    wanted = [each.text for each in german.translate([row["caption"] for row in lines_of(english)])]
    names = ["a.jsonl", "a.csv", "a.html"]
    outputs = [part for name in names for part in ("-o", tmp_path / name)]
    status, _, _ = run(photos, "--language", "de", "--sidecar", *outputs)
    assert status == 0
    assert [row["caption"] for row in lines_of((tmp_path / "a.jsonl").read_text())] == wanted
    assert [row["caption"] for row in csv.DictReader((tmp_path / "a.csv").open())] == wanted
    assert [path.read_text().strip() for path in sorted(photos.glob("*.txt"))] == wanted
    page = (tmp_path / "a.html").read_text()
    assert all(json.dumps(text, ensure_ascii=False)[1:-1] in page for text in wanted)
    assert '"attention"' in page


def test_a_language_without_a_model_is_an_error_before_any_work(run, make_photos):
    status, _, err = run(make_photos(1), "--language", "tlh")
    assert status == 2
    assert "no model in the package that translates into 'tlh'" in err


def test_a_list_in_which_nothing_is_new_is_no_error(run):
    status, out, err = run("-", stdin=b"")
    assert (status, out) == (0, "")
    assert "standard input names no files" in err
