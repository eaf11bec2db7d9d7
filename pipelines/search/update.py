"""Bring an index up to date: what it lacks is looked at, on this machine or on a cluster."""

import os
from collections.abc import Mapping, Sequence
from functools import partial

from filelock import FileLock, Timeout
from rich.console import Console

from captioner.errors import UsageError
from captioner.models.searcher import Searcher
from captioner.pipelines.folder.command import run_folder_command
from captioner.pipelines.folder.inputs import Inputs, shown
from captioner.pipelines.folder.made import Stamp, name_and_digest
from captioner.pipelines.folder.outputs import Outputs
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.search.index import Index, check_index
from captioner.pipelines.search.options import SearchOptions
from captioner.pipelines.search.work import FRAMES, KIND, VERB, index_files, load_finder
from captioner.user_cache import cache_folder

_SLOW = "has no search.json, so each query is read against every photo, which takes long; captioner train makes one"


def bring_up_to_date(
    options: SearchOptions, found: Inputs, told: Mapping[str, Stamp], searcher: Searcher, console: Console
) -> tuple[Index, int]:
    """The index, which knows all inputs but those that could not be read, and the exit status.

    Args:
        options: of the command.
        found: the inputs.
        told: on a cluster, stamps of those at other addresses, as their storages tell.
        searcher: what the index is for.
        console: for progress and the summary.

    Raises:
        UsageError: the index cannot be written, or is something else.
        ClusterError: the cluster cannot be used.
    """
    digest = name_and_digest(options.model)[1]
    path = options.index or str(cache_folder() / f"search-{digest}-{options.every:g}.index")
    if options.index is None:
        cache_folder().mkdir(parents=True, exist_ok=True)
    check_index(path)
    try:
        lock = FileLock(f"{path}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            waiting = f"another process is building {shown(path)}; waiting for it"
            console.print(waiting, highlight=False, markup=False, soft_wrap=True)
            lock.acquire()
    except OSError as error:
        raise UsageError(f"{shown(path)}: cannot be written ({error.strerror}); choose another --index.") from error
    try:
        made_by = {"model": digest, "every": options.every, "frames": FRAMES}
        index = Index(path, made_by, retry=options.retry, anew=options.overwrite and not options.outputs)
        index.told = told
        given = [*found.paths, *(path for path, _ in found.problems)]
        states = [index.holds(each) for each in given]
        index.forget_gone(options.inputs)  # only now, since a file may have moved
        if None in states:
            if not options.quiet and searcher.config is None:
                console.print(f"{options.model}: {_SLOW}", highlight=False, markup=False, soft_wrap=True)
            if options.cluster is None:
                work = partial(look_at, options=options, index=index)
                status = run_folder_command(
                    found, Outputs([index]), work, console, kind=KIND, verb=VERB, quiet=options.quiet
                )
            else:
                from captioner.pipelines.search.on_cluster import look_on_cluster

                status = look_on_cluster(options, found, index, made_by)
            return Index(path, made_by), status
    finally:
        lock.release()
    failed = [path for path, state in zip(given, states, strict=True) if state]
    if failed and not options.quiet:
        note = f"{len(failed)} could not be read before, such as {shown(failed[0])}; --retry tries again"
        console.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
    for note in () if options.quiet else index.notes():
        console.print(note, highlight=False, markup=False, soft_wrap=True)
    return index, int(any(states))


def look_at(todo: Sequence[str], meter: Meter, summary: Summary, *, options: SearchOptions, index: Index) -> None:
    """Look at files on this machine, and put what was seen into an index."""
    finder = load_finder(options)
    index.set_shape(finder.shape)
    index_files(
        todo,
        finder,
        Outputs([index]),
        meter,
        summary,
        every=options.every,
        batch_size=options.batch_size,
        workers=options.workers or min(8, _cores()),
    )


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
