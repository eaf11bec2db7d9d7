import shutil
from pathlib import Path

import matplotlib
import numpy as np
import pytest

from captioner.data.fonts import find_fonts
from captioner.data.synthetic_lines import LinePainter, WordSource
from captioner.errors import DataError

FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,!?:;()'\"-&%$#@"
SANS = FONTS / "DejaVuSans.ttf"


@pytest.fixture(scope="module")
def painter():
    fonts = find_fonts([SANS, FONTS / "DejaVuSerif.ttf"], LETTERS)
    return LinePainter(fonts.fonts, WordSource(["ein Haus am See", "zwei Häuser"], LETTERS), seed=1)


def test_fonts_say_what_they_draw():
    (font,) = find_fonts([SANS], "aä☃\U0010ffff").fonts
    assert font.draws("a ä")
    assert not font.draws("\U0010ffff")
    assert not font.capitals


def test_a_damaged_font_and_one_without_the_letters_are_left_out_and_said(tmp_path):
    shutil.copy(SANS, tmp_path / "good.ttf")
    (tmp_path / "bad.ttf").write_bytes(b"no font")
    shutil.copy(FONTS / "STIXNonUni.ttf", tmp_path / "symbols.ttf")
    found = find_fonts([tmp_path], LETTERS)
    assert [font.path.name for font in found.fonts] == ["good.ttf"]
    assert sorted(Path(problem.partition(": ")[0]).name for problem in found.problems) == ["bad.ttf", "symbols.ttf"]


@pytest.mark.skipif(not (FONTS / "LastResortHE-Regular.ttf").exists(), reason="this matplotlib has no such font")
def test_a_font_of_boxes_for_all_letters_draws_none():
    with pytest.raises(DataError, match="no font there"):
        find_fonts([FONTS / "LastResortHE-Regular.ttf"], LETTERS)


def test_no_usable_font_and_no_such_place_are_refused(tmp_path):
    with pytest.raises(DataError, match="no font there"):
        find_fonts([tmp_path], LETTERS)
    with pytest.raises(DataError, match="no such font"):
        find_fonts([tmp_path / "none"], LETTERS)
    with pytest.raises(DataError, match="no font there"):
        find_fonts([SANS], LETTERS, exclude=["dejavu"])


def test_a_picture_depends_on_the_seed_and_its_number_alone(painter):
    first, text = painter(7)
    painter(8)
    again, same = painter(7)
    assert text == same
    assert np.array_equal(first, again)
    assert not np.array_equal(first, LinePainter(painter.fonts, painter.source, seed=2)(7)[0])


def test_every_picture_shows_something_in_known_characters(painter):
    for number in range(100):
        picture, text = painter(number)
        assert set(text) <= set(LETTERS)
        assert text
        assert picture.ndim == 3
        assert min(picture.shape[:2]) >= 4
        assert picture.std() > 1


def test_words_with_other_characters_are_not_drawn():
    source = WordSource(["Haus Häuser"], "Haus")
    assert source.words == ["Haus"]
    with pytest.raises(DataError, match="no word"):
        WordSource(["ä ö"], "abc")


def test_lines_have_several_words_where_they_may():
    source = WordSource(["ein Haus am See"], LETTERS, most=4)
    counts = {len(source.draw(np.random.default_rng(seed)).split()) for seed in range(60)}
    assert counts >= {1, 2, 3, 4}


def test_a_font_without_the_texts_letters_draws_no_boxes():
    (font,) = find_fonts([SANS], "aä\U0010ffff").fonts
    source = WordSource(["\U0010ffff"], "\U0010ffff")
    with pytest.raises(DataError, match=r"synthetic\.fonts"):
        LinePainter([font], source, seed=0)(0)
