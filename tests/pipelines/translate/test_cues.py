import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from captioner.pipelines.translate.cues import cue_text, read_cues

_LINES = ["1", "42", "00:00:01,000 --> 00:00:02,000", "00:01.000 --> 00:02.000 align:start", "A man.", "<i>", "</i>"]
_LINES += ["<v Anna>A man.</v>", "<v Bob>", "- Hi", "", " \t", "WEBVTT", "NOTE x", "♪", "{\\an8}", "&amp;", "-->"]


def times(text):
    return [line.strip() for line in re.split(r"[\r\n]", text) if re.match(r"\s*\d[\d:.,]*\s*-->", line)]


@given(st.lists(st.sampled_from(_LINES), max_size=14), st.sampled_from(["\n", "\r\n", "\r"]), st.booleans())
def test_no_times_and_no_words_are_lost_whatever_the_file_looks_like(lines, end, vtt):
    text = end.join(lines)
    rows = list(read_cues(text, vtt=vtt))
    written = "\n\n".join(cue_text(row, row.get("caption", ""), vtt=vtt) for row in rows)
    assert times(written) == times(text)
    assert written.count("A man.") == text.count("A man.")
    assert len([row for row in read_cues(written, vtt=vtt) if "cue" in row]) == len(times(text))


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("♪ A man ♪ ♪ a dog ♪", "A man a dog"),
        ("A man♪a dog", "A man a dog"),
        ("A man<br/>A dog", "A man A dog"),
        ("A <b>big</b>ger dog", "A bigger dog"),
        ("<v.first Bob Smith>A man, <c.a b>too", "A man, too"),
        ("<ruby>犬<rt>いぬ</rt></ruby> runs", "犬 runs"),
        ("A man.\\N- A dog.", "A man.\n- A dog."),
        ("- ♪ A man ♪\n- A dog", "- ♪ A man ♪\n- A dog"),
        ("&gt;&gt; A man.\n&gt;&gt; A dog.", ">> A man.\n>> A dog."),
    ],
)
def test_words_on_both_sides_of_markup_stay_apart_where_they_were(text, caption):
    assert [row["caption"] for row in read_cues(f"00:01.000 --> 00:02.000\n{text}\n", vtt=True)] == [caption]


@pytest.mark.parametrize(
    "text",
    [
        "<v Anna>A dog runs.</v>\n<v Bob>A cat sleeps.</v>",
        "<v Anna>A dog runs.\n<v.loud Bob>A cat sleeps.",
        "<v Anna>A dog runs.</v>",
    ],
)
def test_each_voice_keeps_its_line(text):
    (row,) = read_cues(f"00:01.000 --> 00:02.000\n{text}\n", vtt=True)
    assert "<" not in row["caption"]
    assert cue_text(row, row["caption"], vtt=True).partition("\n")[2] == text


def test_no_voice_is_told_where_lines_were_joined():
    (row,) = read_cues("00:01.000 --> 00:02.000\n<v Bob>A dog runs\n<v Ann>a man sits\n", vtt=True)
    assert cue_text(row, "Ein Hund rennt, ein Mann sitzt", vtt=True).endswith(
        "00:02.000\nEin Hund rennt, ein Mann sitzt"
    )
    (row,) = read_cues("00:01.000 --> 00:02.000\n<v Bob>- Hi\n- so\n<v Ann>Hello\n", vtt=True)
    assert "<" not in cue_text(row, row["caption"], vtt=True)


def test_a_voice_stays_where_single_words_have_markup():
    (row,) = read_cues("00:01.000 --> 00:02.000\n<v Anna>A <i>dog</i> runs.</v>\n", vtt=True)
    assert cue_text(row, "Ein Hund rennt.", vtt=True).endswith("<v Anna>Ein Hund rennt.</v>")


@pytest.mark.parametrize(
    ("text", "caption"),
    [
        ("ANNA: A dog runs.\nBOB: A cat\nsits.", "ANNA: A dog runs.\nBOB: A cat sits."),
        ("[door opens]\nA man\nsits.", "[door opens]\nA man sits."),
        ("A man sits.\n<i>(laughs)</i>", "A man sits.\n(laughs)"),
        (">> A dog.\n>> A cat.", ">> A dog.\n>> A cat."),
        ("A man\n(left) sits.", "A man (left) sits."),
    ],
)
def test_lines_of_other_speakers_and_sounds_stay_lines(text, caption):
    assert [row["caption"] for row in read_cues(f"00:01,000 --> 00:02,000\n{text}\n", vtt=False)] == [caption]


def test_lines_of_a_song_keep_their_notes():
    (cue,) = read_cues("1\n00:00:01,000 --> 00:00:02,000\n♪ a song ♪\n♪ goes\\Non ♪\n\n", vtt=False)
    assert cue["before"] + cue["caption"] + cue["after"] == "♪ a song ♪\n♪ goes on ♪"
