"""`captioner read`: inputs, outputs and the model come together here."""

import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from rich.console import Console

from captioner.errors import UsageError
from captioner.pipelines.folder.command import run_folder_command
from captioner.pipelines.folder.inputs import find_inputs, identity, shown
from captioner.pipelines.folder.made import made_by, stamp_of
from captioner.pipelines.folder.outputs import CsvRows, JsonRows, JsonStream, Outputs, Writer, writer_of
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.gallery.lines import LineGallery
from captioner.pipelines.read.options import ReadOptions
from captioner.pipelines.read.outputs import COLUMNS, TextTable

if TYPE_CHECKING:  # importing it takes seconds
    from captioner.decoding.ctc import Beam
    from captioner.models.read import Reader


def read(options: ReadOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        ModelError: the model cannot be used.
    """
    from captioner.vision.images import SUFFIXES

    if options.beam_size == 1 and (options.words is not None or options.lm is not None):
        raise UsageError("--words and --lm are for a search only; give --beam-size, such as 8.")
    if options.lm_weight is not None and options.lm is None:
        raise UsageError("--lm-weight says how much --lm counts; give both.")
    found = find_inputs(options.inputs, SUFFIXES, kind="images", exclude=options.exclude or (), packed=SUFFIXES)
    console = Console(stderr=bool(options.outputs) or not sys.stdout.isatty())
    outputs = Outputs(_writers(options, found.paths, console))
    work = partial(_read, outputs=outputs, options=options)
    return run_folder_command(found, outputs, work, console, kind="lines", verb="reading", quiet=options.quiet)


def _read(todo: Sequence[str], meter: Meter, summary: Summary, *, outputs: Outputs, options: ReadOptions) -> None:
    from captioner.models.base import load
    from captioner.pipelines.read.work import read_folder

    model = load(options.model, options.device, kinds=("read",))
    read_folder(
        todo,
        model,
        outputs,
        meter,
        summary,
        beam=_beam(options, model),
        batch_size=options.batch_size,
        workers=options.workers or min(8, os.cpu_count() or 1),
        max_pixels=options.max_pixels,
        pictures=any(path.lower().endswith(".html") for path in options.outputs or []),
    )


def _beam(options: ReadOptions, model: "Reader") -> "Beam | None":
    """How to search; None where each column's likeliest character is taken."""
    from captioner.data.text import read_text
    from captioner.decoding.ctc import Beam, WordList
    from captioner.models.base import load
    from captioner.models.spelling import Speller
    from captioner.text.alphabet import normalise

    if options.beam_size == 1:
        return None
    beam = Beam(options.beam_size)
    if options.words is not None:
        words = {word for line in read_text(options.words) for word in normalise(line).split()}
        known = [model.alphabet.encode(word) for word in sorted(words) if all(each in model.alphabet for each in word)]
        if not known:
            raise UsageError(f"{options.words}: no word there has only the characters that {options.model} knows.")
        space = model.alphabet.encode(" ")
        beam.words = WordList(known, space[0] if space else None)
    if options.lm is not None:
        beam.language = Speller(load(options.lm, options.device, kinds=("language",)), model.alphabet)
        beam.weight = beam.weight if options.lm_weight is None else options.lm_weight
    return beam


def _writers(options: ReadOptions, paths: Sequence[str], console: Console) -> list[Writer]:
    keys = [identity(path) for path in options.outputs or []]
    if len(set(keys)) < len(keys):
        raise UsageError("two outputs are the same file; name each once.")
    title = ", ".join(shown(os.path.basename(os.path.abspath(name))) for name in options.inputs if name != "-")

    rows: dict[str, Any] = {"overwrite": options.overwrite, "retry": options.retry}
    if options.outputs:
        words = None if options.words is None else stamp_of(str(options.words))
        rows["made_by"] = made_by(
            {"model": options.model, "lm": options.lm},
            lm_weight=options.lm_weight,
            beam_size=options.beam_size,
            words=None if words is None else f"{options.words}@{words.size}-{words.checksum:08x}",
        )

    def choices(path: str) -> dict[str, Callable[[], Writer]]:
        return {
            ".jsonl": lambda: JsonRows(path, **rows),
            ".csv": lambda: CsvRows(path, COLUMNS, bom=options.bom, **rows),
            ".json": lambda: JsonRows(path, head=b"[\n", between=b",\n", tail=b"\n]\n", **rows),
            ".html": lambda: LineGallery(path, title or "Lines", **rows),
        }

    writers = [writer_of(path, choices(path)) for path in options.outputs or []]
    return writers or [JsonStream() if console.stderr else TextTable(console, paths)]
