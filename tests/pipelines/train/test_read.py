import json
import shutil
from pathlib import Path

import matplotlib
import pytest
import torch
import yaml
from PIL import Image, ImageDraw, ImageFont

from captioner.errors import ConfigError, DataError
from captioner.models.base import load
from captioner.pipelines.train.command import train

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
WORDS = ["ab", "ba", "aab", "bab"]


def values(root, **data):
    return {
        "kind": "read",
        "precision": "float32",
        "checkpoint_steps": 3,
        "data": {"root": str(root), **data},
        "picture": {"height": 16, "step": 16},
        "network": {"channels": 4, "features": 8, "hidden_size": 8, "layers": 1, "dropout": 0.0},
        "stages": {"read": {"epochs": 2, "batch_size": 4, "learning_rate": 0.01}},
    }


@pytest.fixture
def config(tmp_path):
    """A small reader's configuration, with drawn words as lines."""
    font = ImageFont.truetype(str(FONTS / "DejaVuSans.ttf"), 16)
    rows = []
    for place in range(12):
        image = Image.new("L", (80, 24), 255)
        ImageDraw.Draw(image).text((4 + place, 2), WORDS[place % 4], 0, font=font)
        image.save(tmp_path / f"book{place % 3}_{place}.png")
        rows.append(f"book{place % 3}_{place}.png\t{WORDS[place % 4]}\n")
    (tmp_path / "lines.tsv").write_text("".join(rows))
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(values(tmp_path, train="lines.tsv", hold_out=0.3, group="_")))
    return path


def run(config, folder, *overrides, resume=False):
    return train(config, overrides, folder, resume=resume, device="cpu")


def losses(folder):
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [line["loss"] for line in lines if "loss" in line]


def test_a_training_leaves_a_model_its_card_a_calibration_plot_and_what_it_read(config, tmp_path):
    folder = run(config, tmp_path / "run")
    model = load(folder, "cpu")
    assert set(model.alphabet.characters) == {"a", "b"}
    assert model.read([tmp_path / "book0_0.png"])[0].score <= 1
    card = (folder / "README.md").read_text()
    assert "4 lines that were held out" in card
    assert "Learnt from: 8 pictures" in card
    answers = [json.loads(line) for line in (tmp_path / "run/answers.jsonl").read_text().splitlines()]
    assert len(answers) == 4
    assert (tmp_path / "run/calibration.png").stat().st_size > 0


def test_an_interrupted_run_continues_with_the_losses_of_an_uninterrupted_one(config, tmp_path, monkeypatch):
    from captioner.training.record import Bar

    run(config, tmp_path / "whole")
    advance = Bar.advance

    def killed(self, loss, count):
        if self.step == 3:
            raise KeyboardInterrupt
        advance(self, loss, count)

    monkeypatch.setattr(Bar, "advance", killed)
    with pytest.raises(KeyboardInterrupt):
        run(config, tmp_path / "part")
    monkeypatch.setattr(Bar, "advance", advance)
    run(config, tmp_path / "part", resume=True)
    assert losses(tmp_path / "part") == losses(tmp_path / "whole")


def test_fonts_and_words_are_enough(tmp_path):
    (tmp_path / "words.txt").write_text(" ".join(WORDS) + "\n")
    synthetic = {"text": ["words.txt"], "fonts": [str(FONTS / "DejaVuSans.ttf")], "count": 8}
    path = tmp_path / "drawn.yaml"
    path.write_text(yaml.safe_dump(values(tmp_path, characters="abAB", synthetic=synthetic)))
    folder = run(path, tmp_path / "run", "stages.read.epochs=1")
    assert "8 words an epoch drawn from fonts" in (folder / "README.md").read_text()
    assert "500 lines that were held out" in (folder / "README.md").read_text()


def test_lines_of_one_print_cannot_be_learnt_from_and_validated_on(config, tmp_path):
    (tmp_path / "lines.tsv").write_text("book0_0.png\tab\nbook0_3.png\tba\n")
    with pytest.raises(DataError, match=r"data\.val"):
        run(config, tmp_path / "run")


def test_a_training_may_begin_with_another_reader(config, tmp_path):
    first = run(config, tmp_path / "run", "stages.read.epochs=1")
    settings = yaml.safe_load(config.read_text())
    del settings["network"], settings["picture"]  # which the reader brings along
    (tmp_path / "more.yaml").write_text(yaml.safe_dump({**settings, "init": str(first)}))
    folder = run(tmp_path / "more.yaml", tmp_path / "more", "stages.read.epochs=1", "stages.read.learning_rate=1e-9")
    before, after = (load(each, "cpu").network.state_dict() for each in (first, folder))
    trained = [name for name in before if "running" not in name and "tracked" not in name]
    assert all(torch.allclose(before[name], after[name], atol=1e-3) for name in trained)
    assert f"Goes on from: {first}." in (folder / "README.md").read_text()
    with pytest.raises(ConfigError, match=r"init: .* brings its network along; leave network out"):
        run(config, tmp_path / "other", f"init={first}", "network.hidden_size=9")
    with pytest.raises(ConfigError, match=r"data\.characters: .* brings its alphabet along"):
        run(config, tmp_path / "other", f"init={first}", "data.characters=abz")
    with pytest.raises(ConfigError, match="captions is no reader; name one, such as words"):
        run(config, tmp_path / "other", "init=captions")


def test_lines_to_validate_on_are_not_learnt_from_under_any_name(config, tmp_path, capfd):
    rows = (tmp_path / "lines.tsv").read_text().splitlines(keepends=True)
    shutil.copy(tmp_path / "book0_0.png", tmp_path / "copy.png")
    (tmp_path / "val.tsv").write_text("".join([*rows[1:3], "copy.png\tab\n"]))
    folder = run(config, tmp_path / "run", "data.val=val.tsv", "stages.read.epochs=1")
    assert "3 lines to learn from are held-out ones, or copies" in capfd.readouterr().err
    assert "9 pictures of lines" in (folder / "README.md").read_text()
