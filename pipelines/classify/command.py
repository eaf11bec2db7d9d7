"""`captioner classify`: inputs, outputs and the model come together here."""

import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

from rich.console import Console

from captioner.errors import UsageError
from captioner.pipelines.classify.labels import label_files, read_labels
from captioner.pipelines.classify.options import ClassifyOptions
from captioner.pipelines.classify.outputs import LabelTable, label_columns
from captioner.pipelines.cluster.job import Work
from captioner.pipelines.folder.command import run_folder_command
from captioner.pipelines.folder.inputs import Inputs, find_inputs, shown
from captioner.pipelines.folder.made import made_by
from captioner.pipelines.folder.options import check_every
from captioner.pipelines.folder.outputs import CsvRows, JsonRows, JsonStream, Outputs, Writer, writers_of
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.tables import WindowRows
from captioner.pipelines.gallery.pages import ClipGallery


def classify(options: ClassifyOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        ModelError: the model cannot be used.
    """
    from captioner.vision.images import SUFFIXES
    from captioner.vision.video import CLIP_SUFFIXES

    check_every(options.every)
    if options.labels is None and (not options.model or options.template):
        wanted = "--template is a sentence for --labels" if options.template else "--model names a classifier"
        raise UsageError(f"{wanted}; give --model yoga, or --labels 'cat, dog' for labels in free words.")
    if (labels := options.labels) is not None:
        options = replace(options, model=options.model or "photos")
        _tell_unknown(options, read_labels(labels))  # a wrong list is an error before any work
    if options.cluster is not None:
        return _classify_on_cluster(options)
    suffixes = CLIP_SUFFIXES if options.labels is None else SUFFIXES | CLIP_SUFFIXES
    found = _find(options, options.inputs, suffixes)
    console = Console(stderr=bool(options.outputs) or not sys.stdout.isatty())
    outputs = Outputs(_writers(options, found.paths, console))

    def work(todo: Sequence[str], meter: Meter, summary: Summary) -> None:
        prepare(options)(todo, outputs, meter, summary)

    return run_folder_command(
        found, outputs, work, console, kind=_kind(options), verb="classifying", quiet=options.quiet
    )


def prepare(options: ClassifyOptions) -> Work:
    """Load the model; returns what classifies files and writes their records."""
    if options.labels is not None:
        return _prepare_labels(options, read_labels(options.labels))
    from captioner.models.base import load
    from captioner.pipelines.classify.work import classify_clips

    model = load(options.model, options.device, kinds=("classify",))
    pictures = any(path.lower().endswith(".html") for path in options.outputs or [])

    def work(todo: Sequence[str], outputs: Outputs, meter: Meter, summary: Summary) -> None:
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
            pictures=pictures,
        )

    return work


def _tell_unknown(options: ClassifyOptions, labels: Sequence[str]) -> None:
    """Say which labels have words that the model does not know.

    Raises:
        UsageError: no label is left.
        ModelError: there is no such model.
    """
    from captioner.models.base import find, kind_of
    from captioner.text.known import known_labels
    from captioner.text.vocabulary import Vocabulary

    folder = find(options.model)
    if kind_of(folder) != "caption":
        return  # which is told when it is loaded
    known, notes = known_labels(labels, Vocabulary.load(folder / "vocabulary.json"))
    if not known:
        raise UsageError(f"--labels: none is left; {'; '.join(notes)}.")
    for note in notes:
        Console(stderr=True).print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)


def _prepare_labels(options: ClassifyOptions, labels: Sequence[str]) -> Work:
    import torch

    from captioner.models.base import find, load
    from captioner.models.label import TEMPLATES, Labeller
    from captioner.models.search import Finder

    captioner = load(options.model, options.device, kinds=("caption",))
    if captioner.device.type == "cpu":
        torch.set_num_threads(1)  # every worker has one
    labeller = Labeller(Finder.load(find(options.model), captioner), labels, options.template or TEMPLATES)

    def work(todo: Sequence[str], outputs: Outputs, meter: Meter, summary: Summary) -> None:
        label_files(
            todo,
            labeller,
            outputs,
            meter,
            summary,
            top_k=min(options.top_k, len(labeller.labels)),
            every=options.every,
            batch_size=options.batch_size,
            workers=options.workers or min(8, os.cpu_count() or 1),
            pictures=any(path.lower().endswith(".html") for path in options.outputs or []),
        )

    return work


def rows_made_by(options: ClassifyOptions) -> dict[str, Any]:
    """What decides about classes."""
    made = made_by({"model": options.model}, top_k=options.top_k, every=options.every)
    if options.labels is not None:
        made |= {"labels": ", ".join(read_labels(options.labels)), "template": ", ".join(options.template or [])}
    return made


def _kind(options: ClassifyOptions) -> str:
    return "clips" if options.labels is None else "images or clips"


def _find(options: ClassifyOptions, arguments: Sequence[str], suffixes: Collection[str]) -> Inputs:
    from captioner.vision.images import SUFFIXES

    options_of_kind: dict[str, Any] = {"frames": True} if options.labels is None else {"packed": SUFFIXES}
    return find_inputs(arguments, suffixes, kind=_kind(options), exclude=options.exclude or (), **options_of_kind)


def _classify_on_cluster(options: ClassifyOptions) -> int:
    from captioner.pipelines.cluster.command import run_on_cluster
    from captioner.pipelines.cluster.job import Columns, Job, everywhere
    from captioner.vision.video import CLIP_SUFFIXES

    if options.labels is not None:
        raise UsageError("--labels are told on this machine only; leave --cluster out.")
    one: dict[str, Any] = {"label": str, "score": float}
    columns: Columns = {**one, "top": one}
    if options.every is not None:
        columns = {**columns, "segments": {"start": float, "end": float, **columns}}
    job = Job(
        replace(options, model=everywhere(options.model)),
        prepare,
        rows_made_by,
        _find,
        frozenset(CLIP_SUFFIXES),
        columns,
        text="label",
        kind="clips",
        verb="classifying",
        shard_format=options.shard_format,
    )
    return run_on_cluster(job)


def _writers(options: ClassifyOptions, paths: Sequence[str], console: Console) -> list[Writer]:
    title = ", ".join(shown(os.path.basename(os.path.abspath(name))) for name in options.inputs if name != "-")

    rows: dict[str, Any] = {"overwrite": options.overwrite, "retry": options.retry}
    if options.outputs:
        rows["made_by"] = rows_made_by(options)

    columns = [*label_columns(options.top_k), *(["margin"] if options.labels is not None else [])]

    def choices(path: str) -> dict[str, Callable[[], Writer]]:
        def table() -> Writer:
            if options.every is not None:
                return WindowRows(path, columns, bom=options.bom, **rows)
            return CsvRows(path, ["path", *columns], bom=options.bom, **rows)

        return {
            ".jsonl": lambda: JsonRows(path, **rows),
            ".csv": table,
            ".json": lambda: JsonRows(path, head=b"[\n", between=b",\n", tail=b"\n]\n", **rows),
            ".html": lambda: ClipGallery(path, title or "Clips", **rows),
        }

    writers = writers_of(options.outputs, choices)
    return writers or [JsonStream() if console.stderr else LabelTable(console, paths)]
