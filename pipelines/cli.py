"""The `captioner` command. Signatures only: each command imports its job when it runs, so that help stays fast."""

import sys
from typing import Annotated

import typer

from captioner.errors import CaptionerError

app = typer.Typer(
    name="captioner",
    help="Caption image folders, train captioners on your own photos, and score captions.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from captioner import __version__

        typer.echo(f"captioner {__version__}")
        raise typer.Exit()


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Options shared by all commands."""


def main() -> None:
    """Run the command line; errors meant for people become one sentence on standard error and status 2."""
    try:
        app()
    except CaptionerError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"captioner: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
