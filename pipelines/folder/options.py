"""The options that all folder commands share, stated once: the command line and Python calls are made from them."""

from dataclasses import dataclass
from typing import Annotated

import typer

from captioner.errors import UsageError

_LONGEST = 1e6  # seconds of a window, eleven days

Device = Annotated[str, typer.Option(help="auto (a GPU if there is one), cpu, cuda or cuda:N.")]
JsonFile = Annotated[
    str | None, typer.Option(metavar="FILE|-", help="Write JSON; - prints only that.  [default: none]")
]


@dataclass(frozen=True, kw_only=True)
class FolderOptions:
    """What every command that works through files takes; an application adds its own options."""

    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, folders, patterns, or - to read paths.")
    ]
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="Where results go, by suffix; may be repeated.  [default: print]"
        ),
    ] = None
    device: Device = "auto"
    batch_size: Annotated[
        int | None, typer.Option(min=1, max=65536, help="Inputs computed at a time.  [default: by device]")
    ] = None
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Threads, each with inputs of its own.  [default: as many as cores]"),
    ] = None
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start outputs afresh.")] = False
    retry: Annotated[bool, typer.Option("--retry", help="Do again what failed before, and keep the rest.")] = False
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Names to pass over in folders; may be repeated.  [default: none]"),
    ] = None
    bom: Annotated[
        bool, typer.Option("--bom", help="Begin a new .csv with a byte order mark, as spreadsheets want it.")
    ] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False


def check_every(seconds: float | None) -> None:
    """See that windows of a clip have a length.

    Raises:
        UsageError: they have none, or one that is no number.
    """
    if seconds is not None and not 0.1 <= seconds <= _LONGEST:
        raise UsageError(f"--every is {seconds:g}; give a number of seconds, from 0.1 to {_LONGEST:,.0f}.")
