import numpy as np
import pytest
from PIL import Image

from captioner.errors import ConfigError, DataError
from captioner.training.read.config import ReadTrainingConfig
from captioner.training.read.sources import Sources


def config(root, **data):
    return ReadTrainingConfig.model_validate(
        {
            "data": {"root": root, "train": "lines.tsv", "hold_out": 0.3, **data},
            "picture": {"height": 16, "step": 8},
            "network": {"channels": 2, "features": 4, "hidden_size": 4},
            "stages": {"read": {"epochs": 1, "augmentation": "none"}},
        }
    )


@pytest.fixture
def root(tmp_path):
    for place in range(4):
        pixels = np.full((16, 64), 255, np.uint8)
        pixels[4:12, 6:-6:4] = 0
        pixels[0, place] = 254  # no copies of one another
        Image.fromarray(pixels).save(tmp_path / f"{place}.png")
    (tmp_path / "lines.tsv").write_text("".join(f"{place}.png\tab\n" for place in range(4)))
    return tmp_path


def test_a_text_that_the_columns_cannot_hold_is_left_out_and_named_before_training(root):
    (root / "lines.tsv").write_text("0.png\tab\n1.png\tab\n2.png\tba\n3.png\t" + "a" * 9 + "\n")
    said = []
    sources = Sources.read(config(root), said.append)
    assert "3.png" not in {line.path.name for line in (*sources.learnt, *sources.held_out)}
    assert any("3.png" in each and "needs 17 columns, but the picture has 16" in each for each in said)


def test_texts_that_all_are_too_long_are_refused(root):
    (root / "lines.tsv").write_text("".join(f"{place}.png\t{'ab' * 30}\n" for place in range(4)))
    with pytest.raises(DataError, match="too long for its picture"):
        Sources.read(config(root), lambda _: None)


def test_what_is_left_out_is_said_once(root):
    (root / "lines.tsv").write_text("0.png\tab\n1.png\tab\n2.png\tab☃\nnone.png\tab\n")
    said = []
    Sources.read(config(root, characters="ab"), said.append)
    assert sum("none.png" in each for each in said) == 1
    assert sum("☃" in each for each in said) <= 2


def test_without_pictures_the_characters_must_be_named(root):
    (root / "words.txt").write_text("ab ba\n")
    synthetic = {"text": ["words.txt"], "fonts": [str(root)], "count": 4}
    with pytest.raises(ConfigError, match=r"data\.characters"):
        Sources.read(config(root, train=None, synthetic=synthetic), lambda _: None)


def test_lines_of_an_epoch_are_the_same_each_time(root):
    sources = Sources.read(config(root), lambda _: None)
    first, again = sources.items(0), sources.items(0)
    for place in range(len(first)):
        assert np.array_equal(first[place, 3][0], again[place, 3][0])
