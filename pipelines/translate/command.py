"""`captioner translate`: inputs, outputs and the model come together here."""

import os
from collections.abc import Callable, Sequence
from functools import partial

from rich.console import Console

from captioner.errors import DataError, UsageError
from captioner.pipelines.folder.command import run_folder_command
from captioner.pipelines.folder.inputs import Inputs, find_inputs, identity, same_file, shown
from captioner.pipelines.folder.made import asked_of, made_by
from captioner.pipelines.folder.outputs import Outputs, Writer, writers_of
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.translate.documents import (
    INPUT_SUFFIXES,
    STANDARD_INPUT,
    SUFFIXES,
    Document,
    named,
    read_document,
)
from captioner.pipelines.translate.made import RowJournal
from captioner.pipelines.translate.options import TranslateOptions
from captioner.pipelines.translate.outputs import (
    AlignmentPages,
    Lines,
    Stream,
    Table,
    TranslatedRows,
    TranslatedSubtitles,
)


def translate(options: TranslateOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        ModelError: the model cannot be used.
    """
    from captioner.models.base import translator_to

    if (options.to is None) == (options.model is None):
        raise UsageError("name the language with --to, such as --to de, or a translator with --model, and not both.")
    model = options.model or translator_to(str(options.to))
    documents, found = _read(options.inputs, options.outputs or [])
    rows = {row.name: row for document in documents for row in document.rows}
    found.paths = list(rows)
    replaced = sum(row.translated for row in rows.values())
    found.remarks += [f"{replaced} of the rows had a translation already, which is replaced"] * bool(replaced)
    console = Console(stderr=True)
    outputs = Outputs(_writers(options, model, documents, found.problems))

    def work(todo: Sequence[str], meter: Meter, summary: Summary) -> None:
        from captioner.models.base import load
        from captioner.pipelines.translate.work import translate_rows

        translator = load(model, options.device, ("translate",))
        search = translator.config.search.but(beam_size=options.beam_size, num_captions=options.num_captions)
        pages = any(_suffix(path) == ".html" for path in options.outputs or [])
        translate_rows([rows[name] for name in todo], translator, outputs, search, meter, summary, alignment=pages)

    return run_folder_command(
        found,
        outputs,
        work,
        console,
        kind="rows",
        verb="translating",
        quiet=options.quiet,
        retry=None,
    )


def _read(arguments: Sequence[str], outputs: Sequence[str]) -> tuple[list[Document], Inputs]:
    """The inputs, each once, and what cannot be read or was passed over; an output in a folder of inputs is none."""
    documents, found = [], Inputs()
    paths: dict[str, str] = {}
    for argument in arguments:
        if argument == STANDARD_INPUT or os.path.isfile(argument):
            paths.setdefault(identity(argument), argument)
            continue
        listed = find_inputs([argument], INPUT_SUFFIXES, kind="texts")
        found.problems += listed.problems
        found.others.update(listed.others)
        found.left_out += listed.left_out
        for path in listed.paths:
            if not any(same_file(path, output) for output in outputs):
                paths.setdefault(identity(path), path)
    for path in paths.values():
        try:
            documents.append(read_document(path))
        except DataError as error:
            found.problems.append((named(path), str(error)))
    return documents, found


def _writers(
    options: TranslateOptions, model: str, documents: Sequence[Document], problems: Sequence[tuple[str, str]]
) -> list[Writer]:
    if not options.outputs:
        return [Stream(documents)]
    rows = [row for document in documents for row in document.rows]
    kinds = {document.kind for document in documents}
    several = options.num_captions > 1
    beam_size = options.beam_size or asked_of(model, "search").get("beam_size")
    made = made_by({"model": model}, beam_size=beam_size, num_captions=options.num_captions)

    def journal(path: str) -> RowJournal:
        return RowJournal(path, made, rows)

    def table(path: str) -> Writer:
        forms = {(document.columns, document.added) for document in documents}
        if "json" in kinds or len(forms) > 1 or several:
            raise UsageError(f"{shown(path)}: a table has one form of row and one translation a sentence; use .jsonl.")
        return Table(path, journal(path), *(forms.pop() if forms else ((), ())), overwrite=options.overwrite)

    def subtitles(path: str) -> Writer:
        if not documents and len(problems) == 1:
            raise UsageError(f"{problems[0][0]}: {problems[0][1]}.")
        if len(documents) != 1 or SUFFIXES[_suffix(path)] != documents[0].kind or several:
            raise UsageError(
                f"{shown(path)}: subtitles are the translation of one {_suffix(path)} file, one for each cue; .jsonl "
                "holds anything."
            )
        return TranslatedSubtitles(path, documents[0], journal(path), overwrite=options.overwrite)

    def choices(path: str) -> dict[str, Callable[[], Writer]]:
        if any(document.path != STANDARD_INPUT and same_file(path, document.path) for document in documents):
            raise UsageError(f"{shown(path)}: is an input and an output; choose another output.")
        return {
            ".txt": lambda: Lines(path, journal(path), overwrite=options.overwrite),
            ".jsonl": lambda: TranslatedRows(path, journal(path), overwrite=options.overwrite),
            ".csv": partial(table, path),
            ".srt": partial(subtitles, path),
            ".vtt": partial(subtitles, path),
            ".html": lambda: AlignmentPages(path, "Translations", rows, overwrite=options.overwrite, made_by=made),
        }

    return writers_of(options.outputs, choices)


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()
