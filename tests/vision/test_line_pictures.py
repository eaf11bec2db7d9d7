import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from captioner.errors import ImageError
from captioner.vision.images import decode
from captioner.vision.line_augmentation import augment
from captioner.vision.line_pictures import LineTransform, background, extend, stretch

TRANSFORM = LineTransform(height=16, step=8)


def page(height=32, width=100, ink=0, ground=255):
    picture = np.full((height, width, 3), ground, np.uint8)
    picture[height // 4 : -height // 4, 5:-5:4] = ink
    return picture


@given(st.integers(3, 60), st.integers(3, 300))
def test_every_input_has_the_height_and_a_width_in_whole_steps(height, width):
    line = TRANSFORM(page(height, width) if min(height, width) > 12 else _dots(height, width))
    assert line.shape == (16, TRANSFORM.width(height, width))
    assert line.shape[1] % 8 == 0


def _dots(height, width):
    picture = np.full((height, width, 3), 255, np.uint8)
    picture[height // 2, width // 2] = 0
    picture[0, 0] = 0
    return picture


def test_light_writing_on_a_dark_ground_looks_like_dark_on_light():
    assert np.array_equal(TRANSFORM(page()), TRANSFORM(page(ink=255, ground=0)))


def test_any_ink_stays_as_it_is_where_the_network_is_to_see_it():
    transform = LineTransform(height=16, step=8, ink="any")
    assert np.median(transform(page(ink=255, ground=0))) < 50


def test_faint_writing_is_stretched_and_an_empty_picture_refused():
    assert stretch(page(ink=120, ground=160)[:, :, 0]).min() == 0
    with pytest.raises(ImageError, match="empty"):
        TRANSFORM(page(ink=200, ground=205))


def test_letters_as_bright_as_their_ground_are_refused_in_a_sentence_that_names_colours_and_transparency():
    letters = Image.new("RGBA", (100, 32))
    letters.paste((255, 255, 255, 255), (20, 8, 60, 24))
    file = io.BytesIO()
    letters.save(file, "PNG")
    red_on_green = page(ground=(0, 130, 0), ink=(255, 0, 0))
    for picture in (decode(file.getvalue(), "letters.png").pixels, red_on_green):
        with pytest.raises(ImageError, match=r"equally bright, as white letters on transparency .* red ones on green"):
            TRANSFORM(picture)


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (40, 2)])
def test_a_picture_of_next_to_no_pixels_is_refused(size):
    with pytest.raises(ImageError, match="holds no text"):
        TRANSFORM(np.zeros((*size, 3), np.uint8))


def test_a_line_of_twenty_thousand_pixels_is_taken_and_an_endless_one_refused():
    assert TRANSFORM(page(16, 20_000)).shape == (16, 20_000)
    with pytest.raises(ImageError, match="cut it into pieces of at most 32768 pixels"):
        TRANSFORM(page(16, 40_000))


def test_a_picture_goes_on_with_the_ground_at_its_edge():
    line = np.full((4, 4), 90, np.uint8)
    line[1:3, 1:3] = 0
    assert background(line) == 90
    assert (extend(line, 9)[:, 4:] == 90).all()


@pytest.mark.parametrize("strength", ["none", "scan", "photo"])
def test_a_changed_line_keeps_its_size_and_depends_on_its_draws_alone(strength):
    line = TRANSFORM(page())
    first, again = (augment(line, strength, np.random.default_rng(3)) for _ in range(2))
    assert first.shape == line.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert np.array_equal(first, line) == (strength == "none")


def test_changes_keep_the_writing_apart_from_the_ground():
    line = TRANSFORM(page())
    for seed in range(50):
        assert augment(line, "scan", np.random.default_rng(seed)).std() > 10
