"""The options of `captioner export` and `captioner push`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer


@dataclass(frozen=True, kw_only=True)
class ExportOptions:
    """What can be chosen when a captioner is exported."""

    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A captioner of photos: shipped, a folder, or hf-hub:owner/name.")
    ]
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="A new folder for it.")]
    form: Annotated[
        Literal["onnx", "openvino", "web"],
        typer.Option("--format", help="onnx, openvino, or web: a page that captions photos in the browser."),
    ] = "onnx"
    int8: Annotated[
        Path | None,
        typer.Option(
            metavar="PHOTOS",
            help="Compute the CNN in 8-bit integers, with scales from a folder of photos.  [default: no]",
        ),
    ] = None
    runtime: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="onnxruntime-web's files, for web.  [default: fetched with npm]"),
    ] = None


@dataclass(frozen=True, kw_only=True)
class PushOptions:
    """What can be chosen when a model is published."""

    model: Annotated[str, typer.Argument(metavar="FOLDER", help="A model folder, or a shipped model.")]
    repository: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Where it goes on the hub.")]
    public: Annotated[bool, typer.Option("--public", help="Anybody may read it.  [default: only its owner]")] = False
    license: Annotated[
        str | None, typer.Option(metavar="ID", help="Of the weights, such as cc-by-4.0.  [default: not said]")
    ] = None
    dataset: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="It learnt from, as the hub calls it; may be repeated.  [default: not said]"),
    ] = None
    message: Annotated[str, typer.Option(help="Of the commit.")] = "A model by captioner"
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be published, and ask nobody.")] = False
