"""Every common image format becomes upright 8-bit RGB; damaged files become one clear error."""

import io
import os
import random
import struct
import warnings
import zlib
from collections import Counter

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from captioner.errors import ImageError
from captioner.vision.images import Transform, decode, decode_image, read, read_image, resize
from captioner.vision.rgb import to_pixels


def picture(width: int = 64, height: int = 48) -> Image.Image:
    """A smooth coloured picture whose four corners differ, so that every turn and flip shows."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    rgb = np.stack([40 + 170 * x, 40 + 170 * y, 40 + 170 * (1 - x) * (1 - y)], axis=-1)
    return Image.fromarray(rgb.round().astype(np.uint8))


def file(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def difference(found: np.ndarray, image: Image.Image) -> float:
    expected = np.asarray(image.convert("RGB"), dtype=float)
    assert found.dtype == np.uint8
    assert found.shape == expected.shape
    return float(np.abs(found - expected).mean())


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("JPEG", {"quality": 95}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("WEBP", {"quality": 95}),
        ("BMP", {}),
        ("GIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("PPM", {}),
        ("AVIF", {"quality": 95}),
        ("JPEG2000", {}),
    ],
)
def test_common_formats_give_the_picture(format, options):
    assert difference(decode(file(picture(), format, **options), "x").pixels, picture()) < 4


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "RGBA", "LA", "I;16", "I", "F", "RGBX", "HSV", "YCbCr"])
def test_any_pillow_mode_becomes_rgb(mode):
    image = picture()
    if mode in ("I;16", "I"):
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).convert(mode)
    elif mode == "F":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.float32) / 255)
    else:
        image = image.convert(mode)
    pixels = to_pixels(image)
    assert pixels.shape == (48, 64, 3)
    expected = picture() if mode in ("RGBA", "RGBX", "HSV", "YCbCr", "CMYK", "P") else picture().convert("L")
    assert difference(pixels, expected) < (16 if mode == "P" else 6)


def test_black_and_white_image_stays_black_and_white():
    image = picture().convert("1")
    assert (to_pixels(image)[:, :, 0] == np.asarray(image) * 255).all()


def test_cmyk_jpeg_is_neither_inverted_nor_refused():
    assert difference(decode(file(picture().convert("CMYK"), "JPEG", quality=95), "x").pixels, picture()) < 6


@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_sixteen_bits_keep_their_brightness(format):
    grey = np.asarray(picture().convert("L")).astype(np.uint16) * 257
    assert difference(decode(file(Image.fromarray(grey), format), "x").pixels, picture().convert("L")) < 1


def test_sixteen_bit_colour_png_keeps_its_brightness():
    sixteen = np.asarray(picture())[:, :, ::-1].astype(np.uint16) * 257
    data = cv2.imencode(".png", sixteen)[1].tobytes()
    assert difference(decode(data, "x").pixels, picture()) < 1


@pytest.mark.parametrize("bits", [8, 10, 12, 14])
@pytest.mark.parametrize("format", ["PNG", "TIFF", "JPEG2000", "PPM"])
def test_fewer_bits_in_a_sixteen_bit_grey_file_keep_their_brightness(format, bits):
    grey = (np.asarray(picture().convert("L")) / 255 * (2**bits - 1)).round().astype(np.uint16)
    assert difference(decode(file(Image.fromarray(grey), format), "x").pixels, picture().convert("L")) < 1


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tiff", ".jp2", ".ppm"])
def test_fewer_bits_in_a_sixteen_bit_colour_file_keep_their_brightness(suffix, bits):
    colours = (np.asarray(picture())[:, :, ::-1] / 255 * (2**bits - 1)).round().astype(np.uint16)
    options = [cv2.IMWRITE_JPEG2000_COMPRESSION_X1000, 1000] if suffix == ".jp2" else []
    assert difference(decode(cv2.imencode(suffix, colours, options)[1].tobytes(), "x").pixels, picture()) < 1.5


def test_transparent_parts_of_a_deep_file_are_white():
    colours = (np.asarray(picture())[:, :, ::-1] / 255 * 4095).round().astype(np.uint16)
    alpha = np.full((48, 64, 1), 65535, np.uint16)
    alpha[:10] = 0
    pixels = decode(cv2.imencode(".png", np.concatenate([colours, alpha], 2))[1].tobytes(), "x").pixels
    assert (pixels[:10] == 255).all()
    assert difference(pixels[10:], picture().crop((0, 10, 64, 48))) < 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_deep_colours_are_turned_as_their_file_says(orientation):
    colours = (np.asarray(picture()).astype(np.uint16) * 16).astype(np.uint16)
    shallow = decode(_tiff(colours * 16, orientation), "x").pixels
    assert np.abs(decode(_tiff(colours, orientation), "x").pixels.astype(int) - shallow).mean() < 1


def _tiff(colours: np.ndarray, orientation: int) -> bytes:
    """A plain 16-bit RGB TIFF file."""
    height, width, _ = colours.shape
    entries = [(256, 3, 1, width), (257, 3, 1, height), (258, 3, 3, 8 + 2 + 12 * 9 + 4), (259, 3, 1, 1), (262, 3, 1, 2)]
    data_at = 8 + 2 + 12 * 9 + 4 + 6
    entries += [(273, 4, 1, data_at), (274, 3, 1, orientation), (277, 3, 1, 3), (279, 4, 1, colours.nbytes)]
    header = b"II*\0" + struct.pack("<IH", 8, len(entries))
    fields = b"".join(
        struct.pack("<HHI", tag, kind, count)
        + (struct.pack("<HH", value, 0) if kind == 3 and count == 1 else struct.pack("<I", value))
        for tag, kind, count, value in entries
    )
    return header + fields + struct.pack("<IHHH", 0, 16, 16, 16) + colours.astype("<u2").tobytes()


def test_a_dark_picture_stays_dark_where_its_file_says_what_is_white():
    grey = np.asarray(picture().convert("L"))
    expected = Image.fromarray(grey // 16)
    claims_all = b"P5\n64 48\n4095\n" + (grey.astype(np.uint16) * 16 // 16).astype(">u2").tobytes()
    assert difference(decode(claims_all, "x").pixels, expected) < 1
    widened = Image.fromarray((grey // 16).astype(np.uint16) * 257)
    assert difference(decode(file(widened, "PNG"), "x").pixels, expected) < 1
    plain = file(Image.fromarray(grey.astype(np.uint16)), "PNG")
    body = b"sBIT\x0c"
    chunk = struct.pack(">I", 1) + body + struct.pack(">I", zlib.crc32(body))
    assert difference(decode(plain[:33] + chunk + plain[33:], "x").pixels, expected) < 1


def test_floats_in_a_file_are_scaled_by_the_largest_if_they_exceed_one():
    grey = np.asarray(picture().convert("L")).astype(np.float32)
    for top in (1, 255, 4095):
        found = decode(file(Image.fromarray(grey / 255 * top), "TIFF"), "x").pixels
        assert difference(found, picture().convert("L")) < 1


@pytest.mark.parametrize("format", ["PNG", "WEBP", "TIFF"])
def test_transparent_parts_are_white(format):
    image = picture().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 32, 48))
    pixels = decode(file(image, format, **({"lossless": True, "exact": True} if format == "WEBP" else {})), "x").pixels
    assert (pixels[:, :32] == 255).all()
    assert difference(pixels[:, 32:], picture().crop((32, 0, 64, 48))) < 1


def test_transparent_palette_colour_is_white():
    image = Image.new("P", (4, 4), 0)
    image.putpalette([255, 0, 0, 0, 0, 255])
    image.putpixel((0, 0), 1)
    pixels = decode(file(image, "PNG", transparency=0), "x").pixels
    assert pixels[0, 0].tolist() == [0, 0, 255]
    assert (pixels[1:] == 255).all()


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "TIFF"])
def test_animation_gives_its_first_frame(format):
    later = [Image.new("RGB", (64, 48), "black")] * 2
    options = {"lossless": True} if format == "WEBP" else {}
    assert (
        difference(
            decode(file(picture(), format, save_all=True, append_images=later, **options), "x").pixels, picture()
        )
        < 4
    )


@pytest.mark.parametrize("format", ["GIF", "WEBP", "PNG", "AVIF"])
@pytest.mark.parametrize("ground", ["black", "white"])
def test_an_animation_that_fades_in_gives_a_telling_frame(format, ground):
    start = Image.new("RGB", (64, 48), ground)
    frames = [Image.blend(start, picture(), share) for share in (0, 0.1, 0.4, 0.9, 1)]
    options = {"lossless": True} if format == "WEBP" else {"quality": 95} if format == "AVIF" else {}
    data = file(frames[0], format, save_all=True, append_images=frames[1:], **options)
    assert difference(decode(data, "x").pixels, picture()) < 16


def test_a_file_of_several_pages_has_a_warning_and_smaller_copies_of_a_page_do_not_count(tmp_path):
    pages = [Image.fromarray(np.full((20, 30, 3), shade, np.uint8)) for shade in (0, 100, 200)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    found = read(tmp_path / "a.tif")
    assert found.warning.startswith("a file of several pages (3), of which only the first is seen; save each")
    assert found.pixels.max() == 0
    pages[1].encoderinfo = {"tiffinfo": {254: 1}}  # a preview of the first
    pages[0].save(tmp_path / "b.tif", save_all=True, append_images=pages[1:2])
    assert read(tmp_path / "b.tif").warning is None
    pages[0].save(tmp_path / "c.tif")
    assert read(tmp_path / "c.tif").warning is None


@pytest.mark.parametrize(
    ("tags", "size", "counts"),
    [
        ({}, (15, 10), True),
        ({}, (20, 30), True),
        ({}, (14, 10), False),
        ({}, (30, 9), False),
        ({254: 2}, (30, 20), True),
        ({254: 1}, (30, 20), False),
        ({255: 3}, (30, 20), True),
        ({255: 2}, (30, 20), False),
    ],
)
def test_a_page_counts_that_is_at_least_half_as_wide_and_high_and_calls_itself_no_copy(tags, size, counts):
    second = Image.new("L", size)
    second.encoderinfo = {"tiffinfo": tags}
    found = decode(file(Image.new("L", (30, 20)), "TIFF", save_all=True, append_images=[second]), "x")
    assert (found.warning or "").startswith("a file of several pages (2)") == counts


def test_pages_are_counted_up_to_a_thousand():
    pages = [Image.new("1", (1, 1))] * 1001
    found = decode(file(pages[0], "TIFF", save_all=True, append_images=pages[1:]), "x")
    assert found.warning.startswith("a file of several pages (1000 or more), of which only the first is seen")


def test_pages_of_a_document_are_no_animation():
    data = file(Image.new("RGB", (64, 48), "black"), "TIFF", save_all=True, append_images=[picture()])
    assert (decode(data, "x").pixels == 0).all()


def test_damage_behind_the_first_frame_of_an_animation_leaves_what_came_before():
    data = file(picture(), "GIF", save_all=True, append_images=[noisy(64, 48)] * 3)
    assert decode(data[: len(data) * 2 // 3], "x").pixels.shape == (48, 64, 3)


@pytest.mark.parametrize("size", [(1, 1), (6000, 8), (3, 2000)])
def test_extreme_shapes_are_read_and_resized(size):
    pixels = decode(file(picture(*size), "JPEG"), "x", at_least=(32, 32)).pixels
    assert pixels.shape == (size[1], size[0], 3)
    assert Transform((32, 32))(pixels).shape == (32, 32, 3)
    assert Transform((32, 32), crop="center", crop_pct=0.875)(pixels).shape == (32, 32, 3)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_all_orientations_give_the_same_upright_picture(format, orientation):
    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,  # stored turned left: the reader turns it right
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = picture().transpose(turns[orientation]) if orientation > 1 else picture()
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = decode(file(stored, format, exif=exif, **({"quality": 95} if format in ("JPEG", "WEBP") else {})), "x")
    assert difference(decoded.pixels, picture()) < 4
    assert decoded.size == (48, 64)


def test_big_jpeg_is_decoded_at_reduced_scale_but_never_below_what_is_needed():
    data = file(picture(1000, 800), "JPEG", quality=95)
    assert decode(data, "x").pixels.shape == (800, 1000, 3)
    assert decode(data, "x", at_least=(224, 224)).pixels.shape[:2] == (400, 500)
    assert decode(data, "x", at_least=(100, 100)).pixels.shape[:2] == (100, 125)
    assert decode(data, "x", at_least=(900, 100)).pixels.shape[:2] == (800, 1000)
    reduced = decode(data, "x", at_least=(100, 100))
    assert reduced.size == (800, 1000)
    assert difference(reduced.pixels, picture(125, 100)) < 4


def test_reduced_scale_counts_the_stored_sides_of_a_turned_photo():
    exif = Image.Exif()
    exif[0x0112] = 6
    data = file(picture(1000, 400), "JPEG", exif=exif)
    assert decode(data, "x", at_least=(500, 200)).pixels.shape[:2] == (500, 200)
    assert decode(data, "x", at_least=(200, 500)).pixels.shape[:2] == (1000, 400)


def noisy(width: int = 160, height: int = 120) -> Image.Image:
    rng = np.random.default_rng(0)
    return Image.fromarray(
        (np.asarray(picture(width, height)) + rng.integers(0, 40, (height, width, 3))).astype(np.uint8)
    )


@pytest.mark.parametrize(
    ("format", "options"),
    [("JPEG", {}), ("JPEG", {"subsampling": 0, "quality": 95}), ("PNG", {}), ("BMP", {}), ("PPM", {})],
)
def test_a_file_cut_after_its_middle_gives_what_is_there_with_a_warning(format, options):
    data = file(noisy(), format, **options)
    decoded = decode(data[: int(len(data) * 0.8)], "x")
    assert decoded.warning is not None
    assert "ends too soon" in decoded.warning
    assert 60 <= len(decoded.pixels) < 120
    assert decoded.size == (120, 160)
    whole = np.asarray(decode(data, "x").pixels, dtype=float)
    part = whole[-len(decoded.pixels) :] if format == "BMP" else whole[: len(decoded.pixels)]
    assert np.abs(part[20:-20] - decoded.pixels[20:-20]).mean() < 1  # the edge of the cut is ragged


@pytest.mark.parametrize("format", ["JPEG", "PNG", "BMP", "WEBP", "GIF", "TIFF"])
def test_a_file_cut_before_its_middle_is_an_error(format):
    data = file(noisy(), format)
    with pytest.raises(ImageError, match=r"^x: (the file ends too soon|damaged)"):
        decode(data[: int(len(data) * 0.3)], "x")


def test_a_progressive_jpeg_cut_late_is_read_whole_but_coarse():
    data = file(noisy(), "JPEG", progressive=True, quality=95)
    decoded = decode(data[: int(len(data) * 0.7)], "x")
    assert decoded.pixels.shape == (120, 160, 3)
    assert decoded.warning is not None
    assert difference(decoded.pixels, noisy()) < 20


def test_only_the_end_mark_missing_loses_nothing():
    data = file(noisy(), "JPEG")
    decoded = decode(data[:-2], "x")
    assert decoded.warning is not None
    assert (decoded.pixels == decode(data, "x").pixels).all()


def test_public_readers_warn_of_a_cut_file(tmp_path):
    data = file(noisy(), "JPEG")
    (tmp_path / "cut.jpg").write_bytes(data[: int(len(data) * 0.8)])
    with pytest.warns(UserWarning, match=r"cut\.jpg: the file ends too soon"):
        read_image(tmp_path / "cut.jpg")
    with pytest.warns(UserWarning, match=r"cut: the file ends too soon"):
        decode_image(np.frombuffer(data[: int(len(data) * 0.8)], np.uint8), "cut")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"These are the words of a letter, not a photo.", "not an image"),
        (b"\xff\xd8\xff", "damaged JPEG"),
        (b"\x89PNG\r\n\x1a\n", "damaged PNG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "not an image"),
    ],
)
def test_what_is_no_image_says_so(tmp_path, content, reason):
    path = tmp_path / "photo.jpg"
    path.write_bytes(content)
    with pytest.raises(ImageError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: {reason}")


def test_a_drawing_says_how_to_make_a_picture_of_it(tmp_path):
    (tmp_path / "a.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>", encoding="utf-8")
    with pytest.raises(ImageError, match=r"a\.svg: a drawing, not a photo; export it as PNG"):
        read(tmp_path / "a.svg")


def test_missing_files_and_folders_say_so(tmp_path):
    with pytest.raises(ImageError, match=r"cannot be read \(no such file"):
        read(tmp_path / "gone.jpg")
    with pytest.raises(ImageError, match=r"cannot be read \(is a directory"):
        read(tmp_path)


def claiming(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims a size."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    body = b"".join(struct.pack(">I", len(d)) + t + d + struct.pack(">I", zlib.crc32(t + d)) for t, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + body


def test_an_absurd_size_is_refused_before_memory_is_spent():
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(ImageError, match=r"x: too large \(60000 x 60000 pixels; --max-pixels, now 200,000,000"):
        decode(claiming(60_000, 60_000), "x")
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


def test_max_pixels_is_the_callers_choice():
    data = file(picture(64, 48), "PNG")
    with pytest.raises(ImageError, match="too large"):
        decode(data, "x", max_pixels=64 * 48 - 1)
    assert decode(data, "x", max_pixels=64 * 48).pixels.shape == (48, 64, 3)


def test_large_but_allowed_photos_raise_no_warning_of_pillow():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ImageError, match=r"damaged|ends too soon"):
            decode(claiming(12_000, 10_000), "x")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64, np.bool_])
@pytest.mark.parametrize("channels", [None, 1, 3, 4])
def test_arrays_of_any_usual_kind_become_rgb(dtype, channels):
    top = {"u": np.iinfo(dtype).max if np.dtype(dtype).kind == "u" else 0, "f": 1.0, "b": True}[np.dtype(dtype).kind]
    array = np.full((5, 7) if channels is None else (5, 7, channels), top, dtype)
    pixels = to_pixels(array)
    assert pixels.shape == (5, 7, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == 255).all()


@pytest.mark.parametrize("channels", [None, 3])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_arrays_of_sixteen_bits_keep_their_brightness_whatever_bits_are_in_use(bits, channels):
    grey = np.asarray(picture().convert("L"))
    array = (grey / 255 * (2**bits - 1)).round().astype(np.uint16)
    assert difference(to_pixels(array if channels is None else np.dstack([array] * 3)), picture().convert("L")) < 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.5, 1.5, 255.0])
def test_floats_that_are_no_shares_are_refused(dtype, value):
    array = np.full((5, 7, 3), 0.5, dtype)
    array[2, 3, 1] = value
    with pytest.raises(ImageError, match=r"an array of floats .* is no image; .*floats (go )?from 0 to 1"):
        to_pixels(array)


def test_rounding_of_floats_is_no_fault():
    assert (to_pixels(np.full((5, 7), 1 + 1e-6)) == 255).all()
    assert (to_pixels(np.full((5, 7), -1e-6)) == 0).all()


def test_channels_that_come_first_are_pointed_out():
    with pytest.raises(ImageError, match="channels come first; move them"):
        to_pixels(np.zeros((3, 48, 64), np.uint8))


@pytest.mark.parametrize(
    "array",
    [np.zeros((5, 7, 2), np.uint8), np.zeros(9, np.uint8), np.zeros((0, 7, 3), np.uint8), np.zeros((5, 7), np.int64)],
)
def test_arrays_that_are_no_image_are_refused(array):
    with pytest.raises(ImageError, match="is no image; give"):
        to_pixels(array)


def test_an_image_of_one_colour_stays_that_colour_through_the_transform():
    image = np.full((300, 200, 3), (10, 200, 90), np.uint8)
    for transform in (Transform((32, 48)), Transform((32, 48), crop="center", crop_pct=0.9)):
        assert (transform(image) == (10, 200, 90)).all()
        assert transform(image).shape == (32, 48, 3)


def test_center_crop_sees_the_middle_and_says_which_part():
    image = np.zeros((100, 300, 3), np.uint8)
    image[:, 100:200] = 255
    transform = Transform((50, 50), crop="center")
    assert (transform(image)[:, 2:-2] == 255).all()
    assert (transform(image) > 200).all()  # the filter reaches a little over the edge
    top, left, bottom, right = transform.window(100, 300)
    assert (top, bottom) == (0, 1)
    assert (left, right) == pytest.approx((1 / 3, 2 / 3))
    assert Transform().window(100, 300) == (0, 0, 1, 1)


@settings(max_examples=50)
@given(
    st.tuples(*[st.integers(16, 90)] * 4),
    st.sampled_from(["nearest", "bilinear", "bicubic", "lanczos"]),
    st.integers(0, 1000),
)
def test_images_are_resized_as_pillow_does_it(sizes, interpolation, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (*sizes[:2], 3), np.uint8)
    expected = Image.fromarray(pixels).resize((sizes[3], sizes[2]), Image.Resampling[interpolation.upper()])
    found = resize(pixels, *sizes[2:], interpolation)
    difference = np.abs(found.astype(int) - np.asarray(expected))
    assert difference.mean() <= 0.7
    assert difference.max() <= (48 if interpolation == "bicubic" else 3)  # what overshoots is cut off at other moments


@pytest.mark.parametrize("factors", [0x11, 0x12, 0x13, 0x21, 0x22, 0x31, 0x41, 0x42])
def test_any_sampling_factors_of_a_jpeg_are_decoded(factors):
    data = bytearray(file(Image.new("RGB", (96, 96), (128, 128, 128)), "JPEG", subsampling=0))
    data[data.index(b"\xff\xc0") + 11] = factors  # of brightness; the blocks of a grey picture are nearly the same
    pixels = decode_image(bytes(data), "x").astype(int)
    assert pixels.shape == (96, 96, 3)
    assert np.abs(pixels - 128).mean() < 3


def test_area_averages_over_what_each_pixel_covers():
    pixels = np.random.default_rng(0).integers(0, 256, (30, 40, 3), np.uint8)
    means = pixels.reshape(10, 3, 8, 5, 3).mean((1, 3))
    assert np.abs(resize(pixels, 10, 8, "area") - means).max() <= 0.5001
    assert resize(pixels, 60, 20, "area").shape == (60, 20, 3)


@settings(max_examples=50)
@given(st.integers(1, 400), st.integers(1, 400), st.sampled_from(["squash", "center"]), st.floats(0.5, 1))
def test_any_shape_becomes_the_size_asked_for(height, width, crop, crop_pct):
    transform = Transform((20, 30), crop=crop, crop_pct=crop_pct)
    assert transform(np.zeros((height, width, 3), np.uint8)).shape == (20, 30, 3)
    top, left, bottom, right = transform.window(height, width)
    assert 0 <= top < bottom <= 1
    assert 0 <= left < right <= 1


def seeds() -> list[bytes]:
    image = noisy(40, 30)
    draw = ImageDraw.Draw(image)
    draw.ellipse((5, 5, 30, 25), fill="red")
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    return [
        file(image, "JPEG", exif=exif),
        file(image, "JPEG", progressive=True),
        file(image.convert("CMYK"), "JPEG"),
        file(image, "PNG"),
        file(image.convert("RGBA"), "PNG"),
        file(image.quantize(16), "PNG", transparency=3),
        file(image, "WEBP", exif=exif),
        file(image.convert("RGBA"), "WEBP", lossless=True),
        file(image, "GIF", save_all=True, append_images=[image.rotate(90)]),
        file(image, "BMP"),
        file(image, "TIFF", compression="tiff_lzw", exif=exif),
        file(image, "PPM"),
        file(image, "JPEG2000"),
    ]


SEEDS = seeds()


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, double or overwrite a few places, mostly near the start, where the structure is."""
    mutated = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if not mutated:
            break
        at = int(len(mutated) * rng.random() ** rng.choice([1, 3]))
        match rng.randrange(5):
            case 0:
                mutated[at] ^= 1 << rng.randrange(8)
            case 1:
                mutated[at : at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
            case 2:
                del mutated[at : at + rng.randrange(1, 64)]
            case 3:
                mutated[at:at] = mutated[at : at + rng.randrange(1, 64)]
            case 4:
                del mutated[at:]
    return bytes(mutated)


def outcome(data: bytes) -> str:
    """Decode what may be damaged; anything but an image or one clear sentence is an error of ours."""
    try:
        pixels = decode(data, "x", at_least=(8, 8), max_pixels=1_000_000).pixels
    except ImageError as error:
        return "error" if str(error).startswith("x: ") and "\n" not in str(error) else f"unclear: {error}"
    return "image" if pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size else f"no image: {pixels.shape}"


def test_thousands_of_damaged_files_give_pixels_or_one_clear_error():
    rounds = int(os.environ.get("CAPTIONER_FUZZ_ROUNDS", "200"))  # docs/robustness.md records longer runs
    rng = random.Random(5)
    counts = Counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(rounds):
            counts.update(outcome(mutate(seed, rng)) for seed in SEEDS)
    print(dict(counts))
    assert set(counts) == {"image", "error"}
    assert min(counts.values()) > rounds
