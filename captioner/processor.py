"""What this machine's processor can do, and how its cores are shared."""

import functools
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import torch

log = logging.getLogger(__name__)


@functools.cache
def multiplies_bfloat16() -> bool:
    """Whether this CPU has instructions for bfloat16 products; without them they are slower than float32's."""
    if not hasattr(torch.cpu, "get_capabilities"):
        log.warning("This PyTorch does not say what the CPU can do, so float32 is used everywhere, more slowly")
        return False
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


@contextmanager
def one_thread_each(several: bool = True) -> Iterator[None]:
    """One thread of PyTorch's for each thread that is begun inside, where these are to share the cores.

    Args:
        several: whether there are several; where not, nothing changes.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if several else threads)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
