"""Files beside photos and clips: texts, XMP as photo libraries read it, and subtitles."""

import json
import os
import shutil
import subprocess
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.data.xmp import read_description, with_description
from captioner.errors import DataError, UsageError
from captioner.pipelines.caption.sidecars import (
    SubtitleSidecars,
    TextSidecars,
    XmpSidecars,
    sidecar_writer,
    sidecars,
)
from captioner.pipelines.caption.wording import Wording
from captioner.pipelines.folder.inputs import identity
from captioner.pipelines.folder.outputs import Record

DOG = {"caption": "A dog.", "score": -0.5}
CAT = {"caption": "A cat.", "score": -0.7}


def test_a_text_file_beside_each_image_holds_its_captions(tmp_path):
    images = [str(tmp_path / name) for name in ("a.jpg", "b.png", "c.jpg")]
    writer = TextSidecars(images, ".txt", overwrite=False)
    writer.write(
        [Record(images[0], DOG), Record(images[1], {"captions": [CAT, DOG]}), Record(images[2], error="empty")]
    )
    assert (tmp_path / "a.txt").read_text() == "A dog.\n"
    assert (tmp_path / "b.txt").read_text() == "A cat.\nA dog.\n"
    assert not (tmp_path / "c.txt").exists()


def test_text_files_that_exist_are_kept_unless_empty_or_overwriting(tmp_path):
    images = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    (tmp_path / "a.txt").write_text("mine")
    (tmp_path / "b.txt").write_text("")
    assert TextSidecars(images, ".txt", overwrite=False).done == {identity(images[0]): False}
    assert TextSidecars(images, ".txt", overwrite=True).done == {}


def test_files_that_would_share_a_text_file_have_each_their_own(tmp_path):
    for name in ("live.heic", "live.MOV", "img.png", "img.jpg", "alone.jpg"):
        (tmp_path / name).touch()
    images = [str(tmp_path / name) for name in ("live.heic", "live.MOV", "img.jpg", "alone.jpg")]
    records = [Record(image, {"caption": image, "score": -1}) for image in images]
    TextSidecars(images, ".txt", overwrite=False).write(records)
    assert sorted(each.name for each in tmp_path.glob("*.txt")) == [
        *("alone.txt", "img.jpg.txt", "live.MOV.txt", "live.heic.txt")
    ]
    assert (tmp_path / "img.jpg.txt").read_text() == f"{tmp_path}/img.jpg\n"


def test_a_text_file_that_cannot_be_written_stays_and_the_others_are_written(tmp_path):
    images = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    (tmp_path / "a.txt").write_text("by hand")
    (tmp_path / "a.txt").chmod(0o444)
    (tmp_path / "b.txt").mkdir()
    (tmp_path / "elsewhere.txt").write_text("old")
    os.symlink("elsewhere.txt", tmp_path / "d.txt")
    writer = TextSidecars(images, ".txt", overwrite=True)
    writer.write([Record(image, DOG) for image in images])
    assert (tmp_path / "a.txt").read_text() == "by hand"
    assert (tmp_path / "c.txt").read_text() == "A dog.\n"
    assert (tmp_path / "d.txt").is_symlink()
    assert (tmp_path / "elsewhere.txt").read_text() == "A dog.\n"
    assert writer.problems == [
        (str(tmp_path / "a.txt"), "cannot be written (permission denied)"),
        (str(tmp_path / "b.txt"), "cannot be written (is a directory)"),
    ]
    assert not [each for each in os.listdir(tmp_path) if each.endswith(".part")]


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path):
    tmp_path.chmod(0o500)
    if os.access(tmp_path, os.W_OK):
        pytest.skip("this user may write everywhere (root)")
    with pytest.raises(UsageError, match="the folder cannot be written, which --sidecar needs"):
        TextSidecars([str(tmp_path / "a.jpg")], ".txt", overwrite=False)


def test_texts_that_were_there_are_said_to_be_kept(tmp_path):
    (tmp_path / "a.jpg").touch()
    (tmp_path / "a.txt").write_text("mine")
    os.utime(tmp_path / "a.txt", (1, 1))
    assert TextSidecars([str(tmp_path / "a.jpg")], ".txt", overwrite=False).notes() == [
        "1 .txt file was there already, 1 of them older than what they are of; --overwrite writes them anew"
    ]


def test_a_raw_file_and_the_photo_of_its_name_share_a_text(tmp_path):
    images = [str(tmp_path / name) for name in ("a.CR2", "a.jpg", "b.nef", "c.dng", "c.jpg", "c.png")]
    for image in images:
        open(image, "wb").close()
    assert [os.path.basename(file) for file in sidecars(images).values()] == [
        *("a.txt", "a.txt", "b.txt", "c.dng.txt", "c.jpg.txt", "c.png.txt")
    ]
    writer = TextSidecars(images[:2], ".txt", overwrite=False)
    writer.write([Record(images[0], DOG)])
    assert writer.done == dict.fromkeys(map(identity, images[:2]), False)


