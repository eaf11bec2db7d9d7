"""The options of `captioner translate`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from captioner.pipelines.folder.options import Device


@dataclass(frozen=True, kw_only=True)
class TranslateOptions:
    """What can be chosen when texts are translated."""

    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...",
            help="Text, captions (.jsonl, .json, .csv, .tsv), subtitles (.srt, .vtt); folders, patterns, or - to read.",
        ),
    ]
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="FILE.txt, .jsonl, .csv, .srt, .vtt or .html; may be repeated.  [default: print]",
        ),
    ] = None
    to: Annotated[
        str | None, typer.Option(metavar="LANGUAGE", help="de or fr, by a model in the package.  [default: by --model]")
    ] = None
    model: Annotated[
        str | None, typer.Option(help="A translator: a model folder, or hf-hub:owner/name.  [default: by --to]")
    ] = None
    beam_size: Annotated[int | None, typer.Option(min=1, help="Hypotheses kept.  [default: the model's]")] = None
    num_captions: Annotated[int, typer.Option(min=1, max=10_000, help="Translations of each sentence.")] = 1
    device: Device = "auto"
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Start outputs afresh.")] = False
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no summary.")] = False
