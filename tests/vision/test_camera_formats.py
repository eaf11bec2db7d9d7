"""HEIC, JPEG XL and RAW files against the JPEG of the same photo, and what is wrong with them."""

import io
import os
import random
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from captioner.errors import ImageError
from captioner.vision.camera_formats import RAW_SUFFIXES, jxl_size, kind_of
from captioner.vision.images import SUFFIXES, decode

pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed")
pytest.importorskip("pillow_jxl", reason="pillow-jxl-plugin is not installed")
pytest.importorskip("rawpy", reason="rawpy is not installed")
pillow_heif.register_heif_opener()


def photo(width: int = 160, height: int = 120) -> np.ndarray:
    """A smooth picture whose corners differ, so that every turn shows."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    rgb = np.stack([40 + 170 * x, 40 + 170 * y, 40 + 170 * (1 - x) * (1 - y)], axis=-1)
    return rgb.round().astype(np.uint8)


def saved(pixels: np.ndarray, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.abs(one.astype(int) - other).mean())


def turned(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif.tobytes()


@pytest.mark.parametrize("kind", ["HEIF", "JXL"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photo_has_the_pixels_of_its_jpeg_however_it_is_turned(kind, orientation):
    expected = decode(saved(photo(), "JPEG", quality=95, exif=turned(orientation)), "x.jpg").pixels
    found = decode(saved(photo(), kind, quality=95, exif=turned(orientation)), "x")
    if kind == "JXL":  # the plug-in writes the tag without turning; whoever reads JPEG XL goes by its header
        expected = photo()
    assert apart(found.pixels, expected) < 2
    assert found.size == expected.shape[:2]


def test_a_jpeg_packed_as_jpeg_xl_keeps_its_turn(tmp_path):
    jpeg = saved(photo(), "JPEG", quality=95, exif=turned(6))
    (tmp_path / "x.jpg").write_bytes(jpeg)
    with Image.open(tmp_path / "x.jpg") as image:
        image.save(tmp_path / "x.jxl", lossless_jpeg=True)
    assert apart(decode((tmp_path / "x.jxl").read_bytes(), "x.jxl").pixels, decode(jpeg, "x.jpg").pixels) < 2


@pytest.mark.parametrize("kind", ["HEIF", "JXL"])
def test_transparent_parts_lie_on_white(kind):
    alpha = np.full((120, 160, 1), 255, np.uint8)
    alpha[:60] = 0
    pixels = decode(saved(np.concatenate([photo(), alpha], axis=2), kind, quality=95), "x").pixels
    assert pixels[:55].min() > 245
    assert apart(pixels[64:], photo()[64:]) < 3


@pytest.mark.parametrize(("width", "height"), [(1, 1), (8, 8), (250, 100), (160, 120), (257, 257), (320, 180)])
def test_the_size_of_a_jpeg_xl_file_is_read_from_its_header(width, height):
    pixels = photo(width, height)
    assert jxl_size(saved(pixels, "JXL")) == (width, height)
    assert jxl_size(saved(pixels, "JXL", exif=turned(1))) == (width, height)  # in a container


@pytest.mark.parametrize(("orientation", "turns"), [(1, 0), (3, 2), (6, -1), (8, 1)])
def test_a_raw_file_gives_its_preview_where_that_is_large_enough(dng_of, orientation, turns):
    pixels = photo(320, 240)
    expected = np.rot90(pixels, turns)
    found = decode(dng_of(pixels, preview=320, orientation=orientation), "x.dng", at_least=(200, 200))
    assert found.size == expected.shape[:2]
    assert apart(found.pixels, expected) < 2  # developing would make it brighter


def test_a_raw_file_is_developed_where_its_preview_is_too_small(dng_of):
    pixels = photo(320, 240)
    small = decode(dng_of(pixels, preview=40), "x.DNG", at_least=(200, 200))
    none = decode(dng_of(pixels), "x.dng", at_least=(200, 200))
    assert np.array_equal(small.pixels, none.pixels)
    assert none.pixels.shape == (240, 320, 3)
    correlation = np.corrcoef(none.pixels.ravel(), pixels.ravel())[0, 1]
    assert correlation > 0.98
    assert decode(dng_of(pixels), "x.dng", at_least=(60, 60)).pixels.shape == (120, 160, 3)  # as much as is needed


def test_a_raw_file_is_known_by_its_name_and_a_tiff_file_stays_one(dng_of):
    tiff = saved(photo(), "TIFF")
    assert kind_of(tiff, "x.tif") is None
    assert kind_of(dng_of(photo()), "x.NEF") == "RAW"
    assert kind_of(b"FUJIFILMCCD-RAW 0201", "x") == "RAW"
    assert apart(decode(tiff, "x.tiff").pixels, photo()) == 0
    assert RAW_SUFFIXES < SUFFIXES
    assert {".heic", ".heif", ".hif", ".jxl"} < SUFFIXES


@pytest.mark.parametrize(("kind", "name"), [("HEIF", "x.heic"), ("JXL", "x.jxl"), ("DNG", "x.dng")])
def test_a_photo_with_more_pixels_than_allowed_is_refused_before_it_is_decoded(dng_of, kind, name):
    data = dng_of(photo()) if kind == "DNG" else saved(photo(), kind)
    with pytest.raises(ImageError, match=rf"{name}: too large \(160 x 120 pixels; --max-pixels, now 10,000"):
        decode(data, name, max_pixels=10_000)


def test_a_jpeg_xl_header_that_claims_gigapixels_costs_no_memory():
    bits = 0 | (3 << 1) | ((1 << 30) - 1 << 3) | (1 << 33)  # not small, 2 ** 30 rows, square
    with pytest.raises(ImageError, match=r"x: too large \(1073741824 x 1073741824 pixels"):
        decode(b"\xff\x0a" + bits.to_bytes(12, "little"), "x")


@pytest.mark.parametrize(("kind", "name"), [("HEIF", "x.heic"), ("JXL", "x.jxl"), ("DNG", "x.dng")])
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5])
def test_a_photo_that_is_cut_short_is_one_sentence(dng_of, kind, name, share):
    data = dng_of(photo()) if kind == "DNG" else saved(photo(), kind)
    with pytest.raises(ImageError, match=rf"^{name}: damaged (HEIF|JPEG XL|RAW) file \([^\n]+\)$"):
        decode(data[: max(64, int(share * len(data)))], name)


@pytest.mark.parametrize(
    ("module", "kind", "sentence"),
    [
        ("pillow_heif", "HEIF", 'x: HEIF photos need pillow-heif; pip install "captioner[formats]"'),
        ("pillow_jxl.JpegXLImagePlugin", "JXL", 'x: JPEG XL photos need pillow-jxl-plugin; pip install "captioner'),
        ("rawpy", "DNG", 'x.dng: RAW photos need rawpy; pip install "captioner[formats]"'),
    ],
)
def test_a_missing_decoder_is_named_with_its_extra(monkeypatch, dng_of, module, kind, sentence):
    data = dng_of(photo()) if kind == "DNG" else saved(photo(), kind)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImageError) as caught:
        decode(data, "x.dng" if kind == "DNG" else "x")
    assert str(caught.value).startswith(sentence)


def test_jpeg_photos_do_not_wait_for_other_decoders(tmp_path):
    (tmp_path / "x.jpg").write_bytes(saved(photo(), "JPEG"))
    code = (
        "import sys; from captioner.vision.images import read; read(sys.argv[1]); "
        "print({'pillow_heif', 'pillow_jxl', 'rawpy'} & set(sys.modules))"
    )
    run = subprocess.run([sys.executable, "-c", code, tmp_path / "x.jpg"], capture_output=True, text=True, check=True)
    assert run.stdout == "set()\n"


def mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        at = int(len(changed) * rng.random() ** rng.choice([1, 3]))
        match rng.randrange(4):
            case 0:
                changed[at : at + 1] = bytes([rng.randrange(256)])
            case 1:
                changed[at : at + 4] = rng.choice([b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff"])
            case 2:
                del changed[at : at + rng.randrange(1, 64)]
            case 3:
                changed[at:at] = changed[at : at + rng.randrange(1, 64)]
    return bytes(changed)


def outcome(data: bytes, name: str) -> str:
    """Decode what may be damaged; anything but an image or one clear sentence is an error of ours."""
    try:
        pixels = decode(data, name, at_least=(8, 8), max_pixels=1_000_000).pixels
    except ImageError as error:
        return "error" if str(error).startswith(f"{name}: ") and "\n" not in str(error) else f"unclear: {error}"
    return "image" if pixels.ndim == 3 and pixels.shape[2] == 3 and pixels.size else f"no image: {pixels.shape}"


def test_damaged_files_give_pixels_or_one_clear_error(dng_of):
    rounds = int(os.environ.get("CAPTIONER_FUZZ_ROUNDS", "100"))  # docs/robustness.md records longer runs
    rng = random.Random(7)
    small = photo(48, 32)
    seeds = {
        "x.heic": saved(small, "HEIF"),
        "x.jxl": saved(small, "JXL"),
        "y.jxl": saved(small, "JXL", exif=turned(6)),
        "x.dng": dng_of(small),
        "y.dng": dng_of(small, preview=48),
    }
    outcomes = Counter(outcome(mutated(data, rng), name) for _ in range(rounds) for name, data in seeds.items())
    print(dict(outcomes))
    assert set(outcomes) <= {"image", "error"}
