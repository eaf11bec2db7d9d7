"""`captioner train`: from a configuration to a model folder; `kind` says which training that is."""

import shlex
from collections.abc import Sequence
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from captioner.applications import APPLICATIONS, resolve
from captioner.errors import ConfigError
from captioner.models.base import use
from captioner.pipelines.heap import keep_freed
from captioner.pipelines.train.options import TrainOptions
from captioner.training import processes
from captioner.training.config import TrainingConfig, load_config
from captioner.weights import write_atomically

_ENDING = 6.0  # seconds; the workers of a killed training hold its lock too, and notice within five


def train_command(options: TrainOptions) -> None:
    """Run the command.

    Raises:
        CaptionerError: the configuration, the data or the run folder cannot be used.
    """
    keep_freed()
    folder = train(
        options.config, options.overrides or [], options.output, resume=options.resume, device=options.device
    )
    if processes.is_main():
        kind = load_config(options.config, options.overrides or []).kind
        print(f"The model is in {folder}; try: {use(kind, folder)}")
    processes.leave()


def train(config_path: Path, overrides: Sequence[str], output: Path | None, *, resume: bool, device: str) -> Path:
    """Train as a configuration says.

    Args:
        config_path: YAML file.
        overrides: `dotted.key=value`.
        output: the run folder; `runs/NAME` by default.
        resume: continue the run that is there.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns:
        the folder of the finished model, `model` in the run folder.

    Raises:
        CaptionerError: the configuration, the data or the run folder cannot be used.
    """
    config = load_config(config_path, overrides)
    folder = output or Path("runs") / config_path.stem
    processes.join(device)
    lock = FileLock(folder / ".lock")  # which the system opens when the process ends, however it ends
    try:
        processes.by_main(lambda: _begin(config_path, config, folder, resume, lock))
        processes.check_shared(folder)
        trainer = resolve(APPLICATIONS[config.kind].trainer)
        command = _repeated(config_path, overrides)
        model: Path = trainer(config, folder, command, device=device, resume=resume).run_all()
        processes.wait()  # for the main one, which writes the model
    finally:
        lock.release()
    return model


def _repeated(config_path: Path, overrides: Sequence[str]) -> str:
    """The command for a model card; DATA stands for where the data lies here."""
    told = [each for each in overrides if not each.startswith(("data.root=", "data.cache="))]
    if len(told) < len(overrides) and any(each.startswith("data.root=") for each in overrides):
        told.append("data.root=DATA")
    return shlex.join(["captioner", "train", str(config_path), *told])


def _begin(config_path: Path, config: TrainingConfig, folder: Path, resume: bool, lock: FileLock) -> None:
    reason = config.one_process() if processes.count() > 1 else None
    if reason is not None:
        raise ConfigError(f"{config_path}: {reason}; start it without torchrun or accelerate launch.")
    reason = config.one_machine() if processes.machines() > 1 else None
    if reason is not None:
        raise ConfigError(f"{config_path}: {reason}; start them all on one machine.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=_ENDING)
    except Timeout:
        raise ConfigError(f"{folder}: another training is at work there; wait for it, or use another -o.") from None
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written ({error.strerror}); use another -o.") from error
    lock_run_folder(folder, config, resume)


def lock_run_folder(folder: Path, config: TrainingConfig, resume: bool) -> None:
    """Write the configuration into the run folder, and keep two trainings from mixing in one.

    A folder whose run stopped before its first step is taken over.

    Raises:
        ConfigError: the folder holds another run, or this one without `resume`.
    """
    record = folder / "config.yaml"
    values = config.model_dump(mode="json", exclude={"data": {"root", "cache"}})
    text = yaml.safe_dump(values, sort_keys=False)
    begun = record.exists() and _has_begun(folder)
    if begun and not resume:
        raise ConfigError(f"{folder}: holds a run already; continue it with --resume, or use another -o.")
    if begun and record.read_text(encoding="utf-8") != text:
        raise ConfigError(f"{record}: this run began with another configuration; use another -o to begin a new one.")
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(record, text)


def _has_begun(folder: Path) -> bool:
    metrics = folder / "metrics.jsonl"
    stepped = metrics.exists() and metrics.stat().st_size > 0
    return stepped or (folder / "checkpoints").exists() or (folder / "model").exists()