def test_a_form_with_a_plus_keeps_the_whole_name(tmp_path):
    assert sidecars(["x/a.jpg", "b"], "+.txt") == {"x/a.jpg": "x/a.jpg.txt", "b": "b.txt"}
    assert sidecars(["x/a.jpg"], ".caption") == {"x/a.jpg": "x/a.caption"}


@pytest.mark.parametrize("form", ["txt", ".", "+", "++.txt", ".jpg", ".MOV", "./a", "photos"])
def test_a_form_that_is_none_is_refused(form):
    with pytest.raises(UsageError, match="--sidecar"):
        sidecar_writer(["a.jpg"], form, overwrite=False, append=False, language="en")


def test_captions_are_appended_once_to_what_is_there(tmp_path):
    images = [str(tmp_path / name) for name in ("a.jpg", "b.jpg")]
    (tmp_path / "a.txt").write_bytes(b"ohwx, caf\xe9\n\n")
    for _ in range(2):
        writer = TextSidecars(images, ".txt", overwrite=False, append=True)
        assert writer.done == {}
        writer.write([Record(image, DOG) for image in images])
    assert (tmp_path / "a.txt").read_bytes() == b"ohwx, caf\xe9, A dog.\n"
    assert (tmp_path / "b.txt").read_text() == "A dog.\n"


@pytest.mark.parametrize(
    ("wording", "written"),
    [
        (Wording(), "A dog."),
        (Wording(style="no-stop"), "A dog"),
        (Wording(style="lower"), "a dog."),
        (Wording("ohwx, ", ", 4k", "plain"), "ohwx, a dog, 4k"),
    ],
)
def test_captions_are_written_as_asked(wording, written):
    assert wording("A dog.") == written


LIGHTROOM = b"""<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0">
 <r:RDF xmlns:r="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <!-- a comment -->
  <r:Description r:about="uuid:1" xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
    xmlns:d="http://purl.org/dc/elements/1.1/" crs:Exposure2012="+0.35" crs:x="&lt;a&gt;">
   %s
   <d:subject><r:Bag><r:li>K\xc3\xbcste</r:li></r:Bag></d:subject>
  </r:Description>
 </r:RDF>
</x:xmpmeta>   <?xpacket end="w"?>"""


@pytest.mark.parametrize(
    "before",
    [
        b"",
        b"<d:description/>",
        b"<d:description><r:Alt/></d:description>",
        b'<d:description><r:Alt><r:li xml:lang="x-default">Von Hand &amp; mehr</r:li></r:Alt></d:description>',
    ],
)
def test_only_the_description_of_an_xmp_packet_changes(before):
    changed = with_description(LIGHTROOM % before, {"x-default": "A <dog>.", "en": "A <dog>."}, "x")
    assert read_description(changed, "x") == {"x-default": "A <dog>.", "en": "A <dog>."}
    start, _, end = LIGHTROOM.partition(b"%s")
    if before:
        assert changed.startswith(start)
        assert changed.endswith(end)
    else:
        at = changed.index(b" <rdf:Description")
        assert (LIGHTROOM % b"").startswith(changed[:at])
        assert changed[at:].endswith(b"</r:RDF>\n</x:xmpmeta>   <?xpacket end=\"w\"?>")
        assert b'rdf:about="uuid:1"' in changed
    ElementTree.fromstring(changed)


@given(st.dictionaries(st.sampled_from(["x-default", "en", "de-DE"]), st.text(min_size=1), min_size=1))
def test_any_text_is_read_back_from_a_packet(texts):
    packet = with_description(None, texts, "x")
    found = read_description(packet, "x")
    assert set(found) == set(texts)
    again = with_description(packet, found, "x")
    assert read_description(again, "x") == found


@pytest.mark.parametrize(
    "packet",
    [
        b"",
        b"not XML",
        b"<x/>",
        LIGHTROOM[:300],
        b'<!DOCTYPE x [<!ENTITY a "b">]>' + LIGHTROOM[LIGHTROOM.index(b"<x:") :] % b"&a;",
        (LIGHTROOM % b"").decode().encode("utf-16"),
        LIGHTROOM.replace(b"crs:x=", b"d:description=") % b"",
    ],
)
def test_what_is_no_xmp_that_can_be_changed_is_refused(packet):
    with pytest.raises(DataError, match=r"^x: [^\n]+\.$"):
        with_description(packet, {"x-default": "A dog."}, "x")


