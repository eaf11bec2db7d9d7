"""Check whether a computation over many steps fits in memory before it is tried."""

from pathlib import Path

import psutil
import torch

from captioner.errors import DataError

_CONTROL_GROUP = Path("/sys/fs/cgroup")


def require_memory(
    *, each_step: int, steps: int, what: str, besides: int = 0, device: str | torch.device = "cpu"
) -> None:
    """Refuse more steps than memory allows.

    Args:
        each_step: bytes that every step keeps.
        steps: how many there are.
        what: needs them, for the message; a plural.
        besides: bytes that do not depend on the steps.
        device: whose memory counts.

    Raises:
        DataError: it does not fit; the message says how many steps would.
    """
    needed, free = each_step * steps + besides, free_memory(device)
    if needed <= free:
        return
    most = (free - besides) // each_step
    remedy = f"take at most {most:,} steps" if most > 0 else "take a smaller network or fewer sequences"
    raise DataError(
        f"{what} over {steps:,} steps need about {_size(needed)} of memory, but {_size(free)} are free; {remedy}."
    )


def free_memory(device: str | torch.device = "cpu") -> int:
    """Bytes that can still be used on a device."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = int(psutil.virtual_memory().available)
    try:  # a container's limit; the system's figures are those of the whole machine
        limit, used = (int((_CONTROL_GROUP / name).read_text("ascii")) for name in ("memory.max", "memory.current"))
    except (OSError, ValueError):  # there is none
        return free
    return max(0, min(free, limit - used))


def _size(count: int) -> str:
    return f"{count / 1e9:,.1f} GB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"
