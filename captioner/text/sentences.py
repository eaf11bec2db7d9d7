"""Texts as the sentences in them, written as a model that learnt from whole sentences knows them.

A translator that has met nothing but `A dog runs.` says things twice when it reads `a dog runs`, and leaves out the
second of two sentences.
"""

import re
import unicodedata
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace

_WHOLE = 0.75  # share of whole sentences in what was learnt from; 0.95 in Multi30k, 0.9 with captions of COCO besides
_QUOTES = "\"'”’»“)\\]"
STOPS = (".", "。", "।")
"""Full stops, of Latin letters and most others, of Chinese and Japanese, and of Devanagari."""
_END = re.compile(rf"[.!?…。！？।؟۔][{_QUOTES}」』]*$")
_STOP_OF = [(re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]"), "。"), (re.compile(r"[\u0900-\u097f]"), "।")]
_CAPITAL = "A-ZÀ-ÖØ-ÞΑ-ΩА-ЯЁ"
# notes of music, arrows and emoji, but no letters in circles
_SIGNS = "\u2190-\u245f\u2500-\u2bff\u3030\ufe0f\u200d\u20e3\U0001f000-\U0001f0ff\U0001f1e6-\U0001faff"
_LABEL = rf"[{_CAPITAL}][\w.'’-]*(?: [{_CAPITAL}\d][\w.'’-]*){{0,2}}:\s+(?=[^\n]*[^\W\d_])"
_SPEAKS = rf"(?:[-–—‐‑•]\s*|\*\s+|>{{1,3}}\s*|#+\s+|[{_SIGNS}]\s*)"  # begins something else wherever it stands
_NUMBER = r"\d{1,3}[.)]\s+"
_DOTS = r"(?:\.{2,}|…)\s*"
_MARKS = re.compile(rf"(?:{_SPEAKS}|{_NUMBER}|{_DOTS})*")
_TAIL = re.compile(rf"[\s.!?…{_SIGNS}]")  # characters of which a tail is made
_LAST_MARK = re.compile(r"\s*[.!?](?![.!?…])")
_QUOTED = re.compile(r"([\"“„«*]\s*)([^\"“”„«»*\s](?:[^\"“”„«»*]*[^\"“”„«»*\s])?)(\s*[\"“”»*])")
_HASHTAG = re.compile(r"#[^\W\d]\w*$")
_ASIDE = re.compile(r"\[[^\[\]\n]*\]|\([^()\n]*\)")
_LINE = re.compile(rf"{_SPEAKS}|\[|\([^()\n]*\)\s*$")
_ITEM = re.compile(rf"{_NUMBER}|{_DOTS}|{_LABEL}")
_LISTED = re.compile(rf"{_NUMBER}|{_LABEL}")
_NAME = re.compile(_LABEL)
_COPIED = re.compile(r"([^\W\d_][\w.'’ -]*):\s+$")
_ENDED = re.compile(rf"[.!?…:][{_QUOTES}]*$")
_GAP = re.compile(
    rf"(?:(?<=[.!?…])|(?<=[.!?…][{_QUOTES}])|(?<=[.!?…] »))[ \n](?!»)"
    r"|(?<=[a-zß-ÿ]{2}[.!?])(?=(?:An?|The|This|That|There|It|He|She|They|We|I|One|Two|Three|Some|In|On)\s)"
    rf"|(?<=[。！？])(?=[^\s{_QUOTES}」』。！？…])"
    r"|(?<=[।؟۔]) "
)
_SHORT = re.compile(
    r"(?:^|\W)(?:\w|Mrs?|Ms|Dr|St|Jr|Sr|Mt|Lt|Sgt|Capt|Gen|Col|Prof|Rev|vs|Inc|Ltd|Co|Corp|Ave)\.$", re.IGNORECASE
)
"""Initials and frequent abbreviations, whose stop ends no sentence."""
_NUMBERED = re.compile(r"(?:^|\W)(?:nos?|nr|figs?|vol|pp|approx|ca|ch)\.$", re.IGNORECASE)
"""Abbreviations whose stop ends no sentence before a number."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text.

    Attributes:
        gap: what parts it from the one before: a space, a line's end, or nothing before the first.
        mark: what stands before it and is no part of it: the dash or the name of who speaks, the number or bullet of a
            list, a note of music, an opening bracket or quotation mark; or all that has no letter.
        text: what follows, as it stands.
        tail: what stands behind it: an ellipsis, several marks at once, emoji, hashtags behind its end, a closing
            bracket or quotation mark.
    """

    gap: str
    mark: str
    text: str
    tail: str = ""

    @property
    def whole(self) -> str:
        """The text from a capital letter to a mark at the end, and not all in capitals."""
        text = self.text.lower() if self.text.isupper() and " " in self.text else self.text
        first = next((place for place, character in enumerate(text) if character.isalnum()), None)
        if first is not None:
            text = text[:first] + text[first].upper() + text[first + 1 :]
        return text if self.stopped else text + next((stop for form, stop in _STOP_OF if form.match(self._last)), ".")

    @property
    def stopped(self) -> bool:
        """Whether it needs no full stop: it ends with a mark, or with nothing that one could follow."""
        return bool(_END.search(self.text)) or not (self._last and unicodedata.category(self._last)[0] in "LMN")

    @property
    def _last(self) -> str:
        """The last character but for quotation marks and brackets, which may be a vowel that is a sign."""
        return self.text.rstrip("\"'”’»)]")[-1:]


def sentences_of(text: str) -> list[Sentence]:
    """The sentences in a text, one at least; a line that `begins_anew` begins one.

    What stands in brackets before or between sentences is a sentence of its own, and so is what stands in square ones
    behind: `[door opens] A man walks in.`
    """
    lower = text == text.lower()  # else a sentence begins with a capital, or what has none
    parts, before = [], ""
    for block in _blocks(text):
        start, gap = 0, before
        for match in _gaps(block, lower=lower):
            parts += _with_asides(gap, block[start : match.start()])
            start, gap = match.end(), match[0]
        parts += _with_asides(gap, block[start:])
        before = "\n"
    return parts


def copied_label(sentence: Sentence, familiar: Container[str]) -> str:
    """What stands before a sentence and a colon, if it is no name: `Foreground` is copied, as `Anna` and `ANNA` are.

    Args:
        sentence: with its mark.
        familiar: words in lower case.

    Returns:
        the words; "" if there are none.
    """
    label = _COPIED.search(sentence.mark)
    if label is None or label[1].isupper() or not any(word in familiar for word in label[1].lower().split()):
        return ""
    return label[1]


def begins_anew(line: str, before: str) -> bool:
    """Whether a line of a text does not go on where the line before it ended.

    It is another's words or another item (it begins with a dash or a bullet, or with a number or a name and a colon
    where the line before has ended), or it or the one before it stands in brackets.
    """
    if _LINE.match(line) or _ASIDE.fullmatch(before[_marks(before) :]):
        return True
    return bool(_ITEM.match(line) and (_ENDED.search(before) or _LISTED.match(before)))


def are_whole(lines: Iterable[str]) -> bool:
    """Whether lines are whole single sentences, but for a few."""
    found = [len(parts) == 1 and parts[0].whole == parts[0].text for parts in map(sentences_of, lines)]
    return sum(found) >= _WHOLE * len(found)


def _blocks(text: str) -> list[str]:
    """The lines of a text with single spaces, those that go on where one ended joined to it by its end."""
    lines = [line for line in (" ".join(line.split()) for line in text.split("\n")) if line] or [""]
    blocks, before = [[lines[0]]], lines[0]
    for line in lines[1:]:
        if begins_anew(line, before):
            blocks.append([])
        blocks[-1].append(line)
        before = line
    return list(map("\n".join, blocks))


def _gaps(text: str, *, lower: bool) -> Iterator[re.Match[str]]:
    """What parts the sentences of a text, none of which ends in brackets."""
    text = _ASIDE.sub(lambda match: match[0].replace(" ", "_"), text)
    for match in _GAP.finditer(text):
        ended, following = text[max(0, match.start() - 8) : match.start()], text[match.end() : match.end() + 4]
        first = next((letter for letter in following if letter.isalnum()), "a")
        goes_on = (
            _SHORT.search(ended)
            or (first.isdigit() and _NUMBERED.search(ended))
            or (first.islower() and not lower and not following.startswith(("[", "(")))
        )
        if not goes_on or "\n" in match[0]:
            yield match


def _with_asides(gap: str, text: str) -> list[Sentence]:
    """A sentence, with what stands in brackets before and behind it as sentences of their own."""
    before: list[Sentence] = []
    behind: list[Sentence] = []
    while (start := _opening(text)) is not None:
        before += _inside(gap, *start)
        text, gap = text[sum(map(len, start)) :].lstrip(), " "
        if not text:
            return before
    while (place := text.rfind(" [")) > 0 and _ASIDE.fullmatch(text, place + 1) and _ENDED.search(text[:place]):
        behind = [*_inside(" ", "", text[place + 1 :], ""), *behind]
        text = text[:place]
    return [*before, _sentence(gap, text), *behind]


def _opening(text: str) -> tuple[str, str, str] | None:
    """The marks, the brackets and the stop with which a text begins, if a sentence of its own stands in them."""
    first = _marks(text)
    match = _ASIDE.match(text, first)
    if match is None or sum(map(str.isalpha, match[0])) == 1:  # "[A] dog"
        return None
    stop = re.compile(r"[.!?…]*(?=\s|$)").match(text, match.end())
    return None if stop is None else (text[:first], match[0], stop[0])


def _inside(gap: str, mark: str, brackets: str, stop: str) -> list[Sentence]:
    """The sentences in brackets, the first of which has the opening one before it, and the last the closing one."""
    inner = brackets[1:-1].strip()
    if not any(map(str.isalpha, inner)):
        return [Sentence(gap, f"{mark}{brackets}{stop}", "")]
    opening, closing = brackets[1:].partition(inner[0])[0], brackets[:-1].rpartition(inner[-1])[2]
    parts = sentences_of(inner)
    parts[0] = replace(parts[0], gap=gap, mark=f"{mark}{brackets[0]}{opening}{parts[0].mark}")
    return [*parts[:-1], replace(parts[-1], tail=f"{parts[-1].tail}{closing}{brackets[-1]}{stop}")]


def _sentence(gap: str, text: str) -> Sentence:
    if not any(map(str.isalpha, text)):
        return Sentence(gap, text, "")
    first = _marks(text)
    quoted = _QUOTED.fullmatch(text, first)
    if quoted:
        inner = _sentence("", quoted[2])
        return replace(inner, gap=gap, mark=f"{text[:first]}{quoted[1]}{inner.mark}", tail=f"{inner.tail}{quoted[3]}")
    last = _before_hashtags(text, first)
    while last > first and (_TAIL.match(text, last - 1) or (text[last - 1] == "#" and "#" in text[:first])):
        last -= 1
    stop = _LAST_MARK.match(text, last)
    end = stop.end() if stop else last
    if first == end:  # nothing but hashtags
        return Sentence(gap, text, "")
    return Sentence(gap, text[:first], text[first:end], text[end:])


def _before_hashtags(text: str, first: int) -> int:
    """Where those end a text that are no words of its sentence: several, or one behind its end."""
    last, several = len(text), 0
    while _HASHTAG.match(text, place := max(text.rfind(" ", first, last), first - 1) + 1, last):
        last, several = max(place - 1, first), several + 1
    return last if several != 1 or last == first or _TAIL.match(text, last - 1) else len(text)


def _marks(text: str) -> int:
    """Where what stands before a sentence ends."""
    match = _MARKS.match(text)
    end = match.end() if match else 0
    label = _NAME.match(text, end)
    if label:
        end = label.end()
        match = _MARKS.match(text, end)
        end = match.end() if match else end
    return end
