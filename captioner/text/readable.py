"""Texts in characters that a vocabulary has: what it lacks is written otherwise, or left out and named.

A piece that stands for any unknown character was never learnt from, so that one emoji makes a whole sentence another.
"""

import html
import re
import unicodedata
from collections.abc import Container

_TAGS = "b|i|u|s|em|strong|small|big|sub|sup|span|font|mark|a|p|div|br|hr|li|ul|ol|h[1-6]"
_VALUE = r"\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+"
_TAG = re.compile(rf"</?(?:{_TAGS})(?:\s+[\w:-]+\s*=\s*(?:{_VALUE}))*\s*/?>", re.IGNORECASE)
_BREAK = re.compile(r"</?(?:p|div|br|hr|li|h[1-6])\b", re.IGNORECASE)
_SHOUTED = re.compile(r"\b[A-Z]{2,}(?: [A-Z]+\b)+|\b[A-Z]{4,}\b")
_REFERENCE = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,30});")


def without_markup(text: str) -> str:
    """A text less the tags of HTML, whose references (`&amp;`) are the characters that they stand for."""
    if "<" in text:
        text = _TAG.sub(lambda match: " " if _BREAK.match(match[0]) else "", text)
    return _REFERENCE.sub(lambda match: html.unescape(match[0]), text) if "&" in text else text


def in_small_letters(text: str, familiar: Container[str]) -> str:
    """A text whose capital letters only some words shout, these in small letters if they are words that are known.

    A single word needs four letters, since `US` and `IT` are no *us* and *it*; the words of a run need not. A text that
    is all in capitals stays.

    Args:
        text: any.
        familiar: words in small letters.
    """
    if text.isupper():
        return text
    return _SHOUTED.sub(
        lambda run: " ".join(word.lower() if word.lower() in familiar else word for word in run[0].split(" ")), text
    )


def readable(text: str, known: Container[str]) -> tuple[str, list[str]]:
    """A text without the characters that a vocabulary lacks.

    What Unicode writes with other characters is written so (`½`, `ñ`), unknown
    capitals are small letters, dashes are hyphens, and other signs are left out;
    letters stay, since a sentence without a word of it is another one.

    Args:
        text: in NFC, as the vocabulary's rules write it.
        known: its characters.

    Returns:
        the text, and the letters and symbols that people may miss in its translation, each once.
    """
    written: list[str] = []
    missed: list[str] = []
    if text.isupper() and not all(each in known for each in text if each.isalpha()):
        text = text.lower()
    for character in text:
        if character in known or character == " ":
            written.append(character)
            continue
        behind_digit = bool(written) and written[-1][-1:].isdigit()
        plain = next((each for each in _others(character) if all(part in known or part == " " for part in each)), None)
        category = unicodedata.category(character)
        if category == "No" and behind_digit:  # 2½ is no 21/2, and 10² no 102
            written.append(f" {plain}" if plain and "/" in plain else " ")
            if not (plain and "/" in plain):
                missed.append(character)
            continue
        if plain is not None:
            written.append(plain)
            continue
        if category[0] in "LN" or category == "Mc":
            written.append(character)
        else:
            written.append(
                " - " if category == "Pd" and "-" in known else "" if category in ("Cf", "Mn", "Me") else " "
            )
        if category[0] in "LS" and not character.isascii():
            missed.append(character)
    return " ".join("".join(written).split()), list(dict.fromkeys(missed))


def _others(character: str) -> list[str]:
    """How Unicode writes a character with others, less its accents, and its lower case."""
    parts = unicodedata.normalize("NFKD", character).replace("\u2044", "/")
    plain = "".join(each for each in parts if unicodedata.category(each) != "Mn")
    return [each for each in (plain, character.lower(), plain.lower()) if each]
