"""What all folder commands do around their work: pass over what is done, report, and end with the right status."""

import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from captioner.pipelines.folder.inputs import Inputs, shown
from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.row_file import WriteError
from captioner.pipelines.folder.stderr import own_stderr


def run_folder_command(
    found: Inputs,
    outputs: Outputs,
    work: Callable[[Sequence[str], Meter, Summary], None],
    console: Console,
    *,
    kind: str,
    verb: str,
    quiet: bool,
    retry: str | None = "--retry",
) -> int:
    """Do what the outputs lack yet; returns the exit status.

    Args:
        found: the inputs.
        outputs: where records go.
        work: does the inputs it is given, unless there are none: writes their records, tells the meter of every batch,
            and adds them to the summary.
        console: for progress and the summary.
        kind: what the inputs are, in the plural.
        verb: what is done to them, as in `captioning images`.
        quiet: no progress and no summary.
        retry: the command's option that does failed inputs again, if it has one.
    """
    before = {path: outputs.done(path) for path in [*found.paths, *(path for path, _ in found.problems)]}
    todo = [path for path in found.paths if before[path] is None]
    states = [state for state in before.values() if state is not None]
    summary = Summary(before=(len(states), sum(states)), changed=outputs.changed, retry=retry)
    problems = [Record(path, error=error) for path, error in found.problems if before[path] is None]
    status = 0
    try:
        with _silent_codecs(), Meter(len(todo), kind, console, verb=verb, quiet=quiet) as meter:
            outputs.write(problems)
            summary.add(problems)
            if todo:
                work(todo, meter, summary)
        outputs.close()
    except WriteError as error:
        console.print(f"captioner: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
        status = 1
    except BrokenPipeError:  # whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    except KeyboardInterrupt:
        status = 130
    if not quiet:
        first = ["interrupted; the same command continues"] * (status == 130)
        notes = [*outputs.notes(), *found.notes()]
        for line in [*first, *summary.lines(kind), *_unwritten(outputs.problems), *notes]:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    return status or int(bool(summary.failures or summary.before[1] or outputs.problems))


def _unwritten(problems: Sequence[tuple[str, str]]) -> list[str]:
    """What could not be written, for people."""
    if not problems:
        return []
    more = len(problems) - len(problems[:5])
    lines = [f"{len(problems)} could not be written:"]
    lines += [f"  {shown(path)}: {reason}" for path, reason in problems[:5]]
    return lines + [f"  and {more} more"] * bool(more)


@contextmanager
def _silent_codecs() -> Iterator[None]:
    """Keep remarks of image libraries off the terminal: they name no file, and damage is reported in its own row."""
    warnings.filterwarnings("ignore", module="PIL")
    with own_stderr():
        yield
