"""The options of `captioner evaluate-lines`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from captioner.pipelines.folder.options import JsonFile


@dataclass(frozen=True, kw_only=True)
class EvaluateLinesOptions:
    """What can be chosen when texts are scored."""

    truth: Annotated[
        Path,
        typer.Argument(metavar="TRUTH", help="A table of paths and texts, or a folder with texts beside pictures."),
    ]
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="What captioner read wrote, or another table of paths and texts.")
    ]
    compare: Annotated[
        Path | None, typer.Option(help="Other results for the same lines, for a paired test.  [default: none]")
    ] = None
    json: JsonFile = None
    html: Annotated[
        Path | None, typer.Option(help="Write a report with the lines that have most mistakes.  [default: none]")
    ] = None
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score what is there; the signature says so.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No table.")] = False
