"""Tokens of captions in any language, and sentences made of them.

Where a script writes spaces between words, a word is a token. Chinese, Japanese, Thai and their like write none, and
Korean's words are too many to number: there every character (a syllable of Hangul, a letter of Thai with its marks) is
a token, and one that follows a space begins with `▁`, as in SentencePiece, so that sentences get their spaces back.
Punctuation is left out, as it is from English captions; a sentence gets the full stop of its script.
"""

import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache

SPACE = "▁"
_APOSTROPHES = "'\u2019"
_INSIDE = frozenset("-.,'\u2019\u2010\u00b7")  # stay where letters or digits stand on both sides
_JOINERS = "\u200c\u200d"  # zero-width; Persian and Indian words hold them
_SIGNS = frozenset("%&#@\u066a")  # marks that say as much as a word
_ALONE = (
    *((0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF)),  # Thai, Lao, Burmese, Khmer
    *((0x1100, 0x11FF), (0xAC00, 0xD7FF)),  # Hangul
    *((0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x3029), (0x3038, 0x30FF)),  # Han's radicals and marks, kana
    *((0x3100, 0x312F), (0x31A0, 0x31FF), (0x3400, 0x4DBF), (0x4E00, 0x9FFF)),  # Bopomofo, Han
    *((0xF900, 0xFAFF), (0xFF66, 0xFF9D), (0x1B000, 0x1B16F), (0x20000, 0x3FFFF)),
)
"""Blocks of scripts whose characters are tokens."""
_FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}
_STOPS = (
    ((0x0900, 0x097F), "।"),  # Devanagari
    ((0x0980, 0x09FF), "।"),  # Bengali
    ((0x0E00, 0x0EFF), ""),  # Thai and Lao close with a space
    ((0x1000, 0x109F), "။"),
    ((0x1780, 0x17FF), "។"),
    ((0x0530, 0x058F), "։"),  # Armenian
    *(((first, last), "。") for first, last in _ALONE if first >= 0x2E80 and first != 0xAC00),
)


def tokenize(caption: str, *, lower: bool = True) -> list[str]:
    """The tokens of a caption.

    Args:
        caption: in any language.
        lower: write all of them in lower case.
    """
    text = unicodedata.normalize("NFC", caption.translate(_FULL_WIDTH))
    tokens: list[str] = []
    for chunk in (text.lower() if lower else text).split():
        pieces = _pieces(chunk)
        if pieces and tokens and (is_alone(pieces[0]) or is_alone(tokens[-1])):
            tokens.append(SPACE + pieces[0])
            pieces = pieces[1:]
        tokens += pieces
    return tokens


def to_sentence(tokens: Sequence[str], *, lower: bool = True) -> str:
    """Join tokens: `▁` and two words that stand beside each other make a space.

    Args:
        tokens: as `tokenize` makes them.
        lower: they are in lower case, so that the sentence gets its first letter in upper case.
    """
    text, previous = "", ""
    for token in tokens:
        glued = not previous or is_alone(token) or is_alone(previous) or previous.endswith(tuple(_APOSTROPHES))
        if token.startswith(SPACE):
            text += " " * bool(text) + token[1:]
        else:
            text += token if glued else f" {token}"
        previous = token
    if not text:
        return ""
    return (text[0].upper() + text[1:] if lower else text) + _stop(text)


def is_alone(token: str) -> bool:
    """Whether a token is a character of a script that writes no spaces, or of Hangul."""
    code = ord(token.removeprefix(SPACE)[:1] or " ")
    return code >= 0x0E00 and any(first <= code <= last for first, last in _ALONE)


def is_right_to_left(text: str) -> bool:
    """Whether the first letter that has a direction runs from right to left."""
    directions = (unicodedata.bidirectional(each) for each in text)
    return next((each for each in directions if each in ("L", "R", "AL")), "L") != "L"


@lru_cache(maxsize=1 << 17)
def _pieces(chunk: str) -> list[str]:
    return list(_cut(chunk))


def _cut(chunk: str) -> Iterator[str]:
    """The tokens of what stands between two spaces."""
    word = ""
    for place, character in enumerate(chunk):
        kind = unicodedata.category(character)[0]
        if kind == "M":  # belongs to what stands before it
            word += character
        elif is_alone(character):
            if word:
                yield word
            word = character
        elif kind in "LN" or character in _JOINERS or (character in _INSIDE and _is_inside(chunk, place)):
            if word and is_alone(word):
                yield word
                word = ""
            word += character
            if character in _APOSTROPHES:  # l'homme is two words
                yield word
                word = ""
        else:
            if word:
                yield word
            word = ""
            if kind == "S" or character in _SIGNS:
                yield character
    if word:
        yield word


def _is_inside(chunk: str, place: int) -> bool:
    """Whether a mark stands between letters or digits of a word."""
    before, after = chunk[place - 1 : place], chunk[place + 1 : place + 2]
    if not before or not after or is_alone(before) or is_alone(after):
        return False
    if chunk[place] in ".,":
        return before.isdigit() and after.isdigit()
    return unicodedata.category(before)[0] in "LMN" and unicodedata.category(after)[0] in "LN"


def _stop(text: str) -> str:
    """The full stop of the script that a text ends in."""
    last = next((character for character in reversed(text) if unicodedata.category(character)[0] in "LM"), " ")
    return next((stop for (first, end), stop in _STOPS if first <= ord(last) <= end), ".")
