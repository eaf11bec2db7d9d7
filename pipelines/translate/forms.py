"""What a text is by how it begins, where no suffix says it: a form that is translated, or one that is not."""

import re
from typing import Literal

from captioner.data.tables import lines_of
from captioner.errors import DataError

Kind = Literal["text", "json", "csv", "srt", "vtt"]

_TIMES = r"\d+:\d\d[.,]\d+\s*-->\s*\d"
_STARTS: list[tuple[str, Kind]] = [
    (rf"WEBVTT(?=\s|$)(?:\s*$|[^\n]*\n(?s:.*?){_TIMES})", "vtt"),
    (rf"(\d+\s+)?(\d+:)?{_TIMES}", "srt"),
]
_TAGS = r"(?:\[(?:ti|ar|al|au|by|re|ve|length|offset):[^\n]*\n\s*)*"
_LRC = r"\[\d+:\d\d\.\d+\]"  # its times
_CONVERT = "convert them, such as with: ffmpeg -i FILE out.srt"
_OTHERS = [
    (r"\[Script Info\]", f"holds subtitles of SubStation Alpha; {_CONVERT}"),
    (r"\d+:\d\d:\d\d\.\d+,\d+:\d\d:\d\d\.\d+\s", f"holds subtitles of YouTube (SBV); {_CONVERT}"),
    (r"\{\d+\}\{\d+\}", f"holds subtitles of MicroDVD; {_CONVERT}"),
    (rf"\[(\d+:)?{_TIMES}", "holds Whisper's lines with times; have it write .srt (--output_format srt)"),
    (rf"{_TAGS}{_LRC}(?:\S|[^\n]*\n\s*{_LRC})", f"holds lyrics with times (LRC); {_CONVERT}"),
    (r"(?i)<!doctype|<html|<\?xml|<tt[ >]", "holds a page or XML; save its text as text, subtitles as .srt"),
    (r"\{\\rtf", "holds a document in RTF; save it as text"),
    (r"PK\x03\x04|%PDF-", "holds a document; save it as text"),
]
"""How other forms begin, of which each line would be read as a sentence."""


def column_mark(first: str) -> str | None:
    """What parts the cells of a table whose first line has a column named caption; None if it has none."""
    return next((mark for mark in ",;\t" if re.search(rf"(^|{mark})\"?caption(_\d+)?\"?({mark}|$)", first)), None)


def form_of(text: str) -> Kind:
    """The form of a text that is not blank.

    Raises:
        DataError: it is of one that cannot be translated; the message does not name the file.
    """
    text = text.lstrip()
    for start, reason in _OTHERS:
        if re.match(start, text):
            raise DataError(reason)
    kind = next((kind for start, kind in _STARTS if re.match(start, text)), None)
    if kind is not None:
        return kind
    first = lines_of(text)[0].strip()
    if re.match(r"(?:\[\s*)?\{\s*(?:\"[^\"]*\"\s*:|\}|$)", text, re.MULTILINE):
        return "json"
    mark = column_mark(first)
    return "csv" if mark is not None and mark in first else "text"
