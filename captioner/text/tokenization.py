"""How captions become tokens and tokens captions; a vocabulary says which way its words were made."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from captioner.text import english, ptb, unicode_words

Scheme = Literal["ptb", "unicode"]


@dataclass(frozen=True)
class Tokenization:
    """A way to make tokens.

    Attributes:
        scheme: `ptb` are the tokens of COCO's official scorer, for English; `unicode` those of `unicode_words`, for
            any language.
        lower: whether tokens are in lower case, which those of `ptb` always are.
    """

    scheme: Scheme = "ptb"
    lower: bool = True

    def tokenize(self, caption: str) -> list[str]:
        """The tokens of one caption."""
        return ptb.tokenize(caption) if self.scheme == "ptb" else unicode_words.tokenize(caption, lower=self.lower)

    def tokenize_lines(self, captions: Sequence[str]) -> list[str]:
        """The tokens of captions, each in one line, as the official scorer reads them one after the other."""
        if self.scheme == "ptb":
            return ptb.tokenize_lines(captions)
        return [" ".join(self.tokenize(caption)) for caption in captions]

    def to_sentence(self, tokens: Sequence[str]) -> str:
        """What a reader sees."""
        if self.scheme == "ptb":
            return english.to_sentence(tokens)
        return unicode_words.to_sentence(tokens, lower=self.lower)

    def __str__(self) -> str:
        """Its name in signatures."""
        return "ptb-3.4.1" if self.scheme == "ptb" else f"unicode-1{'' if self.lower else '-cased'}"


PTB = Tokenization()
TOKENIZATIONS = {
    "ptb": PTB,
    "unicode": Tokenization("unicode"),
    "unicode-cased": Tokenization("unicode", lower=False),
}
"""All there are, by the names that options give them."""


def without_spaces(captions: Iterable[str]) -> str | None:
    """One of the captions that `ptb` cannot cut, being in a script without spaces between words, if most are."""
    found, count = [], 0
    for caption in captions:
        count += 1
        letters = [character for character in caption if character.isalpha()]
        if 2 * sum(map(unicode_words.is_alone, letters)) > max(len(letters), 1):
            found.append(caption)
    return found[0] if 2 * len(found) > count else None
