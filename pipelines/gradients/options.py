"""The options of `captioner gradients`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from captioner.pipelines.folder.options import Device, JsonFile


@dataclass(frozen=True, kw_only=True)
class GradientsOptions:
    """What can be chosen when gradients through time are measured."""

    what: Annotated[
        list[str],
        typer.Argument(metavar="MODEL INPUT... | UNIT...", help="A model and what it reads, or mlp, tanh, lstm, gru."),
    ]
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FIGURE", help="FIGURE.png, .svg or .pdf.  [default: none]"),
    ] = None
    json: JsonFile = None
    steps: Annotated[int, typer.Option(min=1, help="Longest lag: steps of fresh networks, words of texts.")] = 100
    samples: Annotated[
        int | None,
        typer.Option(
            min=1, help="Estimate norms from this many random vectors, for long sequences.  [default: exact norms]"
        ),
    ] = None
    clip: Annotated[float, typer.Option(help="Largest gradient norm after clipping.")] = 1.0
    seed: Annotated[int, typer.Option(min=0, max=2**63 - 1, help="Random seed of fresh networks and vectors.")] = 0
    device: Device = "auto"
