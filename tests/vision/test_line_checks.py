import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from captioner.vision.line_checks import count_lines, describe_layout


def written(lines, *, size=24, ground=255, ink=0, spacing=10):
    font = ImageFont.load_default(size)
    image = Image.new("RGB", (320, len(lines) * (size + spacing) + 16), (ground,) * 3)
    pen = ImageDraw.Draw(image)
    for place, line in enumerate(lines):
        pen.text((8, 8 + place * (size + spacing)), line, (ink,) * 3, font=font)
    return np.asarray(image)


@pytest.mark.parametrize("count", [1, 2, 3, 8])
def test_lines_above_each_other_are_counted(count):
    assert count_lines(written(["Ein Haus am See"] * count)) == count


def test_light_lines_on_a_dark_ground_are_counted_too():
    assert count_lines(written(["Haus", "Hof"], ground=10, ink=240)) == 2


def test_dots_descenders_and_remains_of_other_lines_make_no_lines():
    picture = written(["Übrig gejagte Äpfel"]).copy()
    picture[:2, 40:60] = 0
    assert count_lines(picture) == 1


def test_one_upright_line_is_fine():
    assert describe_layout(written(["Ein Haus am See"]), 1.5) is None


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        (written(["Ein Haus"] * 2), "shows 2 lines"),
        (written(["Ein Haus am See"] * 30), "a page or paragraph"),
        (np.rot90(written(["Ein Haus am See und ein Hof"])[:, :300]), "lies on its side"),
    ],
)
def test_what_is_no_single_upright_line_is_said(picture, said):
    assert said in describe_layout(np.ascontiguousarray(picture), 1.5)
