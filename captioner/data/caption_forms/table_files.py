"""Captions in tables: separated by commas, tabs, semicolons or bars, JSON Lines, and Parquet files.

`Flickr8k.token.txt` and `results_20130124.token` are tables without names: `photo.jpg#0`, a tab, and a caption. Lists
of photos beside them, `Flickr_8k.trainImages.txt` and the like, say the splits.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from captioner.data.caption_forms.columns import (
    Columns,
    entries_of,
    file_name,
    find_columns,
    refuse_swallowed,
    without_names,
)
from captioner.data.caption_forms.entries import Entry, FoundCaptions
from captioner.data.files import plain_suffix
from captioner.data.splits import SPLITS, Split
from captioner.data.tables import DELIMITERS, Table, even, read_json_lines, read_parquet, read_texts, split_rows
from captioner.errors import DataError

JSON_LINES = (".jsonl", ".ndjson")
_HEAD = 1 << 16  # characters that show how a table is separated


def read_table_captions(path: Path, wanted: Mapping[str, str] | None = None) -> FoundCaptions:
    """Captions in a table of photos and captions.

    Args:
        path: of the file.
        wanted: names of columns, as `columns.find_columns` takes them.

    Raises:
        DataError: it cannot be read, or is no such table; the message names its columns.
    """
    suffix = plain_suffix(path)
    if suffix in JSON_LINES:
        table, form = read_json_lines(path), "JSON Lines"
    elif suffix == ".parquet":
        table, form = read_parquet(path, lambda names: _chosen(names, path, wanted)), "a Parquet file"
    else:
        return _read_texts(path, wanted)
    return _found(path, form, table, _columns(table.columns, path, wanted))


def _columns(names: Sequence[str], path: Path, wanted: Mapping[str, str] | None) -> Columns:
    columns = find_columns(names, wanted)
    if columns is None:
        told = ", ".join(f"{key} {name}" for key, name in (wanted or {}).items())
        asked = f"those asked for ({told})" if told else "a photo and a caption, such as file_name and caption"
        raise DataError(f"{path}: has the columns {', '.join(map(str, names[:12])) or 'none'}, but not {asked}.")
    return columns


def _chosen(names: Sequence[str], path: Path, wanted: Mapping[str, str] | None) -> list[str]:
    columns = _columns(names, path, wanted)
    return columns.names


def _found(path: Path, form: str, table: Table, columns: Columns, *, named: bool = True) -> FoundCaptions:
    entries, problems = entries_of(table, columns, path)
    if not entries:
        raise DataError(f"{path}: {form} in which no row names a photo; its {columns}. {' '.join(problems)}".rstrip())
    return FoundCaptions(path, form, entries, [str(columns)] if named else [], problems)


def _read_texts(path: Path, wanted: Mapping[str, str] | None) -> FoundCaptions:
    text = read_texts(path)
    head = text[:_HEAD].rpartition("\n")[0] or text[:_HEAD]
    for delimiter, name in DELIMITERS.items():
        try:
            first = [row for row in split_rows(head, delimiter, path) if len(row) > 1]
        except DataError:  # a quoted cell that goes on behind the head, or another separator
            continue
        if not first:
            continue
        form = f"a table separated by {name}"
        names = [cell.strip() for cell in first[0]]
        columns = find_columns(names, wanted)
        if columns is not None:
            twice = [name for name in columns.names if names.count(name) > 1]
            if twice:
                raise DataError(f"{path}: has the column {twice[0]} twice; call them {twice[0]}_1 and {twice[0]}_2.")
            rows = split_rows(text, delimiter, path)
            refuse_swallowed(rows, delimiter, path)
            return _found(path, form, even(rows[1:], names, names.index(columns.captions[-1]), delimiter), columns)
        columns = None if wanted else without_names(first, path)
        if columns is not None:
            rows = split_rows(text, delimiter, path)
            refuse_swallowed(rows, delimiter, path)
            caption = int(columns.captions[0])
            width = min(len(row) for row in first)
            rows = rows if caption == width - 1 else [row[:width] for row in rows]
            table = even(rows, [str(place) for place in range(width)], caption, delimiter)
            return _with_lists(_found(path, f"{form}, without names of columns", table, columns, named=False))
    line = next(iter(head.split("\n")), "")[:60]
    raise DataError(
        f"{path}: no table of photos and captions, whose first line names its columns, such as file_name and caption, "
        f"or which has a photo and a caption a line; it begins with {line!r}."
    )


def _with_lists(found: FoundCaptions) -> FoundCaptions:
    """Captions with the splits that lists of photos beside their file say."""
    splits: dict[str, Split] = {}
    names = []
    for path in sorted(Path(found.source).parent.glob("*Images.txt")):
        word = re.search(r"(train|dev|val|test)Images\.txt$", path.name)
        if word is not None:
            names.append(path.name)
            for name in filter(None, map(file_name, read_texts(path).split("\n"))):
                if splits.setdefault(name, SPLITS[word[1]]) != SPLITS[word[1]]:
                    raise DataError(f"{path}: names {name}, which is in {splits[name]} too; leave it in one list.")
    if not names:
        return found
    entries: list[Entry] = [replace(entry, split=splits[entry.name]) for entry in found.entries if entry.name in splits]
    left = len(found.entries) - len(entries)
    problems = [f"{found.source}: {left} photos are in none of {', '.join(names)} and are left out."] if left else []
    details = [f"splits of {', '.join(names)}"]
    return replace(found, entries=entries, details=details, problems=[*found.problems, *problems])
