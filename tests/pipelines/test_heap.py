import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import torch
from captioner.pipelines.heap import keep_freed
if sys.argv[1] == "kept":
    keep_freed()
step = lambda: torch.ones(10_000_000)
for _ in range(10):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the settings are glibc's")
def test_large_tensors_of_the_next_step_get_the_pages_of_the_last() -> None:
    def faults(mode: str) -> int:
        return int(
            subprocess.run([sys.executable, "-c", FAULTS, mode], check=True, capture_output=True, text=True).stdout
        )

    assert faults("kept") < faults("as it is") / 10
