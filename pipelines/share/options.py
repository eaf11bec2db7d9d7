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
