"""Several processes of one training on one machine, as torchrun and accelerate launch start them; mostly it is one."""

import logging
import os
from collections.abc import Callable
from datetime import timedelta
from typing import TypeVar

import torch
from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import broadcast_object_list, gather_object

from captioner.errors import CaptionerError, UsageError
from captioner.models.base import choose_device

Found = TypeVar("Found")
PATIENCE = timedelta(hours=6)
"""How long processes wait for the main one, which validates alone, and for each other's share of a cache."""


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
        UsageError: no such device, one GPU is named for several processes, the processes are on several machines, or
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
    if several and int(os.environ.get("LOCAL_WORLD_SIZE", count())) != count():
        raise UsageError("the processes of a training share files, so start all of them on one machine.")
    if several and chosen.type == "cuda" and count() > torch.cuda.device_count():
        raise UsageError(
            f"{count()} processes want a GPU each, and PyTorch finds {torch.cuda.device_count()}; start fewer, or use "
            "--device cpu."
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
