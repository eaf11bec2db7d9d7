"""`captioner classify`: inputs, outputs and the model come together here."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rich.console import Console

from captioner.errors import UsageError
from captioner.pipelines.classify.options import ClassifyOptions
from captioner.pipelines.classify.outputs import LabelTable, label_columns
from captioner.pipelines.folder.command import run_folder_command
from captioner.pipelines.folder.inputs import find_inputs, identity, shown
from captioner.pipelines.folder.made import made_by
from captioner.pipelines.folder.outputs import CsvRows, JsonRows, JsonStream, Outputs, Writer, writer_of
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.tables import WindowRows
from captioner.pipelines.gallery.pages import ClipGallery


def classify(options: ClassifyOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        ModelError: the model cannot be used.
    """
    from captioner.vision.video import CLIP_SUFFIXES

    if options.every is not None and not options.every >= 0.1:
        raise UsageError(f"--every is {options.every:g}; give a positive number of seconds, at least 0.1.")
    found = find_inputs(options.inputs, CLIP_SUFFIXES, kind="clips", exclude=options.exclude or (), frames=True)
    console = Console(stderr=bool(options.outputs) or not sys.stdout.isatty())
    outputs = Outputs(_writers(options, found.paths, console))
    work = partial(_classify, outputs=outputs, options=options)
    return run_folder_command(found, outputs, work, console, kind="clips", verb="classifying", quiet=options.quiet)


def _classify(
    todo: Sequence[str], meter: Meter, summary: Summary, *, outputs: Outputs, options: ClassifyOptions
) -> None:
    from captioner.models.base import load
    from captioner.pipelines.classify.work import classify_clips

    model = load(options.model, options.device, kinds=("classify",))
    classify_clips(
        todo,
        model,
        outputs,
        meter,
        summary,
        top_k=min(options.top_k, len(model.config.labels)),
        every=options.every,
        batch_size=options.batch_size,
        workers=options.workers or min(8, os.cpu_count() or 1),
        pictures=any(path.lower().endswith(".html") for path in options.outputs or []),
    )


def _writers(options: ClassifyOptions, paths: Sequence[str], console: Console) -> list[Writer]:
    keys = [identity(path) for path in options.outputs or []]
    if len(set(keys)) < len(keys):
        raise UsageError("two outputs are the same file; name each once.")
    title = ", ".join(shown(os.path.basename(os.path.abspath(name))) for name in options.inputs if name != "-")

    rows: dict[str, Any] = {"overwrite": options.overwrite, "retry": options.retry}
    if options.outputs:
        rows["made_by"] = made_by({"model": options.model}, top_k=options.top_k, every=options.every)

    def choices(path: str) -> dict[str, Callable[[], Writer]]:
        def table() -> Writer:
            if options.every is not None:
                return WindowRows(path, label_columns(options.top_k), bom=options.bom, **rows)
            return CsvRows(path, ["path", *label_columns(options.top_k)], bom=options.bom, **rows)

        return {
            ".jsonl": lambda: JsonRows(path, **rows),
            ".csv": table,
            ".json": lambda: JsonRows(path, head=b"[\n", between=b",\n", tail=b"\n]\n", **rows),
            ".html": lambda: ClipGallery(path, title or "Clips", **rows),
        }

    writers = [writer_of(path, choices(path)) for path in options.outputs or []]
    return writers or [JsonStream() if console.stderr else LabelTable(console, paths)]
