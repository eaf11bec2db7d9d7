"""What a killed training goes on from: a folder that counts once its last file is there, and is whole or refused."""

import hashlib
import json
import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from captioner.errors import DataError
from captioner.weights import write_atomically

PROGRESS = "progress.json"


@dataclass
class TrainingState:
    """How far a run has come.

    Attributes:
        stages_done: stages that have ended.
        epoch: of the current stage, from 0.
        batch: batches of this epoch that are done.
        step: steps of the whole run.
        stage_step: steps of this stage.
        best: the best validation score of this stage.
        waiting: validations since then.
        data: a digest of what is learnt from and validated on; empty where nobody gave one.
        pictures: a digest of the content of its photos, lines or clips, and of the weights of `init`; empty where
            nobody gave one.
    """

    stages_done: int = 0
    epoch: int = 0
    batch: int = 0
    step: int = 0
    stage_step: int = 0
    best: float = -math.inf
    waiting: int = 0
    data: str = ""
    pictures: str = ""


def digest_of(material: Iterable[object]) -> str:
    """A digest of what a training learns from and validates on, as far as JSON can say it."""
    digest = hashlib.sha256()
    for each in material:
        digest.update(json.dumps(each).encode() + b"\n")
    return digest.hexdigest()


def seal(checkpoint: Path, state: TrainingState) -> None:
    """Write the last file, which says how far the run is and what the others hold, once these outlive a power cut.

    Args:
        checkpoint: the folder, with its other files.
        state: how far the run has come.
    """
    digests = {}
    for path in checkpoint.iterdir():
        if path.name == PROGRESS:
            continue
        with path.open("rb+") as file:
            os.fsync(file.fileno())
            digests[path.name] = _digest(path)
    write_atomically(checkpoint / PROGRESS, json.dumps({**asdict(state), "files": digests}))


def last_checkpoint(folder: Path) -> Path | None:
    """The last checkpoint of a run folder that was sealed; None without one."""
    complete = sorted(folder.glob(f"checkpoints/*/{PROGRESS}"))
    return complete[-1].parent if complete else None


def read_progress(checkpoint: Path) -> TrainingState:
    """How far the run had come.

    Raises:
        DataError: a file has been lost or damaged since.
    """
    path = checkpoint / PROGRESS
    try:
        progress = json.loads(path.read_text(encoding="utf-8"))
        digests = progress.pop("files", {})  # earlier versions wrote none
        state = TrainingState(**progress)
        for name, digest in digests.items():
            path = checkpoint / name
            if _digest(path) != digest:
                raise ValueError("another digest")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: damaged or missing, so this run cannot be continued; begin again with another -o."
        ) from error
    return state


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
