"""The `captioner` command, made from the table of applications: each command's arguments are the fields of a dataclass.

A command's job is imported when it runs, so that help stays fast.
"""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import MISSING, fields
from inspect import Parameter, Signature
from typing import Annotated, Any, get_type_hints

import typer

from captioner.applications import Command, commands, resolve, run_command
from captioner.errors import CaptionerError, UsageError

_ALONE = {"--sidecar": ".txt"}
"""Options that may stand without their value, which is a suffix, and what they then mean."""

_ENDLESS = ("/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
"""Devices that never end when they are read, as many inputs are read whole."""

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


def _function(command: Command) -> Callable[..., None]:
    """A function with the signature that typer makes a command from."""
    options = resolve(command.options)

    def call(**values: Any) -> None:
        raise typer.Exit(run_command(command.name, **values))

    hints = get_type_hints(options, include_extras=True)
    parameters = []
    for field in fields(options):
        default = field.default_factory() if field.default_factory is not MISSING else field.default
        parameters.append(
            Parameter(
                field.name,
                Parameter.KEYWORD_ONLY,
                annotation=hints[field.name],
                default=Parameter.empty if default is MISSING else default,
            )
        )
    call.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = hints
    return call


def _with_values(arguments: Sequence[str]) -> list[str]:
    """Arguments in which options that may stand alone have the value that they then mean."""
    given: list[str] = []
    for place, argument in enumerate(arguments):
        given.append(argument)
        following = arguments[place + 1] if place + 1 < len(arguments) else ""
        is_value = following.lstrip("+").startswith(".") and os.sep not in following and following.strip(".+")
        if argument in _ALONE and not is_value:
            given.append(_ALONE[argument])
    return given


def _refuse_endless(arguments: Sequence[str]) -> None:
    for argument in arguments:
        for name in (argument, argument.partition("=")[2]):
            if name.startswith("/dev/") and os.path.realpath(name) in _ENDLESS:
                raise UsageError(f"{name}: has no end, so it cannot be read; name a file.")


for _name, _command in commands().items():
    app.command(_name, help=_command.help)(_function(_command))


def main() -> None:
    """Run the command line; errors meant for people become one sentence on standard error and status 2."""
    try:
        _refuse_endless(sys.argv[1:])
        app(_with_values(sys.argv[1:]))
    except CaptionerError as error:
        if "--debug" in sys.argv:
            raise
        typer.echo(f"captioner: {error}", err=True)
        sys.exit(2)
    except OSError as error:  # of a name that no file system takes, or a folder that may not be read, say
        if "--debug" in sys.argv:
            raise
        name = os.fsencode(error.filename or "").decode("utf-8", "replace")[:200]
        typer.echo(f"captioner: {name or 'a file'}: cannot be used ({error.strerror or error}).", err=True)
        sys.exit(2)
    except RecursionError:
        if "--debug" in sys.argv:
            raise
        typer.echo("captioner: what was given holds lists in lists, too deep to be read.", err=True)
        sys.exit(2)
    except (MemoryError, RuntimeError) as error:
        short = isinstance(error, MemoryError) or "allocate memory" in str(error) or "out of memory" in str(error)
        if "--debug" in sys.argv or not short:  # PyTorch's own error is a RuntimeError
            raise
        typer.echo("captioner: this needs more memory than there is; take smaller sizes or fewer at a time.", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
