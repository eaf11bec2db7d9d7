"""Several processes of one training, as torchrun and accelerate launch start them; mostly it is one."""

import logging
import os
import platform
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, gather_object

from captioner.errors import CaptionerError, UsageError
from captioner.models.base import choose_device
from captioner.weights import write_atomically

Found = TypeVar("Found")
PATIENCE = timedelta(hours=6)
"""How long processes wait for the main one, which validates alone, and for each other's share of a cache."""

_LOOKS = 60  # seconds

_OF_ACCELERATE = {
    "ACCELERATE_USE_DEEPSPEED": "false",
    "ACCELERATE_USE_FSDP": "false",
    "ACCELERATE_USE_MEGATRON_LM": "false",
    "ACCELERATE_USE_PARALLELISM_CONFIG": "false",
    "ACCELERATE_GRADIENT_ACCUMULATION_STEPS": "1",
    "ACCELERATE_DYNAMO_BACKEND": "no",
}
"""What `accelerate config` may ask for besides processes, with the value that asks for nothing. accelerate would do it:
divide losses or spread weights, without a word in the configuration of the training."""


def join(device: str) -> torch.device:
    """Meet the other processes, if there are any; the first call decides.

    Args:
        device: `auto`, `cpu`, `cuda` or `cuda:N`.

    Returns:
        the device of this process: of several, each has a GPU of its own.

    Raises:
        UsageError: no such device, one GPU is named for several processes, machines have not equally many processes, or
            accelerate's own configuration asks for what trainings here do not know.
    """
    chosen, several = choose_device(device), count() > 1
    for setting, harmless in _OF_ACCELERATE.items():
        if os.environ.get(setting, harmless).lower() not in (harmless, "", "0"):
            raise UsageError(
                f"accelerate was told {setting}={os.environ[setting]}, which trainings here do not know; run "
                "accelerate config again without it, or use torchrun."
            )
    if several and chosen.index is not None:
        raise UsageError(f"device is {device}, but each process takes a GPU of its own; leave --device out.")
    if count() % local_count():
        raise UsageError(f"{count()} processes, and {local_count()} of them here: start equally many on each machine.")
    if several and chosen.type == "cuda" and local_count() > torch.cuda.device_count():
        raise UsageError(
            f"{local_count()} processes want a GPU each, and PyTorch finds {torch.cuda.device_count()}; start fewer or "
            "use --device cpu."
        )
    if not is_main():
        logging.disable(logging.WARNING)  # the main process warns
    if chosen.index is not None:
        torch.cuda.set_device(chosen)  # accelerate knows only the current one
    if not several:
        AcceleratorState._reset_state(reset_partial_state=True)  # an earlier training's device and precision
    state = PartialState(cpu=chosen.type == "cpu", timeout=PATIENCE)
    return state.device if several else chosen


def count() -> int:
    """How many processes there are."""
    return int(os.environ.get("WORLD_SIZE", 1)) if "LOCAL_RANK" in os.environ else 1


def place() -> int:
    """The number of this process, from 0."""
    return int(os.environ["RANK"]) if count() > 1 else 0


def local_count() -> int:
    """How many of them are on this machine."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", count())) if count() > 1 else 1


def machines() -> int:
    """On how many machines they are."""
    return count() // local_count()


def machine() -> int:
    """The number of this machine, from 0; the main process is on the first."""
    return place() // local_count()


def is_main() -> bool:
    """Whether this is the process that validates, writes and prints."""
    return place() == 0


def wait() -> None:
    """Wait until all processes have come here."""
    if count() > 1:
        PartialState().wait_for_everyone()


def by_main(job: Callable[[], None]) -> None:
    """Let the main process do a job while the others wait.

    Raises:
        CaptionerError: what the job raised; the other processes then end without a word.
    """
    error = None
    if is_main():
        try:
            job()
        except CaptionerError as raised:
            error = raised
    failed = [error is not None]
    if count() > 1:
        broadcast_object_list(failed)
    if error is not None:
        raise error
    if failed[0]:
        raise SystemExit(2)


def check_shared(folder: Path) -> None:
    """See that all processes have one folder in common, which the main one can write.

    Raises:
        UsageError: a machine sees another folder.
    """
    if machines() == 1:
        return
    token = [f"{time.time_ns()}"]
    broadcast_object_list(token)
    path = folder / ".together"
    by_main(lambda: write_atomically(path, token[0]))
    for _ in range(_LOOKS):  # a file system of several machines may show a new file late
        with suppress(OSError):
            if path.read_text("utf-8") == token[0]:
                break
        time.sleep(1)
    else:
        raise UsageError(
            f"{folder}: on {platform.node()} this is another folder than on the first machine; name one with -o that "
            "all machines have in common."
        )
    wait()
    by_main(path.unlink)


def joined(found: dict[Found, str]) -> dict[Found, str]:
    """The dictionaries of all processes as one; waits for all."""
    if count() == 1:
        return found
    return dict(gather_object(list(found.items())))


def leave() -> None:
    """Part from the other processes, after waiting for them."""
    if count() > 1:
        wait()
        PartialState().destroy_process_group()
