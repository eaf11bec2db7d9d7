"""How far a folder command is: a bar on a terminal, a plain line now and then elsewhere, nothing when quiet."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from captioner.pipelines.folder.inputs import shown
from captioner.pipelines.folder.outputs import Record

PLAIN_SECONDS = 10.0  # between two lines where there is no terminal
_SHOWN = 5  # inputs of a kind that a summary names


class _Speed(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Inputs a second, over the last half minute."""
        return Text("" if task.speed is None else f"{task.speed:.1f} a second", style="progress.data.speed")


@dataclass
class Summary:
    """What has become of the inputs.

    Attributes:
        written: how many were done.
        warned: how many of those got a warning.
        warnings: the first few of these.
        failures: how many could not be read, by reason.
        examples: the first few that could not be read, with their reasons.
        before: how many the outputs held already, and how many of those had failed.
        changed: how many were done again because their files had changed.
        seconds: how long it took.
        retry: the command's option that does failed ones again, if it has one.
    """

    written: int = 0
    warned: int = 0
    warnings: list[tuple[str, str]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[str, str]] = field(default_factory=list)
    before: tuple[int, int] = (0, 0)
    changed: int = 0
    seconds: float = 0.0
    retry: str | None = "--retry"

    def add(self, records: Sequence[Record]) -> int:
        """Count records; returns how many of them failed."""
        for record in records:
            if record.error is None:
                self.written += 1
                if record.warning is not None:
                    self.warned += 1
                    self.warnings = [*self.warnings, (record.path, record.warning)][:_SHOWN]
            else:
                self.failures[record.error.partition(" (")[0]] += 1
                self.examples = [*self.examples, (record.path, record.error)][:_SHOWN]
        return sum(record.error is not None for record in records)

    def merge(self, other: "Summary") -> None:
        """Add what another summary counted at the same time; the seconds are left to whoever measures them."""
        self.written += other.written
        self.warned += other.warned
        self.warnings = (self.warnings + other.warnings)[:_SHOWN]
        self.failures.update(other.failures)
        self.examples = (self.examples + other.examples)[:_SHOWN]

    def lines(self, kind: str) -> list[str]:
        """The summary for people."""
        speed = f" in {duration(self.seconds)} ({self.written / self.seconds:.1f} a second)" if self.written else ""
        warned = f", {self.warned} of them with a warning" if self.warned else ""
        lines = [f"{self.written} {kind} done{speed}{warned}"]
        lines += [f"  {shown(path)}: {warning}" for path, warning in self.warnings]
        if self.warned > len(self.warnings):
            lines.append(f"  and {self.warned - len(self.warnings)} more")
        if self.failures:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.failures.most_common())
            lines.append(f"{self.failures.total()} failed: {reasons}")
            lines += [f"  {shown(path)}: {reason}" for path, reason in self.examples]
            if self.failures.total() > len(self.examples):
                lines.append(f"  and {self.failures.total() - len(self.examples)} more, in the output")
        if self.before[0]:
            failed = f", {self.before[1]} of which had failed" if self.before[1] else ""
            again = f" ({self.retry} tries them again)" if failed and self.retry else ""
            lines.append(f"{self.before[0]} were done before{failed}{again}")
        if self.changed:
            lines.append(f"{self.changed} had changed since they were done, and are done again")
        return lines


class Meter:
    """Shows progress on `console` while open.

    Args:
        total: inputs to be done.
        kind: what they are, in the plural.
        console: where to show it.
        verb: what is done to them.
        quiet: show nothing.
    """

    def __init__(
        self, total: int, kind: str, console: Console, *, verb: str = "captioning", quiet: bool = False
    ) -> None:
        self.total, self.kind, self.console = total, kind, console
        self.done = self.failed = 0
        self._plain = not quiet and not console.is_terminal
        self._started = self._said = time.monotonic()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            _Speed(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[failures]}", style="red"),
            console=console,
            transient=True,
            disable=quiet or not console.is_terminal,
        )
        self._task = self._bar.add_task(f"{verb} {kind}", total=total, failures="")

    def __enter__(self) -> "Meter":
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def advance(self, done: int, failed: int) -> None:
        """Count `done` more inputs, `failed` of which could not be read."""
        self.done += done
        self.failed += failed
        failures = f"{self.failed} failed" if self.failed else ""
        self._bar.update(self._task, advance=done, failures=failures)
        now = time.monotonic()
        if self._plain and now - self._said >= PLAIN_SECONDS and self.done < self.total:
            self._said = now
            speed = self.done / (now - self._started)
            left = (self.total - self.done) / speed
            line = f"{self.done} of {self.total} {self.kind}, {speed:.1f} a second, about {duration(left)} left"
            self.console.print(f"{line}, {failures}" if failures else line, highlight=False, soft_wrap=True)


def duration(seconds: float) -> str:
    """A time for people: 8 s, 5 min, 2 h 10 min."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