def test_xmp_files_keep_what_a_person_wrote_and_add_languages(tmp_path):
    images = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg", "d.jpg")]
    by_hand = b'<d:description><r:Alt><r:li xml:lang="x-default">Von Hand</r:li></r:Alt></d:description>'
    (tmp_path / "b.jpg.xmp").write_bytes(LIGHTROOM % b"")
    (tmp_path / "c.jpg.xmp").write_bytes(LIGHTROOM % by_hand)
    (tmp_path / "d.jpg.xmp").write_bytes(b"broken")
    for language in ("en", "fr"):
        writer = XmpSidecars(images, "+.xmp", overwrite=False, language=language)
        writer.write([Record(image, DOG) for image in images if identity(image) not in writer.done])
    found = {name: read_description((tmp_path / f"{name}.jpg.xmp").read_bytes(), name) for name in "abc"}
    assert found == {
        "a": {"x-default": "A dog.", "en": "A dog.", "fr": "A dog."},
        "b": {"x-default": "A dog.", "en": "A dog.", "fr": "A dog."},
        "c": {"x-default": "Von Hand"},
    }
    assert b"Exposure2012" in (tmp_path / "b.jpg.xmp").read_bytes()
    assert (tmp_path / "d.jpg.xmp").read_bytes() == b"broken"
    assert writer.problems[0][0] == str(tmp_path / "d.jpg.xmp")
    assert writer.problems[0][1].startswith("not XMP that can be changed")
    assert writer.notes() == ["1 .xmp file was there already; --overwrite writes them anew"]
    XmpSidecars(images[:3], "+.xmp", overwrite=True, language="en").write([Record(images[2], CAT)])
    assert read_description((tmp_path / "c.jpg.xmp").read_bytes(), "c") == {"x-default": "A cat.", "en": "A cat."}


def test_exiftool_reads_our_xmp(tmp_path):
    if shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    image = str(tmp_path / "a.jpg")
    (tmp_path / "a.xmp").write_bytes(LIGHTROOM % b"")
    for language, caption in (("en", "A dog & a cat."), ("de", "Ein Hünd.")):
        writer = XmpSidecars([image], ".xmp", overwrite=False, language=language)
        writer.write([Record(image, {"caption": caption, "score": -1})])
    command = ["exiftool", "-json", "-a", "-XMP:all", tmp_path / "a.xmp"]
    found = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)[0]
    assert found["Description"] == "A dog & a cat."
    assert found["Description-de"] == "Ein Hünd."
    assert (found["Exposure2012"], found["Subject"]) == ("+0.35", "Küste")


def test_subtitles_stand_beside_each_clip(tmp_path):
    segments = {"segments": [{"start": 0, "end": 1.5, "caption": "A dog."}]}
    inputs = [str(tmp_path / name) for name in ("a.mp4", "b.jpg", "c.mkv")]
    writer = SubtitleSidecars(inputs, ".vtt", overwrite=False)
    assert writer.done == {identity(inputs[1]): False}
    writer.write([Record(inputs[0], segments), Record(inputs[2], error="damaged")])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.vtt"]
    assert (tmp_path / "a.vtt").read_text() == "WEBVTT\n\n1\n00:00:00.000 --> 00:00:01.500\nA dog.\n"
    with pytest.raises(UsageError, match="subtitles are of clips, and there is none"):
        SubtitleSidecars(["b.jpg"], ".srt", overwrite=False)


def test_the_command_writes_each_form_and_in_the_wording_asked_for(caption, make_photos):
    photos = make_photos(2)
    wording = ["--prefix", "ohwx, ", "--suffix", "!", "--style", "plain"]
    status, out, _ = caption(photos, "--sidecar", "+.caption", "--sidecar", ".xmp", *wording, "--sidecar")
    assert (status, out) == (0, "")
    assert len(list(photos.iterdir())) == 8
    for photo in photos.glob("*.jpg"):
        text = photo.with_suffix(".txt").read_text()
        assert text.startswith("ohwx, ")
        assert text == text.lower()
        assert text.endswith("!\n")
        assert (photos / f"{photo.name}.caption").read_text() == text
        assert read_description(photo.with_suffix(".xmp").read_bytes(), "x")["en"] == text.strip()
    assert "2 were done before" in caption("--sidecar", photos)[2]
    assert "--append adds to the texts beside images" in " ".join(caption(photos, "--append")[2].split())
    assert "leave line breaks out" in caption(photos, "--suffix", "\nsecond", "--sidecar", "+.x")[2]


def test_rows_in_other_words_are_not_mixed(caption, make_photos, tmp_path):
    photos = make_photos(1)
    assert caption(photos, "-o", tmp_path / "a.jsonl")[0] == 0
    assert caption(photos, "-o", tmp_path / "a.jsonl", "--style", "sentence")[0] == 0
    status, _, err = caption(photos, "-o", tmp_path / "a.jsonl", "--style", "lower")
    assert status == 2
    assert "its rows were made with style none, and now it is style lower" in " ".join(err.split())
