"""A folder of this process for what it needs only as long as it lives; those of processes that were killed go."""

import os
import shutil
import tempfile
from pathlib import Path

import psutil


def own_folder(purpose: str) -> Path:
    """This process's folder, new or not, in the system's folder of temporary files.

    Args:
        purpose: a short name; folders for the same purpose whose processes are no more are removed.
    """
    root = Path(tempfile.gettempdir())
    for folder in root.glob(f"captioner-{purpose}-*"):
        number = folder.name.rpartition("-")[2]
        if number.isdigit() and not psutil.pid_exists(int(number)):
            shutil.rmtree(folder, ignore_errors=True)
    own = root / f"captioner-{purpose}-{os.getpid()}"
    own.mkdir(exist_ok=True)
    return own
