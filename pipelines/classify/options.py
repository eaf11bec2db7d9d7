"""The options of `captioner classify`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from captioner.pipelines.cluster.options import ClusterOptions


@dataclass(frozen=True, kw_only=True)
class ClassifyOptions(ClusterOptions):
    """What can be chosen when clips are classified."""

    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Clips, folders, patterns, or - to read paths.")
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
    model: Annotated[str, typer.Option(help="yoga, fight, a model folder, or hf-hub:owner/name.")]
    top_k: Annotated[int, typer.Option(min=1, help="Classes for each clip, the most probable first.")] = 3
    every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Also classify each window of this length.  [default: whole clips]"),
    ] = None
