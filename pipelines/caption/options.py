"""The options of `captioner caption`."""

from dataclasses import dataclass
from typing import Annotated

import typer

from captioner.pipelines.caption.wording import Style
from captioner.pipelines.cluster.options import ShardOptions

MAX_PIXELS = 200_000_000  # the largest phone cameras make
LM_WEIGHT = 0.1  # on Flickr8k's validation photos `captions` helped a little at 0.05 and 0.1, and harmed from 0.2 on


@dataclass(frozen=True, kw_only=True)
class CaptionOptions(ShardOptions):
    """What can be chosen when images and clips are captioned."""

    inputs: Annotated[
        list[str],
        typer.Argument(metavar="INPUT...", help="Images, clips, folders, archives, lists, patterns, or - for paths."),
    ]
    outputs: Annotated[
        list[str] | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="FILE.jsonl, .csv, .parquet, .json (COCO), .html, metadata.jsonl (imagefolder), or subtitles of one "
            "clip: .srt, .vtt; may be repeated.  [default: print]",
        ),
    ] = None
    sidecar: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[FORM]",
            help="Write a file beside each image: .txt or another suffix for texts (+.txt for a.jpg.txt), .xmp, or "
            ".srt beside each clip; may be repeated.  [default: none; .txt where it stands alone]",
        ),
    ] = None
    embed: Annotated[
        bool, typer.Option("--embed", help="Write captions into the photos' own files, as their description.")
    ] = False
    append: Annotated[bool, typer.Option("--append", help="Add captions to the texts that are there.")] = False
    prefix: Annotated[str, typer.Option(help="Written before each caption.  [default: none]", show_default=False)] = ""
    suffix: Annotated[str, typer.Option(help="Written behind each caption.  [default: none]", show_default=False)] = ""
    style: Annotated[Style, typer.Option(help="no-stop: no full stop; lower: lower case; plain: both.")] = "sentence"
    annotations: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="COCO captions file that gives the image ids for .json.  [default: names]"),
    ] = None
    model: Annotated[str, typer.Option(help="A shipped model, a model folder, or hf-hub:owner/name.")] = "photos"
    language: Annotated[str, typer.Option(help="Of the captions: en, or de or fr by a translator in the package.")] = (
        "en"
    )
    beam_size: Annotated[int | None, typer.Option(min=1, help="Hypotheses kept.  [default: the model's]")] = None
    num_captions: Annotated[int, typer.Option(min=1, max=10_000, help="Captions for each image.")] = 1
    max_length: Annotated[int | None, typer.Option(min=1, help="Maximum words.  [default: the model's]")] = None
    frames: Annotated[
        int | None,
        typer.Option(min=1, max=4096, help="Frames seen of a clip or segment.  [default: the model's, or 4]"),
    ] = None
    live: Annotated[bool, typer.Option("--live", help="Caption the clips of Live and motion photos too.")] = False
    every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", help="Also caption each window of this length.  [default: whole clips]"),
    ] = None
    scenes: Annotated[bool, typer.Option("--scenes", help="Also caption each scene of a clip.")] = False
    concepts: Annotated[
        bool, typer.Option("--concepts", help="List the words that each image shows too, in English, by probability.")
    ] = False
    lm: Annotated[str | None, typer.Option(help="A language model, for shallow fusion.  [default: none]")] = (
        None
    )
    lm_weight: Annotated[float | None, typer.Option(help=f"How much it has to say.  [default: {LM_WEIGHT}]")] = None
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse larger images, and clips with larger frames.")] = (
        MAX_PIXELS
    )
