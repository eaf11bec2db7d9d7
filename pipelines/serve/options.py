"""The options of `captioner serve`."""

import re
from dataclasses import dataclass
from typing import Annotated

import typer

from captioner.errors import UsageError
from captioner.pipelines.folder.options import Device


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What can be chosen when a page and an API are served."""

    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A shipped model, a model folder, or hf-hub:owner/name; may be repeated.  [default: all shipped]",
        ),
    ] = None
    host: Annotated[str, typer.Option(help="The address to listen on; any but loopback asks for a token.")] = (
        "127.0.0.1"
    )
    port: Annotated[int, typer.Option(min=0, max=65535, help="To listen on; 0 takes a free one.")] = 8000
    token: Annotated[
        str | None,
        typer.Option(
            envvar="CAPTIONER_TOKEN",
            help="Who asks must know it: Authorization: Bearer TOKEN.  [default: none]",
            show_envvar=True,
        ),
    ] = None
    no_token: Annotated[bool, typer.Option("--no-token", help="Answer anybody, also beyond this machine.")] = False
    cors: Annotated[
        list[str] | None,
        typer.Option(metavar="ORIGIN", help="A site whose pages may ask too; may be repeated.  [default: none]"),
    ] = None
    max_mb: Annotated[int, typer.Option(min=1, max=4096, help="Refuse larger requests.")] = 64
    max_files: Annotated[int, typer.Option(min=1, max=1000, help="Refuse requests of more files.")] = 32
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger images, and clips with larger frames.")] = (
        100_000_000
    )
    max_seconds: Annotated[float, typer.Option(min=1, help="Refuse longer clips.")] = 600.0
    queue: Annotated[
        int, typer.Option(min=1, max=100_000, help="Files that may wait; more are told to come again.")
    ] = 256
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=1024, help="Threads, each with inputs of its own.  [default: one more than cores]"),
    ] = None
    device: Device = "auto"

    def __post_init__(self) -> None:
        """See that origins are what browsers send.

        Raises:
            UsageError: one is not.
        """
        for origin in self.cors or ():
            if not re.fullmatch(r"[a-z][a-z0-9+.-]*://[^\s/?#@*A-Z]+", origin):
                raise UsageError(f"--cors {origin}: give a site in lower case, such as https://example.org.")
