"""Penn Treebank tokens exactly as the official COCO caption scorer makes them, without Java.

The scorer runs Stanford CoreNLP 3.4.1's PTBTokenizer with `-preserveLines -lowerCase` over all captions as the lines of
one file, and drops a list of punctuation.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import chain

from captioner.text.ptb_rules import CHARACTERS, NUMBER_ABBREVIATIONS, any_of, lex

# The scorer's list has brackets in capitals, but lower-casing comes first: -lrb- and its kin therefore stay.
PUNCTUATION = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";", ""])

# A single letter with a full stop ends its sentence before a word that begins one: "the letter P. The".
_SENTENCE_STARTERS = """
    a about according additionally after an as at but earlier he her here however if in it last many more mr. ms. now
    once one other our she since so some such that the their then there these they this we what when while yet you
"""


def tokenize(caption: str) -> list[str]:
    """Split a caption into the lower-case tokens that the official scorer counts.

    Args:
        caption: one caption; line breaks count as spaces.

    Returns:
        Tokens without white space, without the scorer's punctuation.
    """
    return tokenize_line(caption).split()


def tokenize_lines(captions: Sequence[str]) -> list[str]:
    """Tokenise captions as the scorer does, one after the other in one file; see `tokenize_line`."""
    lines: list[str] = []
    following = ""
    for caption in reversed(captions):
        lines.append(tokenize_line(caption, following))
        if caption and not caption.isspace():
            following = caption
    return lines[::-1]


def tokenize_line(caption: str, following: str = "") -> str:
    """Tokenise a caption to one line, tokens separated by single spaces, as the official scorer keeps it.

    "1 1/2" is a single token there, with a no-break space, which BLEU and CIDEr-D split and ROUGE-L does not.

    Args:
        caption: one caption; line breaks count as spaces.
        following: what the scorer reads next. It matters after a last word like "P.", which keeps its full stop unless
            a sentence begins.
    """
    if not caption.isascii():
        caption = caption.translate(CHARACTERS)
    try:
        return " ".join(chain.from_iterable(map(_tokens_alone, caption.split())))
    except _NeedsContext:
        return " ".join(chain.from_iterable(map(_tokens, _parts(caption, following))))


_LAST_LETTER = re.compile(r"(?<![^\W_])(?<!(?<![^\W_])[A-Za-z]\.)[A-Za-z]\.$")
_BEFORE_NUMBER = re.compile(rf"(?<![^\W_])(?i:{any_of(NUMBER_ABBREVIATIONS)})\.$")
_NEEDS_CONTEXT = re.compile(rf"[0-9<>]|{_LAST_LETTER.pattern}|{_BEFORE_NUMBER.pattern}")
_STARTERS = frozenset(_SENTENCE_STARTERS.split())


class _NeedsContext(Exception):
    """A word whose tokens depend on its neighbours."""


@lru_cache(maxsize=1 << 17)
def _tokens_alone(word: str) -> tuple[str, ...]:
    if _NEEDS_CONTEXT.search(word):
        raise _NeedsContext
    return _tokens(word)


@lru_cache(maxsize=1 << 16)
def _tokens(text: str) -> tuple[str, ...]:
    return tuple(token for token in lex(text) if token not in PUNCTUATION)


def _parts(caption: str, following: str) -> Iterator[str]:
    """Cut a line at white space, except within mixed numbers, telephone numbers and tags."""
    if "<" in caption and ">" in caption:
        yield caption
        return
    part, end = "", 0
    for match in re.finditer(r"\S+", caption):
        word = match[0]
        joins = part[-1:] in "0123456789)" and word[0] in "0123456789(" and match.start() == end + 1
        if part and joins:
            part += f" {word}"
        else:
            if part:
                yield _before(part, word)
            part = word
        end = match.end()
    if part:
        yield _before(part, next(iter(following.split(maxsplit=1)), ""))


def _before(part: str, word: str) -> str:
    """A part of a line so that it alone gives the tokens it has before `word`."""
    if _LAST_LETTER.search(part) and word[:1].isupper() and word.lower() in _STARTERS:
        return part[:-1]
    if word[:1].isdigit() and _BEFORE_NUMBER.search(part):
        return f"{part},"  # before a comma, too, the full stop stays
    return part
