"""The options of `captioner train`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer


@dataclass(frozen=True, kw_only=True)
class TrainOptions:
    """What can be chosen when a model is trained, besides what its configuration says."""

    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="What to train, on what, and how.")]
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Change keys, such as data.root=photos.")
    ] = None
    output: Annotated[Path | None, typer.Option("-o", "--output", help="Run folder.  [default: runs/NAME]")] = None
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in this folder.")] = False
    device: Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu, cuda or cuda:N.")] = "auto"
