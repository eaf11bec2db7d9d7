"""Descriptions in photos' own files, read back by other programs, with all else as it was."""

import io
import json
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from captioner.data import embedded
from captioner.data.embedded import embed_description, has_description
from captioner.errors import DataError

pyexiv2 = pytest.importorskip("pyexiv2", reason="pyexiv2 is not installed")


def photo(kind: str = "JPEG", **tags) -> bytes:
    """A small photo with EXIF, an ICC profile, and what else is asked for."""
    exif = Image.Exif()
    exif[0x010F], exif[0x010E], exif[0x0112] = "Camera", "OLYMPUS DIGITAL CAMERA", 6
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **({} if kind == "JPEG2000" else {"exif": exif.tobytes()}))
    with pyexiv2.ImageData(buffer.getvalue()) as image:
        for name, values in tags.items():
            getattr(image, f"modify_{name}")(values)
        return bytes(image.get_bytes())


def exiftool(tmp_path, data: bytes, *options: str) -> dict:
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    (tmp_path / "read.jpg").write_bytes(data)
    command = ["exiftool", "-json", "-a", *options, tmp_path / "read.jpg"]
    return json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]


TAGGED = {
    "xmp": {"Xmp.dc.subject": ["Küste", "sea"], "Xmp.xmp.Rating": "4", "Xmp.dc.title": {'lang="x-default"': "Title"}},
    "iptc": {"Iptc.Envelope.CharacterSet": "\x1b%G", "Iptc.Application2.City": "Köln"},
}


@pytest.mark.parametrize("tags", [{}, TAGGED])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "JPEG2000"])
def test_a_description_is_read_back_by_another_program_and_all_else_is_as_before(tmp_path, kind, tags):
    before = photo(kind, **({} if kind not in ("JPEG", "TIFF") else tags))
    after = embed_description(before, "A dög & a cat.", "en")
    after = embed_description(after, "Ein Hund.", "de")
    names = ("-XMP:all", "-IPTC:all", "-EXIF:all", "-ICC_Profile:all", "-Composite:ImageSize", "-G1")
    old, new = exiftool(tmp_path, before, *names), exiftool(tmp_path, after, *names)
    ours = {
        "XMP-dc:Description": "A dög & a cat.",
        "XMP-dc:Description-en": "A dög & a cat.",
        "XMP-dc:Description-de": "Ein Hund.",
    }
    if kind == "JPEG":
        ours |= {"IPTC:Caption-Abstract": "A dög & a cat.", "IPTC:CodedCharacterSet": "UTF8"}
    layout = ("SourceFile", "IFD0:StripOffsets", "XMP-x:XMPToolkit")
    assert {key: value for key, value in new.items() if key not in layout} == {
        key: value for key, value in (old | ours).items() if key not in layout
    }
    with Image.open(io.BytesIO(before)) as one, Image.open(io.BytesIO(after)) as other:
        assert np.array_equal(np.asarray(one), np.asarray(other))


def test_what_follows_a_jpeg_file_stays_such_as_the_clip_of_a_motion_photo():
    trailer = b"\0\0\0\x18ftypmp42" + bytes(5000)
    assert embed_description(photo() + trailer, "A dog.", "en").endswith(b"\xff\xd9" + trailer)


def test_xmp_of_other_programs_keeps_all_that_it_says(tmp_path):
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:lr="http://ns.adobe.com/lightroom/1.0/" xmlns:q="http://unknown/">'
        "<lr:hierarchicalSubject><rdf:Bag><rdf:li>Sea|Küste</rdf:li></rdf:Bag></lr:hierarchicalSubject>"
        "<q:deep rdf:parseType='Resource'><q:one>1</q:one><q:two><rdf:Seq><rdf:li>2</rdf:li></rdf:Seq></q:two></q:deep>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    before = photo(raw_xmp=packet)
    old, new = (exiftool(tmp_path, data, "-XMP:all") for data in (before, embed_description(before, "A dog.", "en")))
    assert {key: value for key, value in new.items() if "Description" not in key} == old
    assert old["DeepTwo"] == 2


