"""`captioner train`: from a configuration to a model folder; `kind` says which training that is."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import yaml

from captioner.errors import ConfigError
from captioner.training.config import TrainingConfig, load_config


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
    claim(folder, config, resume)
    command = " ".join(["captioner train", str(config_path), *(each for each in overrides if "data." not in each)])
    training = import_module(f".train_{config.kind}", __package__)
    return training.train(config, folder, command, device=device, resume=resume)


def claim(folder: Path, config: TrainingConfig, resume: bool) -> None:
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
