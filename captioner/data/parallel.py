"""Sentences with their translations: two text files aligned line by line, or one table."""

from collections.abc import Sequence
from pathlib import Path

from captioner.data.files import read_unpacked
from captioner.data.pair_checks import check_sides
from captioner.data.tables import decoded, lines_of
from captioner.errors import DataError
from captioner.text.unicode_words import is_alone

Pair = tuple[str, str]


def read_pairs(source: Path, target: Path) -> list[Pair]:
    """Read two aligned text files, plain or gzipped; a pair with an empty side is left out.

    Raises:
        DataError: a file cannot be read or is empty, the two have different numbers of lines, of which the message says
            where they may have slipped, or are the same text.
    """
    read, written = read_lines(source), read_lines(target)
    if len(read) != len(written):
        raise DataError(
            f"{source} has {len(read)} lines, but {target} has {len(written)}; they may have slipped at line "
            f"{_slip(read, written)}, where their lengths stop fitting each other."
        )
    return _kept(list(zip(read, written, strict=True)), f"{source} and {target}", columns=False)


def read_table(path: Path, columns: tuple[int, int] = (0, 1)) -> list[Pair]:
    """Read a table of tab-separated columns, plain or gzipped, such as Tatoeba's exports.

    Args:
        path: of the table; every line has the same meaning, so a line with names of columns is one more pair.
        columns: places of the sentence and its translation, from 0.

    Raises:
        DataError: the file cannot be read, a line has too few columns, of which the first one is named, or the columns
            are no translations.
    """
    pairs = []
    for number, line in enumerate(_lines(path), 1):
        cells = line.split("\t")  # an empty cell at either end stays one, so that no column takes another's place
        if line.strip() and len(cells) <= max(columns):
            raise DataError(
                f"{path}: line {number} has {len(cells)} columns; the sentence is read from column {columns[0] + 1} "
                f"and its translation from column {columns[1] + 1}."
            )
        if line.strip():
            pairs.append((cells[columns[0]].strip(), cells[columns[1]].strip()))
    quoted = sum(all(map(_is_quoted, pair)) for pair in pairs)
    if 2 * quoted > len(pairs):  # as spreadsheets write cells
        pairs = [(_unquoted(source), _unquoted(target)) for source, target in pairs]
    return _kept(pairs, str(path), columns=True)


def filter_lengths(pairs: Sequence[Pair], most_words: int, ratio: float) -> list[Pair]:
    """Leave out pairs of which a side has more words, or `ratio` times as many (and more than five more) as the other.

    Such pairs are rarely translations of each other. Of scripts that write no spaces two characters count as a word,
    and so do 30 of an endless one.
    """
    kept = []
    for pair in pairs:
        shorter, longer = sorted(map(_words, pair))
        if longer <= most_words and (longer <= ratio * shorter or longer - shorter <= 5):
            kept.append(pair)
    return kept


def _words(side: str) -> int:
    alone = 0 if side.isascii() else sum(map(is_alone, side))
    return max(len(side.split()), alone // 2, len(side) // 30)


def read_lines(path: Path) -> list[str]:
    """All lines of a text file, plain or gzipped (`.gz`), empty ones kept, without white space around them.

    Raises:
        DataError: it cannot be read, is neither UTF-8 nor UTF-16 with its mark, or has no line.
    """
    return [line.strip() for line in _lines(path)]


def _lines(path: Path) -> list[str]:
    try:
        text = decoded(read_unpacked(path), path)
    except IsADirectoryError:
        raise DataError(f"{path}: a folder, not a text file; name the files in it.") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read as text ({error.strerror or error}).") from error
    if not text.strip():
        raise DataError(f"{path}: is empty.")
    return lines_of(text)


def _kept(pairs: list[Pair], name: str, *, columns: bool) -> list[Pair]:
    kept = [pair for pair in pairs if pair[0] and pair[1]]
    if not kept:
        raise DataError(f"{name}: no line holds a sentence and its translation.")
    check_sides(kept, name, columns=columns)
    return kept


def _is_quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in cell[1:-1].replace('""', "")


def _unquoted(cell: str) -> str:
    return cell[1:-1].replace('""', '"').strip() if _is_quoted(cell) else cell


def _slip(source: Sequence[str], target: Sequence[str]) -> int:
    """The line, from 1, after which the files fit best if one line of the longer file is left out there.

    Lines fit when their lengths differ little, as translations' do (Gale and Church, 1993).
    """
    longer, shorter = (source, target) if len(source) > len(target) else (target, source)
    extra = len(longer) - len(shorter)
    before = after = 0
    best, place = 0, 0
    # cost of all lines shifted, then line by line as if the shift came later
    for index, line in enumerate(shorter):
        before += _difference(line, longer[index])
        after += _difference(line, longer[index + extra])
        if before - after < best:
            best, place = before - after, index + 1
    return place + 1


def _difference(one: str, other: str) -> int:
    return abs(len(one) - len(other))
