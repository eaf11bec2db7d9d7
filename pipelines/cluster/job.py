"""What a command hands to the cluster: how its work is prepared and what its rows are made of."""

import os
import platform
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

from captioner.errors import CaptionerError
from captioner.pipelines.cluster.options import ClusterOptions, ShardFormat
from captioner.pipelines.folder.inputs import Inputs
from captioner.pipelines.folder.outputs import Outputs
from captioner.pipelines.folder.progress import Meter, Summary

Work = Callable[[Sequence[str], Outputs, Meter, Summary], None]
"""Does some files: writes their records, tells the meter of every batch, and adds them to the summary."""

Name = TypeVar("Name", str, str | None)

Columns = Mapping[str, Any]
"""Names and types of a row's fields: `str`, `float`, or the columns of each item of a list."""


class ClusterError(CaptionerError):
    """The cluster cannot be used, or one of its machines cannot do the work."""


@dataclass(frozen=True)
class Job:
    """A command's work, as it is sent to workers.

    Attributes:
        options: of the command.
        prepare: loads the models, once a worker, and returns the work.
        made_by: what makes rows, from the options; it must be the same on the driver and on each worker.
        find: the inputs that arguments on this machine stand for; takes options, arguments, and suffixes of files.
        suffixes: of the files that are wanted, in lower case with the dot.
        columns: of its rows besides `path`, `warning` and `error`.
        text: the column that people read.
        kind: what the files are, in the plural.
        verb: what is done to them, as in `captioning images`.
        shard_format: of the results.
    """

    options: ClusterOptions
    prepare: Callable[[Any], Work]
    made_by: Callable[[Any], dict[str, Any]]
    find: Callable[[Any, Sequence[str], Collection[str]], Inputs]
    suffixes: frozenset[str]
    columns: Columns
    text: str
    kind: str
    verb: str
    shard_format: ShardFormat = ShardFormat.JSONL


@dataclass(frozen=True)
class Made:
    """What became of a shard.

    Attributes:
        name: of the shard.
        summary: of its files.
        error: why it was not made.
    """

    name: str
    summary: Summary
    error: str | None = None


def everywhere(model: Name) -> Name:
    """A model's name such that it means the same in whatever folder a worker runs; None stays None."""
    from captioner.models.base import shipped

    if model is None or model in shipped() or not os.path.isdir(model):
        return model
    return os.path.abspath(model)


def versions() -> dict[str, str]:
    """What else decides about rows: the versions that must not differ between driver and workers."""
    found = {"python": platform.python_version()}
    for name in ("captioner", "torch", "openvino", "numpy", "opencv-python", "pillow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found
