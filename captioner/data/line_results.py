"""What was read in lines, matched with what they say: the rows of `captioner read`, or a table of paths and texts."""

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from captioner.data.lines import LineSet, table_rows
from captioner.errors import DataError


@dataclass(frozen=True)
class MatchedLines:
    """Lines with what they say and what was read in them.

    Attributes:
        paths: of the pictures.
        truths: what they say.
        texts: what was read; empty where the picture could not be read.
        failed: how many could not be read.
        missing: how many there is no result for, and which are left out.
    """

    paths: tuple[str, ...]
    truths: tuple[str, ...]
    texts: tuple[str, ...]
    failed: int
    missing: int


def read_line_results(path: Path) -> dict[str, str | None]:
    """The text of each picture, None where it could not be read.

    Args:
        path: `.jsonl`, `.json` or `.csv` as `captioner read` writes them, a table of paths and texts, or a folder with
            texts beside pictures.

    Raises:
        DataError: there is no such file, or it holds something else.
    """
    if path.is_dir():
        return {str(line.path): line.text for line in LineSet.read_texts(path).lines}
    rows = _json_rows(path) if path.suffix.lower() in (".jsonl", ".json") else _table_rows(path)
    found: dict[str, str | None] = {}
    for name, text in rows:
        if found.setdefault(name, text) != text:
            raise DataError(f"{path}: has {name} twice, with different texts; keep one row.")
    return found


def _table_rows(path: Path) -> Iterator[tuple[str, str | None]]:
    commas = path.suffix.lower() == ".csv"
    for row in table_rows(path, []):  # a line that was taken for names is told as one without a result
        if not row.fields:
            mend = "put a text with a comma into quotation marks" if commas else "take the tab out of the text"
            raise DataError(f"{path}: line {row.number} has more cells than the first line names; {mend}.")
        name = row.fields[0].strip()
        if not name or (len(row.fields) == 1 and not row.error):
            raise DataError(f"{path}: line {row.number} has no {'text' if name else 'path'}; each row needs both.")
        # what `captioner read` writes calls pictures as seen from where it ran
        yield name if commas else str(path.parent / name), None if row.error else row.text


def _json_rows(path: Path) -> Iterator[tuple[str, str | None]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        if path.suffix.lower() == ".json":
            rows: list[Any] = json.loads(text)
        else:
            rows = [json.loads(line) for line in text.split("\n") if line.strip()]
        for number, row in enumerate(rows, 1):
            read = None if row.get("error") else row["text"]
            if not isinstance(row["path"], str) or not (row.get("error") or isinstance(read, str)):
                raise ValueError(f"row {number} has {row['path']!r} and {read!r}")
            yield row["path"], read
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(
            f"{path}: not what captioner read writes, which is rows with path and text ({error!r})."
        ) from error


def match_lines(
    truth: LineSet, results: Mapping[str, str | None], source: object, *, allow_missing: bool = False
) -> MatchedLines:
    """Put truth and results side by side: by path, or by file name where no two pictures share one.

    Args:
        truth: what the lines say.
        results: what was read in them.
        source: where results come from, for messages.
        allow_missing: go on without the lines that have no result.

    Raises:
        DataError: lines have no result and `allow_missing` is off, or none has.
    """
    key = os.path.abspath
    found = {key(path): text for path, text in results.items()}
    if not any(key(line.path) in found for line in truth.lines):
        names = [[os.path.basename(path) for path in paths] for paths in ([line.path for line in truth.lines], results)]
        if all(_unlike(each) for each in names):
            key = os.path.basename  # type: ignore[assignment]
            found = {key(path): text for path, text in results.items()}
    lines = [line for line in truth.lines if key(line.path) in found]
    missing = [str(line.path) for line in truth.lines if key(line.path) not in found]
    if not lines or (missing and not allow_missing):
        raise DataError(
            f"{source}: no text for {len(missing)} of the {len(truth.lines)} lines of {truth.source}, such as "
            f"{missing[0]}; read them too, or score what is there with --allow-missing, which the signature will say."
        )
    texts = [found[key(line.path)] for line in lines]
    return MatchedLines(
        tuple(str(line.path) for line in lines),
        tuple(line.text for line in lines),
        tuple(text or "" for text in texts),
        sum(text is None for text in texts),
        len(missing),
    )


def _unlike(names: Iterable[str]) -> bool:
    counts: Sequence[int] = list(Counter(names).values())
    return max(counts, default=0) == 1
