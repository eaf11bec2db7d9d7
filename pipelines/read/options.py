"""The options of `captioner read`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from captioner.pipelines.cluster.options import ShardOptions


@dataclass(frozen=True, kw_only=True)
class ReadOptions(ShardOptions):
    """What can be chosen when lines are read."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Pictures of one line or word each, folders, patterns, or - for paths."
        ),
    ]
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="FILE.jsonl, .csv, .json or .html; may be repeated.  [default: print]",
        ),
    ] = None
    model: Annotated[str, typer.Option(help="A shipped model, a model folder, or hf-hub:owner/name.")] = "words"
    beam_size: Annotated[
        int, typer.Option(min=1, help="Texts kept in a search; 1 takes each column's likeliest character.")
    ] = 1
    words: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The only words there are, in a text file.  [default: any]")
    ] = None
    lm: Annotated[
        str | None, typer.Option(help="A language model of characters, for shallow fusion.  [default: none]")
    ] = None
    lm_weight: Annotated[float | None, typer.Option(help="Weight of its log-probabilities.  [default: 0.3]")] = None
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger pictures.")] = 200_000_000
