"""`captioner read`: inputs, outputs and the model come together here."""

import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from captioner.errors import UsageError
from captioner.pipelines.cluster.job import Work
from captioner.pipelines.folder.command import run_folder_command
from captioner.pipelines.folder.inputs import Inputs, find_inputs, shown
from captioner.pipelines.folder.made import made_by, stamp_of
from captioner.pipelines.folder.outputs import CsvRows, JsonRows, JsonStream, Outputs, Writer, writers_of
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
    if options.cluster is not None:
        return _read_on_cluster(options)
    found = _find(options, options.inputs, SUFFIXES, packed=SUFFIXES)
    console = Console(stderr=bool(options.outputs) or not sys.stdout.isatty())
    outputs = Outputs(_writers(options, found.paths, console))

    def work(todo: Sequence[str], meter: Meter, summary: Summary) -> None:
        prepare(options)(todo, outputs, meter, summary)

    return run_folder_command(found, outputs, work, console, kind="lines", verb="reading", quiet=options.quiet)


def _find(
    options: ReadOptions, arguments: Sequence[str], suffixes: Collection[str], packed: Collection[str] = ()
) -> Inputs:
    return find_inputs(arguments, suffixes, kind="images", exclude=options.exclude or (), packed=packed)


def prepare(options: ReadOptions) -> Work:
    """Load the models; returns what reads files and writes their records."""
    from captioner.models.base import load
    from captioner.pipelines.read.work import read_folder

    model = load(options.model, options.device, kinds=("read",))
    beam = _beam(options, model)
    pictures = any(path.lower().endswith(".html") for path in options.outputs or [])

    def work(todo: Sequence[str], outputs: Outputs, meter: Meter, summary: Summary) -> None:
        read_folder(
            todo,
            model,
            outputs,
            meter,
            summary,
            beam=beam,
            batch_size=options.batch_size,
            workers=options.workers or min(8, os.cpu_count() or 1),
            max_pixels=options.max_pixels,
            pictures=pictures,
        )

    return work


def _read_on_cluster(options: ReadOptions) -> int:
    from captioner.pipelines.cluster.command import run_on_cluster
    from captioner.pipelines.cluster.job import Job, everywhere
    from captioner.vision.images import SUFFIXES

    words = None if options.words is None else options.words.absolute()
    job = Job(
        replace(options, model=everywhere(options.model), lm=everywhere(options.lm), words=words),
        prepare,
        rows_made_by,
        _find,
        frozenset(SUFFIXES),
        {"text": str, "score": float},
        text="text",
        kind="lines",
        verb="reading",
        shard_format=options.shard_format,
    )
    return run_on_cluster(job)


def _beam(options: ReadOptions, model: "Reader") -> "Beam | None":
    """How to search; None where each column's likeliest character is taken."""
    from captioner.data.text import read_text
    from captioner.decoding.ctc import Beam
    from captioner.models.base import load
    from captioner.models.spelling import Speller
    from captioner.pipelines.read.words import word_list

    if options.beam_size == 1:
        return None
    beam = Beam(options.beam_size)
    if options.words is not None:
        beam.words = word_list(read_text(options.words), model)
        if beam.words is None:
            raise UsageError(f"{options.words}: no word there has only the characters that {options.model} knows.")
    if options.lm is not None:
        beam.language = Speller(load(options.lm, options.device, kinds=("language",)), model.alphabet)
        beam.weight = beam.weight if options.lm_weight is None else options.lm_weight
    return beam


def _writers(options: ReadOptions, paths: Sequence[str], console: Console) -> list[Writer]:
    title = ", ".join(shown(os.path.basename(os.path.abspath(name))) for name in options.inputs if name != "-")

    rows: dict[str, Any] = {"overwrite": options.overwrite, "retry": options.retry}
    if options.outputs:
        rows["made_by"] = rows_made_by(options)

    def choices(path: str) -> dict[str, Callable[[], Writer]]:
        return {
            ".jsonl": lambda: JsonRows(path, **rows),
            ".csv": lambda: CsvRows(path, COLUMNS, bom=options.bom, **rows),
            ".json": lambda: JsonRows(path, head=b"[\n", between=b",\n", tail=b"\n]\n", **rows),
            ".html": lambda: LineGallery(path, title or "Lines", **rows),
        }

    writers = writers_of(options.outputs, choices)
    return writers or [JsonStream() if console.stderr else TextTable(console, paths)]


def rows_made_by(options: ReadOptions) -> dict[str, Any]:
    """What decides about texts."""
    words = None if options.words is None else stamp_of(str(options.words))
    return made_by(
        {"model": options.model, "lm": options.lm},
        lm_weight=options.lm_weight,
        beam_size=options.beam_size,
        words=None if words is None else f"{options.words}@{words.size}-{words.checksum:08x}",
    )
