"""`captioner perplexity`: how well a language model predicts texts, whole or line by line."""

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from captioner.data.text import read_text
from captioner.errors import DataError
from captioner.models.base import load
from captioner.models.language import LanguageModel, TextScore
from captioner.pipelines.folder.inputs import shown
from captioner.pipelines.folder.reports import check_reports, write_report
from captioner.pipelines.language.options import PerplexityOptions


@dataclass(frozen=True)
class FileScore:
    """What came of one file.

    Attributes:
        path: as given.
        score: of all its words; None if it could not be read.
        lines: with their own scores, where asked for.
        error: why it could not be read.
    """

    path: str
    score: TextScore | None = None
    lines: Sequence[tuple[str, TextScore]] = ()
    error: str | None = None


def perplexity(options: PerplexityOptions) -> int:
    """Run the command; returns the exit status, 1 if a file could not be read.

    Raises:
        UsageError: the JSON file cannot be written.
        ModelError: the model cannot be used, or is no language model.
    """
    as_json, per_line = options.json, options.per_line
    check_reports([as_json], options.files)
    reader: LanguageModel = load(options.model, options.device, ("language",))
    found = [_score(reader, file, per_line) for file in options.files]
    scored = [each.score for each in found if each.score is not None]
    total = sum(scored[1:], start=scored[0]) if scored else None
    report = {**_numbers(total), "files": [_row(each, per_line) for each in found]}
    text = json.dumps(report, indent=2, ensure_ascii=False)
    if as_json == "-":
        print(text)
    else:
        if as_json:
            write_report(as_json, text + "\n")
        _show(found, total, per_line)
        _warn(found, options.model)
    for each in found:
        if each.error:
            print(f"captioner: {each.error}", file=sys.stderr)
    return int(len(scored) < len(found))


def _warn(found: Sequence[FileScore], model: str) -> None:
    """Say which texts consist for the most part of unknown words: unknown, all are one, and easy to predict."""
    scores = [(file.path, file.score) for file in found if file.score is not None]
    scores = [line for file in found for line in file.lines] or scores
    strange = [text for text, score in scores if 2 * score.unknown >= score.tokens]
    if strange:
        some = f"{len(strange)} of {len(scores)} texts, such as {shown(strange[0])!r}"
        print(
            f"captioner: {model} knows less than half of the words of {some}; their perplexity says little.",
            file=sys.stderr,
        )


def _score(model: LanguageModel, path: str, per_line: bool) -> FileScore:
    try:
        lines = read_text(Path(path))
    except DataError as error:
        return FileScore(path, error=str(error))
    if not per_line:
        return FileScore(path, model.score_text(lines))
    scores = model.score_lines(lines)
    return FileScore(path, sum(scores[1:], start=scores[0]), list(zip(lines, scores, strict=True)))


def _numbers(score: TextScore | None) -> dict[str, Any]:
    if score is None:
        return {"perplexity": None, "tokens": 0, "unknown": 0}
    return {"perplexity": score.perplexity, "tokens": score.tokens, "unknown": score.unknown}


def _row(file: FileScore, per_line: bool) -> dict[str, Any]:
    if file.error is not None:
        return {"path": file.path, "error": file.error}
    lines = {"lines": [{"text": text, **_numbers(score)} for text, score in file.lines]} if per_line else {}
    return {"path": file.path, **_numbers(file.score), **lines}


def _show(found: Sequence[FileScore], total: TextScore | None, per_line: bool) -> None:
    """Print lines ranked, the most fluent first, or files in a table."""
    if per_line:
        ranked = sorted((line for file in found for line in file.lines), key=lambda line: line[1].perplexity)
        for text, score in ranked:
            print(f"{score.perplexity:.2f}\t{text}")
        return
    table = Table("text", *(f"[right]{name}" for name in ("perplexity", "tokens", "unknown")))
    rows: list[tuple[str, TextScore | None]] = [(file.path, file.score) for file in found]
    for name, each in [*rows, ("all", total)] if len(rows) > 1 else rows:
        if each is not None:
            table.add_row(Text(shown(name)), f"{each.perplexity:.2f}", f"{each.tokens:,}", f"{each.unknown:,}")
    if table.row_count:
        Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)
