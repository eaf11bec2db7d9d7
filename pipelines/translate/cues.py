"""Subtitles as they are translated: each cue's times, its text without markup, and what stands between cues, in order.

Files are read as players read them, more leniently than the formats are written down: lines of blanks part cues, cues
may follow each other without an empty line, and identifiers may be missing or wrong.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from captioner.data.tables import lines_of
from captioner.text.sentences import begins_anew

_TIMES = re.compile(r"\s*\d[\d:.,]*\s*-->")
_MARKUP = re.compile(r"(</?[A-Za-z][^<>]*>|<\d\d[\d:.]*>|\{\\[^{}]*\}| ?♪ ?)")
_VOICE = re.compile(r"\s*<v[ .][^<>]*>", re.IGNORECASE)
_ANY_VOICE = re.compile(r"</?v\b", re.IGNORECASE)
_PARTS = re.compile(r" ?♪|<br\b", re.IGNORECASE)  # of markup, what stands between words
_READING = re.compile(r"<rt\b[^<>]*>[^<>]*(?:</rt>|(?=</ruby>))", re.IGNORECASE)  # how characters are read
_LINE_END = re.compile(r"\n|(?<!:)\\(?:N|n(?![a-z]))")  # also as SubStation Alpha writes it
_REOPENED = re.compile(r"</(\w+)>(\s*)<\1>")


def read_cues(text: str, *, vtt: bool) -> Iterator[dict[str, str]]:
    """The cues of a file, and between them its other blocks, such as WebVTT's header, notes and styles.

    Args:
        text: of the file.
        vtt: it is WebVTT, where an empty line ends a cue; in SubRip the next times do.

    Yields:
        `cue` (identifier and times), `caption` (its text; a line begins where another speaker does, and around
        brackets), and `before` and `after`, the markup around it or, where they have several lines, around each of its
        lines, where there is any; or `block`, what is no cue.
    """
    lines = lines_of(text)
    times = [place for place, line in enumerate(lines) if _TIMES.match(line)]
    heads = [_head(lines, place, vtt=vtt) for place in times]
    ends = [*heads[1:], len(lines)][: len(heads)]
    yield from _blocks(lines[: heads[0] if heads else len(lines)])
    for place, head, end in zip(times, heads, ends, strict=True):
        last = place + 1
        while last < end and (lines[last].strip() or not vtt):
            last += 1
        name = [line.strip() for line in lines[head:place] if line.strip()]
        yield {"cue": "\n".join([*name, lines[place].strip()])} | _text(lines[place + 1 : last], vtt=vtt)
        yield from _blocks(lines[last:end])


def cue_text(fields: Mapping[str, str], translation: str, *, vtt: bool) -> str:
    """A cue with another text, or a block as it was."""
    if "block" in fields:
        return fields["block"]
    text = html.escape(translation, quote=False) if vtt else translation
    before, after = fields.get("before", ""), fields.get("after", "")
    if "\n" in before:  # of each line
        lines = text.split("\n")
        if len(lines) == before.count("\n") + 1:
            lines = list(map("".join, zip(before.split("\n"), lines, after.split("\n"), strict=True)))
        return "\n".join([fields["cue"], *lines])  # nobody knows whose the words are where lines were joined
    return f"{fields['cue']}\n{before}{text}{after}"


def _head(lines: Sequence[str], place: int, *, vtt: bool) -> int:
    """Where the cue with these times begins: at its identifier, which stands above them."""
    above = place - 1
    while not vtt and above > 0 and not lines[above].strip():
        above -= 1
    if above < 0 or not lines[above].strip() or _TIMES.match(lines[above]):
        return place
    numbered = lines[above].strip().isdigit()
    named = above == place - 1 and (above == 0 or not lines[above - 1].strip())
    return above if numbered or named else place


def _blocks(lines: Sequence[str]) -> Iterator[dict[str, str]]:
    text = "\n".join(line if line.strip() else "" for line in lines).strip("\n")
    for block in re.split(r"\n{2,}", text) if text else []:
        yield {"block": block}


def _text(lines: Sequence[str], *, vtt: bool) -> dict[str, str]:
    """What `read_cues` says of a cue's lines."""
    voices = [place for place, line in enumerate(lines) if _VOICE.match(line)]
    if vtt and len(voices) > 1 and voices[0] == 0:
        each = [_text(lines[first:last], vtt=vtt) for first, last in pairwise([*voices, len(lines)])]
        if not any("\n" in fields["caption"] for fields in each):
            return {key: "\n".join(fields.get(key, "") for fields in each) for key in ("caption", "before", "after")}
    joined = ended = ""
    lines = _LINE_END.split(_READING.sub("", "\n".join(lines)))
    for line in filter(None, (" ".join(line.split()) for line in lines)):
        plain = _MARKUP.sub("", line).strip()
        plain = html.unescape(plain) if vtt else plain
        anew = begins_anew(plain, ended) or (line.startswith("♪") and joined.endswith("♪"))
        joined += (("\n" if anew else " ") if joined else "") + line
        ended = plain
    parts = _MARKUP.split(_REOPENED.sub(r"\2", joined))  # text and markup in turns
    texts = [place for place, part in enumerate(parts) if place % 2 == 0 and part.strip()]
    first, last = (texts[0], texts[-1]) if texts else (len(parts), len(parts))
    before, inside, after = parts[:first], parts[first : last + 1], parts[last + 1 :]
    if len(voices) > 1:  # whose words would all be the first one's
        before, after = ([part for part in each if not _ANY_VOICE.match(part)] for each in (before, after))
    several = "\n" in joined  # lines, each of which keeps its notes
    if len(inside) > 1:  # markup of single words, whose translations may stand elsewhere
        notes = [part for part in after if several and "♪" in part]
        before = [part for part in before if part.startswith("{") or _VOICE.match(part) or (several and "♪" in part)]
        after = [*notes, *["</v>"] * ("</v>" in after and any(map(_VOICE.match, before)))]
    inside[1::2] = [part if several and "♪" in part else " " if _PARTS.match(part) else "" for part in inside[1::2]]
    text = "\n".join(" ".join(line.split()) for line in "".join(inside).split("\n"))
    fields = {"caption": html.unescape(text) if vtt else text, "before": "".join(before), "after": "".join(after)}
    return {key: value for key, value in fields.items() if value or key == "caption"}
