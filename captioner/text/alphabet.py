"""The characters a reader of text lines knows, numbered; the blank of CTC comes first.

Texts are compared and learnt in Unicode's composed form (NFC): a letter and its accent are one character where Unicode
has one, and two in a row where it has not, such as the small e above a letter in old German print.
"""

import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from captioner.errors import DataError, ModelError

BLANK = 0


def normalise(text: str) -> str:
    """A text as readers learn and write it: NFC, every run of white space one space, none at the ends."""
    return " ".join(unicodedata.normalize("NFC", text).split())


class Alphabet:
    """A fixed list of characters; a character's id is its place in it plus one, and 0 is CTC's blank.

    Args:
        characters: in the order of their ids.

    Raises:
        ModelError: something in the list is not one character, or stands there twice.
    """

    def __init__(self, characters: Sequence[str]) -> None:
        self.characters = tuple(characters)
        self._ids = {character: place for place, character in enumerate(self.characters, start=1)}
        wrong = [each for each in self.characters if len(each) != 1]
        if wrong or len(self._ids) < len(self.characters):
            twice = [each for each, count in Counter(self.characters).items() if count > 1]
            what = f"{wrong[0]!r} is not one character" if wrong else f"{twice[0]!r} stands there twice"
            raise ModelError(f"An alphabet holds each character once; {what}.")

    @classmethod
    def build(cls, texts: Iterable[str], min_count: int = 1) -> "Alphabet":
        """Number the characters of texts, the most frequent first, equally frequent ones by code point.

        Args:
            texts: normalised.
            min_count: rarer characters are left out.

        Raises:
            DataError: no character is frequent enough.
        """
        counts = Counter(character for text in texts for character in text)
        kept = [character for character, count in counts.items() if count >= min_count]
        if not kept:
            raise DataError(
                f"None of the texts' {len(counts)} different characters occurs {min_count} times; lower min_count or "
                "give more lines."
            )
        return cls(sorted(kept, key=lambda character: (-counts[character], character)))

    def __len__(self) -> int:
        """How many classes a network tells apart: the characters and the blank."""
        return len(self.characters) + 1

    def __contains__(self, character: object) -> bool:
        return character in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alphabet) and self.characters == other.characters

    def __hash__(self) -> int:
        return hash(self.characters)

    def __repr__(self) -> str:
        return f"Alphabet({''.join(self.characters)!r})"

    def encode(self, text: str) -> list[int]:
        """The ids of a text's characters; those outside the alphabet are left out."""
        return [self._ids[character] for character in text if character in self._ids]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, none of which is the blank."""
        return "".join(self.characters[index - 1] for index in ids)

    def save(self, path: Path) -> None:
        """Write as JSON, one character a line."""
        text = json.dumps({"characters": self.characters}, ensure_ascii=False, indent=0)
        path.write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Alphabet":
        """Read what `save` wrote.

        Raises:
            ModelError: the file is missing, is not such JSON, or holds a character twice.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read ({error.strerror}); copy the whole model folder again."
            ) from error
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{path}: not JSON ({error}); copy the whole model folder again.") from error
        characters = content.get("characters") if isinstance(content, dict) else None
        if not isinstance(characters, list) or not all(isinstance(each, str) for each in characters):
            raise ModelError(f'{path}: not an alphabet, which is {{"characters": [...]}} with a list of strings.')
        try:
            return cls(characters)
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None
