"""Faults of pairs of sentences that no line shows alone, and with which a training ends as well as without them."""

import re
from collections.abc import Container, Sequence

from captioner.errors import DataError

Pair = tuple[str, str]

_WORD = re.compile(r"[^\W\d_]+")
_SLIPPED = 0.6  # of the difference of lengths is left one line further; about 2.5 times as much where nothing slipped
_SURE = 4.5  # standard deviations by which the difference exceeds chance, as it does not with word lists
_FEWEST = 20  # pairs that may show that they are the same text twice
_MANY = 20_000  # pairs that are looked at
_COMMON = {
    "en": "the of and is are with to while his her their at it",
    "de": "der die das ein eine einen einem und mit ist auf von im",
    "fr": "le la les un une des et dans est sur avec qui",
}


def check_sides(pairs: Sequence[Pair], name: str, *, columns: bool) -> None:
    """See that pairs are sentences and their translations.

    Args:
        pairs: some.
        name: of them.
        columns: of a table, which may have others.

    Raises:
        DataError: all are their own translations (in corrections of texts some are not), or one column has no letters.
    """
    if len(pairs) >= _FEWEST and all(source == target for source, target in pairs):
        raise DataError(f"{name}: all {len(pairs)} sentences are their own translations; name the translations' text.")
    for place, side in enumerate(("sentences", "translations")) if columns else ():
        empty = sum(not _WORD.search(pair[place]) for pair in pairs)
        if 2 * empty > len(pairs):
            raise DataError(
                f"{name}: {empty} of {len(pairs)} {side} have no letter, such as {pairs[0][place]!r}; name the columns "
                "of text, from 0, such as columns: [1, 3]."
            )


def find_slip(source: Sequence[str], target: Sequence[str], names: str) -> str:
    """A sentence that says where a line seems to be missing in one of two files of the same length, and another one in
    the other; "" if none does.

    Lines fit when their lengths differ little, as translations' do (Gale and Church, 1993). Answers to what was said
    fit one line further, too, so it is for people to decide.
    """
    sizes = [len(line) for line in source], [len(line) for line in target]
    for one, other in (sizes, sizes[::-1]):
        here = there = squares = 0
        best, place = 0, 0
        for index in range(len(one) - 2, -1, -1):
            as_it_is, further = abs(one[index] - other[index]), abs(one[index] - other[index + 1])
            here, there, squares = here + as_it_is, there + further, squares + (as_it_is - further) ** 2
            if there < _SLIPPED * here and here - there > max(best, _SURE * squares**0.5):
                best, place = here - there, index + 1
        if place:
            return (
                f"{names} seem to have slipped: from line {place} on their lengths fit each other better one line "
                "further. Compare them there; one may have a line more than the other, and lose one later."
            )
    return ""


def check_languages(pairs: Sequence[Pair], known: Container[str], name: str, language: str) -> None:
    """See that sentences, and not their translations, are in the language that is read.

    Args:
        pairs: sentences and translations.
        known: words of the language, in lower case.
        name: of the pairs.
        language: of the sentences.

    Raises:
        DataError: more words of the translations are known, by half.
    """
    shares = []
    for place in (0, 1):
        words = [word for pair in pairs[:_MANY] for word in _WORD.findall(pair[place].lower())]
        shares.append(sum(word in known for word in words) / max(1, len(words)))
    if shares[1] > max(0.1, 1.5 * shares[0]):
        raise DataError(
            f"{name}: the translations look like {language}, the language to read, and the sentences do not; exchange "
            "source and target, or the two columns."
        )


def words_of(pairs: Sequence[Pair], language: str) -> frozenset[str]:
    """Words by which the language of sentences is known: common ones, or those that stand in no translation."""
    if language in _COMMON:
        return frozenset(_COMMON[language].split())
    sides = [{word for pair in pairs[:_MANY] for word in _WORD.findall(pair[place].lower())} for place in (0, 1)]
    return frozenset(sides[0] - sides[1])
