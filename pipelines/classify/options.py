"""The options of `captioner classify`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from captioner.pipelines.cluster.options import ShardOptions


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(ShardOptions):
    """What can be chosen when clips are classified."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Clips (with --labels images too), folders, patterns, or - to read paths."
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
    model: Annotated[
        str,
        typer.Option(
            help="yoga, fight, a model folder, or hf-hub:owner/name; with --labels a photo captioner.  "
            "[default: with --labels photos]"
        ),
    ] = ""
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT|FILE", help="Labels in free words: 'cat, birthday cake', or a file.  [default: the model's]"
        ),
    ] = None
    template: Annotated[
        list[str] | None,
        typer.Option(help="A sentence with {} for the label; may be repeated.  [default: {} and a photo of {}]"),
    ] = None
    top_k: Annotated[int, typer.Option(min=1, max=1000, help="Classes for each clip, the most probable first.")] = 3
    every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Also classify each window of this length.  [default: whole clips]"),
    ] = None
