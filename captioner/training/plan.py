"""In which order the stages of a training run, and what each begins with."""

from dataclasses import dataclass

from captioner.errors import ConfigError
from captioner.training.config import Stage, Strict


@dataclass(frozen=True)
class Step:
    """A stage of a run, and the stage whose model it begins with; None for a new one."""

    name: str
    stage: Stage
    start: str | None


def plan(stages: Strict, runs: int, shared: str | None = None) -> tuple[list[Step], list[str]]:
    """Every stage of every run, in order, and the last one of each run.

    Args:
        stages: the `stages` of a configuration; those that are None are not run.
        runs: how often to run them.
        shared: the stage that runs once, and that every run goes on from.

    Raises:
        ConfigError: there is no stage.
    """
    later: dict[str, Stage] = {name: stage for name, stage in stages if stage is not None}
    if not later:
        raise ConfigError(f"stages: none is given; choose from {', '.join(type(stages).model_fields)}.")
    first = later.pop(shared, None) if shared is not None else None
    steps = [] if first is None else [Step(str(shared), first, None)]
    ends = []
    for run in range(1, runs + 1 if later else 2):
        last = None if first is None else shared
        for kind, stage in later.items():
            name = kind if runs == 1 else f"{kind}_{run}"
            steps.append(Step(name, stage, last))
            last = name
        ends.append(str(last))
    return steps, ends
