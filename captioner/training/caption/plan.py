"""In which order the stages of a captioner's training run, and what each begins with."""

from dataclasses import dataclass

from captioner.errors import ConfigError
from captioner.training.caption.config import CaptionTrainingConfig
from captioner.training.config import Stage


@dataclass(frozen=True)
class Step:
    """A stage of a run, and the stage whose model it begins with; None for a new one."""

    name: str
    stage: Stage
    start: str | None


def plan(config: CaptionTrainingConfig) -> tuple[list[Step], list[str]]:
    """Every stage of every run, in order, and the last one of each run.

    Raises:
        ConfigError: there is no stage.
    """
    later: dict[str, Stage] = {name: stage for name, stage in config.stages if stage is not None}
    if not later:
        raise ConfigError("stages: none is given; choose from language, cross_entropy, fine_tune, self_critical.")
    language = later.pop("language", None)
    steps = [] if language is None else [Step("language", language, None)]
    ends = []
    for run in range(1, config.runs + 1 if later else 2):
        last = "language" if language is not None else None
        for kind, stage in later.items():
            name = kind if config.runs == 1 else f"{kind}_{run}"
            steps.append(Step(name, stage, last))
            last = name
        ends.append(str(last))
    return steps, ends
