"""Texts as the sentences in them, written as a model that learnt from whole sentences knows them.

A translator that has met nothing but `A dog runs.` says things twice when it reads `a dog runs`, and leaves out the
second of two sentences.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

_WHOLE = 0.75  # share of whole sentences in what was learnt from; 0.95 in Multi30k, 0.9 with captions of COCO besides
_QUOTES = "\"'”’»)\\]"
_END = re.compile(rf"[.!?…。！？][{_QUOTES}]*$")
_MARK = r"(?:[-–—‐‑•*]\s*|\d{1,3}[.)]\s+)"
_GAP = re.compile(rf"(?:(?<=[.!?…])|(?<=[.!?…][{_QUOTES}]))[ \n]|\n(?={_MARK})")
_SHORT = re.compile(
    r"(?:^|\W)(?:\w|Mrs?|Ms|Dr|St|Jr|Sr|Mt|Lt|Sgt|Capt|Gen|Col|Prof|Rev|vs|Inc|Ltd|Co|Corp|Ave)\.$", re.IGNORECASE
)
"""Initials and frequent abbreviations, whose stop ends no sentence."""


@dataclass(frozen=True)
class Sentence:
    """A sentence of a text.

    Attributes:
        gap: what parts it from the one before: a space, a line's end, or nothing before the first.
        mark: the dash with which another speaker begins, the number or bullet of a list, or all that has no letter.
        text: what follows, as it stands.
    """

    gap: str
    mark: str
    text: str

    @property
    def whole(self) -> str:
        """The text from a capital letter to a mark at the end, and not all in capitals."""
        text = self.text.lower() if self.text.isupper() and " " in self.text else self.text
        first = next((place for place, character in enumerate(text) if character.isalnum()), None)
        if first is not None:
            text = text[:first] + text[first].upper() + text[first + 1 :]
        return text if self.stopped else f"{text}."

    @property
    def stopped(self) -> bool:
        """Whether it needs no full stop: it ends with a mark, or with nothing that one could follow."""
        return bool(_END.search(self.text)) or not self.text.rstrip("\"'”’»)]")[-1:].isalnum()


def sentences_of(text: str) -> list[Sentence]:
    """The sentences in a text, one at least; a line that begins with a dash, a bullet or a number begins one."""
    lines = (" ".join(line.split()) for line in text.split("\n"))
    text = "\n".join(line for line in lines if line)
    parts, gap, start = [], "", 0
    lower = text == text.lower()  # else a sentence begins with a capital, or what has none
    for match in _GAP.finditer(text):
        following = next((letter for letter in text[match.end() : match.end() + 4] if letter.isalnum()), "a")
        goes_on = _SHORT.search(text[max(start, match.start() - 8) : match.start()]) or (
            following.islower() and not lower
        )
        if goes_on and "\n" not in match[0]:
            continue
        parts.append(_sentence(gap, text[start : match.start()]))
        gap, start = match[0], match.end()
    return [*parts, _sentence(gap, text[start:])]


def are_whole(lines: Iterable[str]) -> bool:
    """Whether lines are whole single sentences, but for a few."""
    found = [len(parts) == 1 and parts[0].whole == parts[0].text for parts in map(sentences_of, lines)]
    return sum(found) >= _WHOLE * len(found)


def _sentence(gap: str, text: str) -> Sentence:
    mark = re.match(_MARK, text)
    end = mark.end() if mark else 0
    if not any(map(str.isalpha, text)):
        end = len(text)
    return Sentence(gap, text[:end], text[end:])
