"""The options of `captioner search`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from captioner.pipelines.cluster.options import ClusterOptions


@dataclass(frozen=True, kw_only=True)
class SearchOptions(ClusterOptions):
    """What can be chosen when photos and moments are searched for."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="QUERY INPUT...",
            help="A sentence, and images, clips, folders, patterns, or - to read paths. Only inputs with --like or "
            "--queries.",
        ),
    ]
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output", "-o", metavar="FILE", help="FILE.jsonl, .csv or .html; may be repeated.  [default: print]"
        ),
    ] = None
    top: Annotated[int, typer.Option(min=1, max=10_000, help="Photos and moments for each query.")] = 10
    like: Annotated[
        str | None, typer.Option(metavar="PHOTO", help="Find what resembles a photo.  [default: none]")
    ] = None
    queries: Annotated[
        str | None,
        typer.Option(metavar="FILE|-", help="Sentences, one a line; - answers them as they come.  [default: none]"),
    ] = None
    model: Annotated[str, typer.Option(help="photos, a photo captioner's folder, or hf-hub:owner/name.")] = "photos"
    index: Annotated[
        str | None, typer.Option(metavar="FILE", help="Where the index is kept.  [default: in the user's cache]")
    ] = None
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the files of --output; without any, build the index anew.")
    ] = False
    every: Annotated[float, typer.Option(metavar="SECONDS", help="Length of the moments of a clip.")] = 2.0
    cluster: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|local",
            help="Look at what is new on a Ray cluster; inputs may be at any fsspec address.  [default: here]",
        ),
    ] = None
    shards: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="With --cluster, a folder that all machines reach, for what they saw until the index has it.  "
            "[default: beside the index if local]",
        ),
    ] = None
    translator: Annotated[
        str | None,
        typer.Option(help="Of queries into English: a translator's folder.  [default: one in the package]"),
    ] = None
