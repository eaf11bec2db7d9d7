"""Images as callers from Python give them."""

import numpy as np
import pytest
from PIL import Image

from captioner.vision.given import pixels_of


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_pillow_image_is_turned_as_its_file_is(tmp_path, suffix, orientation):
    path = tmp_path / f"photo.{suffix}"
    pixels = np.zeros((24, 40, 3), np.uint8)
    pixels[:8, :16, 0] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)
    with Image.open(path) as image:
        found = pixels_of(image)
        assert found.shape == ((40, 24, 3) if orientation >= 5 else (24, 40, 3))
        assert np.abs(found.astype(int) - pixels_of(path)).max() <= 4  # of two decoders of JPEG
        assert np.array_equal(pixels_of(image.convert("RGBA")), found)
