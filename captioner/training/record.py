"""What a training run leaves to look at: a metrics file, TensorBoard, a picture of the curves, a progress bar."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from captioner.training import processes

console = Console(stderr=True, force_jupyter=False)  # a notebook's own display wants more packages


def say(text: str) -> None:
    """Print lines, in the main process."""
    if processes.is_main():
        console.print(text, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None]]:
    """Show in the main process how far a work has come; gives a function to call with (done, in all)."""
    if not processes.is_main():
        yield lambda done, total: None
        return
    with console.status(what) as status:
        yield lambda done, total: status.update(f"{what}: {done} of {total}")


class MetricsLogger:
    """The metrics of a run, one JSON object a line in `metrics.jsonl`, also as TensorBoard and `curves.png`.

    Args:
        folder: the run folder.
        step: lines after this step are dropped; they belong to work that a killed run did not save.
        metric: the validation score that `curves.png` shows; stages without it show none.
        active: False in all but one of several processes, which then record nothing.
    """

    def __init__(self, folder: Path, step: int, metric: str, active: bool = True) -> None:
        self.folder = folder
        self.metric = metric
        self.active = active
        if not active:
            return
        from torch.utils.tensorboard import SummaryWriter

        self.path = folder / "metrics.jsonl"
        self.lines = [line for line in _read(self.path) if line["step"] <= step]
        temporary = self.path.with_suffix(".part")
        temporary.write_text("".join(json.dumps(line) + "\n" for line in self.lines), encoding="utf-8")
        temporary.replace(self.path)
        self.board: Any = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1)

    def add(self, step: int, stage: str, epoch: int, **values: Any) -> None:
        """Write one line; numbers go to TensorBoard too."""
        if not self.active:
            return
        line = {"step": step, "stage": stage, "epoch": epoch, **values}
        self.lines.append(line)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")
        for name, value in _flat(values):
            self.board.add_scalar(f"{stage}/{name}", value, step)

    def draw(self) -> None:
        """Draw loss and validation scores against steps into `curves.png`."""
        if not self.active:
            return
        from matplotlib.figure import Figure

        self.board.flush()
        figure = Figure(figsize=(10, 4), layout="constrained")
        left, right = figure.subplots(1, 2)
        stages = list(dict.fromkeys(line["stage"] for line in self.lines))
        for colour, stage in enumerate(stages):
            lines = [line for line in self.lines if line["stage"] == stage]
            losses = [(line["step"], line["loss"]) for line in lines if "loss" in line and stage != "self_critical"]
            if losses:
                left.plot(*zip(*losses, strict=True), color=f"C{colour}", label=stage.replace("_", " "), linewidth=1)
            for place, name in enumerate(sorted({name for line in lines for name in line.get("validation", {})})):
                scores = [(x["step"], x["validation"][name].get(self.metric)) for x in lines if "validation" in x]
                if scores[0][1] is None:  # such as captions, in the language stage, which has seen no picture
                    continue
                style = {"color": f"C{colour}", "linestyle": ["-", "--", ":", "-."][place % 4], "marker": "."}
                right.plot(*zip(*scores, strict=True), **style, label=f"{name}, {stage.replace('_', ' ')}")
        left.set(xlabel="step", ylabel="cross-entropy (nats)", title="Training loss")
        right.set(xlabel="step", ylabel=self.metric, title="Validation")
        for axes in (left, right):
            if axes.has_data():
                axes.legend(fontsize="small")
        figure.savefig(self.folder / "curves.png", dpi=120)


class Bar:
    """A progress bar on a terminal, plain lines elsewhere: loss, speed and the time that is left.

    Args:
        title: of the stage.
        total: steps.
        done: steps of an earlier run.
        unit: what is counted, in the plural.
        active: False shows nothing.
    """

    def __init__(self, title: str, total: int, done: int, unit: str, active: bool = True) -> None:
        self.console = Console(stderr=True, force_jupyter=False)
        self.title = title
        self.total = total
        self.step = self.begun = done
        self.unit = unit
        self.count = 0
        self.started = time.monotonic()
        self.printed = self.started
        self.active = active
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed}/{task.total} {task.fields[note]}"),
            TimeRemainingColumn(),
        )
        self.progress = Progress(*columns, console=self.console, disable=not (active and self.console.is_terminal))
        self.task: TaskID = self.progress.add_task(title, total=total, completed=done, note="")

    def __enter__(self) -> "Bar":
        self.progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.progress.stop()

    def advance(self, loss: float, count: int) -> None:
        """Count a step of so many units."""
        self.step += 1
        self.count += count
        note = f"loss {loss:.3f}, {self.speed:,.0f} {self.unit}/s"
        self.progress.update(self.task, advance=1, note=note)
        now = time.monotonic()
        if self.active and not self.console.is_terminal and now - self.printed > 30:
            left = (now - self.started) / (self.step - self.begun) * (self.total - self.step)
            self.say(f"{self.title}: {self.step}/{self.total} {note}, {left / 60:.0f} min left")
            self.printed = now

    @property
    def speed(self) -> float:
        """Units a second since the bar began."""
        return self.count / max(time.monotonic() - self.started, 1e-9)

    def say(self, text: str) -> None:
        """Print a line above the bar."""
        if self.active:
            self.progress.console.print(text, highlight=False, markup=False)


def _read(path: Path) -> list[dict[str, Any]]:
    if not path.exists():
        return []
    lines = []
    for text in path.read_text(encoding="utf-8").splitlines():
        try:
            lines.append(json.loads(text))
        except ValueError:  # the line that a killed run was writing
            break
    return lines


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, float]]:
    flat = []
    for name, value in values.items():
        if isinstance(value, dict):
            flat += _flat(value, f"{prefix}{name}/")
        elif isinstance(value, int | float):
            flat.append((prefix + name, float(value)))
    return flat
