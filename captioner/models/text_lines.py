"""What a reader is given and what it gives: a line as its network sees it, and the text with each character's place."""

from dataclasses import dataclass

from captioner.vision.images import Pixels


@dataclass(frozen=True)
class Character:
    """A character where it stands.

    Attributes:
        text: the character.
        score: its probability in the column that shows it best.
        start: of the columns that show it, as a share of the picture's width.
        end: of them.
    """

    text: str
    score: float
    start: float
    end: float


@dataclass(frozen=True)
class TextLine:
    """What a model reads in a picture.

    Attributes:
        text: in NFC, without white space at its ends.
        score: the probability that all of it is right, as measured on validation lines.
        characters: where each stands.
        warning: what is odd about the picture, or None.
    """

    text: str
    score: float
    characters: tuple[Character, ...]
    warning: str | None = None


@dataclass(frozen=True)
class PreparedLine:
    """A picture as the network sees it.

    Attributes:
        pixels: (height, width), grey; behind the picture there may be more of its background.
        extent: width of the picture itself in these pixels.
        warning: what is odd about the picture, or None.
    """

    pixels: Pixels
    extent: int
    warning: str | None = None
