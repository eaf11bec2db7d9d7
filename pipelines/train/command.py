"""`captioner train`: from a configuration to a model folder; `kind` says which training that is."""

from collections.abc import Sequence
from pathlib import Path

import yaml

from captioner.applications import APPLICATIONS, resolve
from captioner.errors import ConfigError
from captioner.models.base import kind_of, use
from captioner.pipelines.train.options import TrainOptions
from captioner.training.config import TrainingConfig, load_config


def train_command(options: TrainOptions) -> None:
    """Run the command.

    Raises:
        CaptionerError: the configuration, the data or the run folder cannot be used.
    """
    folder = train(
        options.config, options.overrides or [], options.output, resume=options.resume, device=options.device
    )
    print(f"The model is in {folder}; try: {use(kind_of(folder), folder)}")


def train(config_path: Path, overrides: Sequence[str], output: Path | None, *, resume: bool, device: str) -> Path:
    """Train as a configuration says.

    Args:
        config_path: YAML file.
        overrides: `dotted.key=value`.
        output: the run folder; `runs/NAME` by default.
        resume: continue the run that is there.
        device: `auto` or `cpu`.

    Returns:
        the folder of the finished model, `model` in the run folder.

    Raises:
        CaptionerError: the configuration, the data or the run folder cannot be used.
    """
    config = load_config(config_path, overrides)
    folder = output or Path("runs") / config_path.stem
    lock_run_folder(folder, config, resume)
    command = " ".join(["captioner train", str(config_path), *(each for each in overrides if "data." not in each)])
    trainer = resolve(APPLICATIONS[config.kind].trainer)
    return trainer(config, folder, command, device=device, resume=resume)


def lock_run_folder(folder: Path, config: TrainingConfig, resume: bool) -> None:
    """Write the configuration into the run folder, and keep two trainings from mixing in one.

    Raises:
        ConfigError: the folder holds another run, or this one without `resume`.
    """
    record = folder / "config.yaml"
    values = config.model_dump(mode="json", exclude={"data": {"root", "cache"}})
    text = yaml.safe_dump(values, sort_keys=False)
    if record.exists() and not resume:
        raise ConfigError(f"{folder}: holds a run already; continue it with --resume, or use another -o.")
    if record.exists() and record.read_text() != text:
        raise ConfigError(f"{record}: this run began with another configuration; use another -o to begin a new one.")
    folder.mkdir(parents=True, exist_ok=True)
    record.write_text(text)
