"""The options of `captioner evaluate` and `captioner evaluate-text`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from captioner.pipelines.folder.options import Device, JsonFile


@dataclass(frozen=True, kw_only=True)
class EvaluateOptions:
    """What can be chosen when captions are scored."""

    annotations: Annotated[
        Path,
        typer.Option(
            "--annotations",
            "-a",
            help="Captions by people: COCO's or Karpathy's JSON, plain or packed, a table, or a folder with texts "
            "beside photos; docs/guides/captions.md has all forms.",
        ),
    ]
    results: Annotated[
        Path | None,
        typer.Option(
            "--results", "-r", help="COCO results, or .jsonl, .csv, .tsv or .parquet of captions.  [default: --images']"
        ),
    ] = None
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the photos, to caption first; with --results to show in the report.  [default: none]"
        ),
    ] = None
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FILE.jsonl", help="Where --images keeps its captions.  [default: by model]"
        ),
    ] = None
    model: Annotated[str, typer.Option(help="A shipped model, a model folder, or hf-hub:owner/name.")] = "photos"
    device: Device = "auto"
    lm: Annotated[
        str | None, typer.Option(help="With --images: a language model, as in captioner caption.  [default: none]")
    ] = None
    lm_weight: Annotated[
        float | None, typer.Option(help="Weight of its log-probabilities.  [default: as in captioner caption]")
    ] = None
    split: Annotated[str | None, typer.Option(help="Part of a Karpathy file.  [default: test]")] = None
    retrieval: Annotated[
        bool, typer.Option("--retrieval", help="With --images: how well captions find their photos, and the reverse.")
    ] = False
    metrics: Annotated[str, typer.Option(help="Any of bleu,rouge,cider; meteor,spice with Java.")] = "bleu,rouge,cider"
    tokens: Annotated[
        str | None,
        typer.Option(
            help="ptb (COCO's scorer, English), unicode (any language), unicode-cased.  [default: ptb, or the model's]"
        ),
    ] = None
    json: Annotated[
        str | None, typer.Option(metavar="FILE|-", help="Write scores as JSON; - prints only that.  [default: none]")
    ] = None
    html: Annotated[
        Path | None, typer.Option(help="Write a report with the best and worst images.  [default: none]")
    ] = None
    compare: Annotated[
        Path | None, typer.Option(help="Other results for the same images, for a paired test.  [default: none]")
    ] = None
    training: Annotated[
        Path | None,
        typer.Option(help="Captions the model was trained on, to count copies.  [default: a Karpathy file's own]"),
    ] = None
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Score what is there; the signature says so.")
    ] = False
    overwrite: Annotated[bool, typer.Option("--overwrite", help="With --images: caption all photos afresh.")] = False
    retry: Annotated[bool, typer.Option("--retry", help="With --images: try again the photos that failed before.")] = (
        False
    )
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no table.")] = False


@dataclass(frozen=True, kw_only=True)
class EvaluateTextOptions:
    """What can be chosen when translations are scored."""

    reference: Annotated[Path, typer.Argument(metavar="REFERENCE", help="Text, a sentence a line, plain or .gz.")]
    hypothesis: Annotated[Path, typer.Argument(metavar="HYPOTHESIS", help="Its lines are scored.")]
    compare: Annotated[
        Path | None, typer.Option(help="Another system's lines, for a paired test.  [default: none]")
    ] = None
    lowercase: Annotated[bool, typer.Option("--lowercase", help="Ignore case.")] = False
    tokenize: Annotated[str, typer.Option(help="13a, intl, char, or none for text that is tokenised.")] = "13a"
    samples: Annotated[int, typer.Option(min=100, max=100_000, help="Bootstrap samples.")] = 1000
    json: JsonFile = None
