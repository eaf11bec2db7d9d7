"""The only words that a reader's search may find."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from captioner.text.alphabet import normalise

if TYPE_CHECKING:  # importing it takes seconds
    from captioner.decoding.ctc import WordList
    from captioner.models.read import Reader


def word_list(lines: Iterable[str], model: "Reader") -> "WordList | None":
    """The words of lines that have only characters that a reader knows; None if there is no such word."""
    from captioner.decoding.ctc import WordList

    words = {word for line in lines for word in normalise(line).split()}
    known = [model.alphabet.encode(word) for word in sorted(words) if all(each in model.alphabet for each in word)]
    space = model.alphabet.encode(" ")
    return WordList(known, space[0] if space else None) if known else None