@pytest.mark.parametrize(
    ("tags", "languages"),
    [
        ({}, ()),
        ({"xmp": {"Xmp.dc.description": {'lang="x-default"': "By hand"}}}, ("en", "de")),
        ({"xmp": {"Xmp.dc.description": {'lang="x-default"': "Von Hand", 'lang="de"': "Von Hand"}}}, ("de",)),
        ({"iptc": {"Iptc.Application2.Caption": "By hand"}}, ("en", "de")),
    ],
)
def test_a_description_by_hand_is_seen(tags, languages):
    assert tuple(language for language in ("en", "de") if has_description(photo(**tags), language)) == languages


def test_overwriting_replaces_all_languages():
    data = embed_description(embed_description(photo(), "A dog.", "en"), "Ein Hund.", "de")
    data = embed_description(data, "A cat.", "en", overwrite=True)
    with pyexiv2.ImageData(data) as image:
        assert image.read_xmp()["Xmp.dc.description"] == {'lang="x-default"': "A cat.", 'lang="en"': "A cat."}
        assert image.read_iptc()["Iptc.Application2.Caption"] == "A cat."


def test_iptc_in_another_encoding_is_left_alone():
    data = photo(iptc={"Iptc.Application2.City": "Koln"}).replace(b"Koln", b"K\xf6ln")
    after = embed_description(data, "Ein Hünd.", "de")
    assert b"K\xf6ln" in after
    assert b"Caption" not in after
    assert has_description(after, "de")


@pytest.mark.parametrize("data", [b"", b"GIF89a" + bytes(50), b"\xff\xd8\xff", b"text", photo()[:300]])
def test_what_cannot_hold_a_description_is_one_sentence(data):
    with pytest.raises(DataError, match=r"^[^\n]+$"):
        embed_description(data, "A dog.", "en")


def test_a_photo_with_another_meaning_of_our_prefix_spoils_no_other():
    full = embed_description(photo(), "A dog.", "en")
    with pytest.raises(DataError):
        embed_description(full.replace(b"purl.org/dc/", b"purl.org/dx/"), "A dog.", "en")
    assert has_description(embed_description(photo(), "A dog.", "en"), "en")


def test_a_writer_that_changes_anything_else_is_refused(monkeypatch):
    class Careless(pyexiv2.ImageData):
        def get_bytes(self):
            self.modify_exif({"Exif.Image.Make": "Other"})
            return super().get_bytes()

    monkeypatch.setattr(pyexiv2, "ImageData", Careless)
    with pytest.raises(DataError, match="without a change to something else"):
        embed_description(TAGGED_PHOTO, "A dog.", "en")


@settings(max_examples=60)
@given(st.integers(0, 3000), st.binary(min_size=1, max_size=8))
def test_damaged_photos_are_written_whole_or_refused(place, damage):
    data = bytearray(TAGGED_PHOTO)
    place %= len(data)
    data[place : place + len(damage)] = damage
    try:
        after = embed_description(bytes(data), "A dog.", "en")
    except DataError as error:
        assert "\n" not in str(error)  # noqa: PT017 - most damage is refused, some is not
    else:
        assert list(embedded._other_segments(bytes(data))) == list(embedded._other_segments(after))


TAGGED_PHOTO = photo(**TAGGED)


def test_a_prefix_that_a_damaged_photo_gave_another_meaning_is_written_to_no_photo():
    packet = embed_description(photo(), "A dog.", "en")
    sound = pyexiv2.ImageData(packet)
    sound.modify_xmp({"Xmp.xmp.Label": "red"})
    sound = sound.get_bytes()
    pyexiv2.ImageData(sound.replace(b"ns.adobe.com/xap/1.0/", b"ns.adobe.com/xap/9.9/")).read_xmp()
    try:
        after = embed_description(sound, "A cat.", "en")
    except DataError:
        return  # refused, and the photo stays as it is
    assert b"ns.adobe.com/xap/1.0/" in after
    assert b"ns.adobe.com/xap/9.9/" not in after
