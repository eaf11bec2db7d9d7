"""Fonts for synthetic lines: which characters each can draw, so that no line ever shows an empty box for a letter."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

from captioner.errors import DataError

SUFFIXES = (".ttf", ".otf", ".ttc")
_SIZE = 32  # of the letters that are looked at
_ALIKE = 3  # characters that may have one shape


@dataclass(frozen=True)
class Font:
    """A font file.

    Attributes:
        path: of the file.
        characters: that it draws.
        capitals: its small letters are drawn as capitals, so texts are written in capitals.
    """

    path: Path
    characters: frozenset[str]
    capitals: bool

    def draws(self, text: str) -> bool:
        """Whether it has a shape for each character but the space."""
        return self.characters.issuperset(text.replace(" ", ""))


@dataclass(frozen=True)
class FontSet:
    """Fonts that can be used, and why others cannot, a sentence each."""

    fonts: tuple[Font, ...]
    problems: tuple[str, ...]


def find_fonts(places: Sequence[Path], characters: Iterable[str], exclude: Sequence[str] = ()) -> FontSet:
    """The fonts in files and folders that draw all of some characters, or nearly all.

    Args:
        places: font files, and folders that are searched with all below them.
        characters: that texts will have; a font that lacks more than half of them is left out.
        exclude: parts of file names that are passed over, such as `Symbol`.

    Raises:
        DataError: a place does not exist, or no font is left.
    """
    wanted = sorted(set(characters) - {" "})
    fonts, problems = [], []
    for path in _font_files(places):
        if any(part.lower() in path.name.lower() for part in exclude):
            continue
        try:
            font = _inspect(path, wanted)
        except Exception as error:  # damaged fonts raise nearly anything in fontTools and FreeType
            problems.append(f"{path}: cannot be loaded as a font ({error}); it is left out.")
            continue
        if 2 * len(font.characters) < len(wanted):
            problems.append(
                f"{path}: has {len(font.characters)} of the {len(wanted)} characters that are wanted; it is left out."
            )
        else:
            fonts.append(font)
    if not fonts:
        where = ", ".join(map(str, places))
        raise DataError(f"{where}: no font there draws the texts' characters. {' '.join(problems[:2])}".rstrip())
    return FontSet(tuple(fonts), tuple(problems))


@lru_cache(maxsize=4096)
def load_font(path: Path, size: int) -> ImageFont.FreeTypeFont:
    """A font in a size, in pixels."""
    return ImageFont.truetype(str(path), size, layout_engine=ImageFont.Layout.BASIC)


def _font_files(places: Sequence[Path]) -> list[Path]:
    files = []
    for place in places:
        if place.is_dir():
            files += sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES)
        elif place.is_file():
            files.append(place)
        else:
            raise DataError(f"{place}: there is no such font or folder of fonts.")
    return files


def _inspect(path: Path, wanted: Sequence[str]) -> Font:
    from fontTools.ttLib import TTFont

    with TTFont(path, fontNumber=0, lazy=True) as tables:
        mapped = tables.getBestCmap() or {}
    drawn = ImageFont.truetype(str(path), _SIZE, layout_engine=ImageFont.Layout.BASIC)
    shapes = {character: bytes(drawn.getmask(character)) for character in wanted if ord(character) in mapped}
    absent = bytes(drawn.getmask("\uffff"))  # the box, or whatever the font has for what it lacks
    # fonts of last resort draw one box for all letters of a script; in others a small letter and its capital may agree
    counts = Counter(shapes.values())
    present = {
        character for character, shape in shapes.items() if any(shape) and shape != absent and counts[shape] <= _ALIKE
    }
    letters = [character for character in "aegrt" if character in present and character.upper() in present]
    capitals = bool(letters) and all(shapes[letter] == shapes[letter.upper()] for letter in letters)
    return Font(path, frozenset(present), capitals)
