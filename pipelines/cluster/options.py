"""The options of commands that can run on a cluster."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from captioner.pipelines.folder.options import FolderOptions


class ShardFormat(StrEnum):
    """What the shards of results are."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    TAR = "tar"


@dataclass(frozen=True, kw_only=True)
class ClusterOptions(FolderOptions):
    """What commands take that can also run on a cluster."""

    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|local",
            help="Run on a Ray cluster; inputs and -o, then a folder, may be at any fsspec address.  [default: here]",
        ),
    ] = None
    shard_size: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Files in a shard of results where inputs are no shards.")
    ] = 1000


@dataclass(frozen=True, kw_only=True)
class ShardOptions(ClusterOptions):
    """What commands take whose results on a cluster are shards."""

    shard_format: Annotated[
        ShardFormat, typer.Option(help="Of the results of --cluster: rows, or a tar file with photos and rows.")
    ] = ShardFormat.JSONL
