"""`--cluster`: inputs, results and Ray come together here."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from rich.console import Console

from captioner.data.names import first_few
from captioner.errors import CaptionerError, UsageError
from captioner.pipelines.cluster.inputs import find_shards
from captioner.pipelines.cluster.job import Job, Made
from captioner.pipelines.cluster.options import ClusterOptions
from captioner.pipelines.cluster.plan import Plan, ResultFolder, Shard
from captioner.pipelines.folder.inputs import shown
from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.stderr import own_stderr


def run_on_cluster(job: Job) -> int:
    """Do what a folder of results lacks yet, on a cluster; returns the exit status.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        DataError: a storage cannot be read or written.
        ClusterError: the cluster cannot be used.
    """
    with own_stderr(silence_python=True) as stderr:  # Ray says much of its inner affairs
        return _run(job, Console(file=stderr))


def _run(job: Job, console: Console) -> int:
    options = job.options
    address = _output(options)
    found = find_shards(
        options.inputs, job.suffixes, partial(job.find, options), kind=job.kind, exclude=options.exclude or ()
    )
    made_by = job.made_by(options)
    folder = ResultFolder(address, f".{job.shard_format}", made_by, overwrite=options.overwrite)
    plan = folder.plan(found, options.shard_size, options.exclude or (), retry=options.retry)
    summary = Summary()
    summary.add([Record(name, error=reason) for name, reason in found.problems])
    lost: dict[str, str] = {}
    empty: list[str] = []
    failed: dict[str, int] = {}
    failed_before, damaged = 0, list[str]()
    status = 0
    started = time.monotonic()
    try:
        if plan.todo:
            with Meter(len(plan.todo), "shards", console, verb=job.verb, quiet=options.quiet) as meter:
                _work(job, made_by, folder, plan, meter, summary, lost, empty, failed)
        else:
            folder.begin()
        if not lost:
            for name in folder.parts:  # of workers that were killed
                with suppress(CaptionerError):
                    folder.remove(name)
    except KeyboardInterrupt:
        status = 130
    else:
        failed_before, damaged = folder.count_failures(plan, failed)
    summary.seconds = time.monotonic() - started
    if not options.quiet:
        first = ["interrupted; the same command continues"] * (status == 130)
        for line in [
            *first,
            *summary.lines(job.kind),
            *_shard_lines(job, plan, lost, empty, failed_before),
            *found.notes,
        ]:
            console.print(line, highlight=False, markup=False, soft_wrap=True)
    for line in damaged:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    return status or int(bool(summary.failures or lost or failed_before or damaged))


def made_shards(
    job: Job,
    made_by: Mapping[str, Any],
    todo: Sequence[tuple[Shard, str]],
    begin: Callable[[], None] = lambda: None,
) -> Iterator[tuple[Shard, Made]]:
    """Have shards made, and tell of each, also of those whose workers were killed, what became of it.

    Args:
        job: what to do.
        made_by: what makes rows, as the driver sees it.
        todo: each shard with the address of its results.
        begin: is called once the cluster can be used; what is there is left alone until then.

    Raises:
        ClusterError: the cluster cannot be used.
    """

    def begun() -> Iterator[tuple[Shard, str]]:
        begin()
        yield from todo

    from captioner.pipelines.cluster.on_ray import run_shards  # only now: Ray is an extra, and slow to import

    left = {shard.name: shard for shard, _ in todo}
    for made in run_shards(job, made_by, begun()):
        yield left.pop(made.name), made
    for shard in left.values():
        reason = (
            f"{shard.shown or shard.name}: its worker ended each time that it was tried; see whether one of its files "
            "needs more memory than a worker has."
        )
        yield shard, Made(shard.name, Summary(), reason)


def _work(
    job: Job,
    made_by: dict[str, object],
    folder: ResultFolder,
    plan: Plan,
    meter: Meter,
    summary: Summary,
    lost: dict[str, str],
    empty: list[str],
    failed: dict[str, int],
) -> None:
    """Have the shards made.

    What becomes of them is added to `summary`, or to `lost`, by the names of their inputs; `empty` gets archives in
    which there was nothing to do, and `failed` how many files of each shard could not be used.
    """
    todo = [(shard, folder.address_of(shard)) for shard in plan.todo]
    for shard, made in made_shards(job, made_by, todo, folder.begin):
        summary.merge(made.summary)
        if made.error:
            lost[shard.shown or shard.name] = made.error
        else:
            failed[shard.name] = made.summary.failures.total()
        if shard.replaces and not made.error:
            summary.changed += 1
            for name in shard.replaces:
                folder.remove(name)
        if not (made.error or made.summary.written or made.summary.failures):
            empty.append(shard.shown)
        meter.advance(1, int(bool(made.error)))


def _output(options: ClusterOptions) -> str:
    """The folder of results.

    Raises:
        UsageError: there is none, or something is asked for that files on one machine have only.
    """
    if len(options.outputs or []) != 1:
        raise UsageError("--cluster writes into one folder; name it with -o, at any address.")
    address = (options.outputs or [""])[0]
    if re.search(r"\.(jsonl|csv|json|html|parquet|tar|srt|vtt)$", address.lower()):
        raise UsageError(
            f"{shown(address)}: with --cluster the output is a folder, for a file a shard; --shard-format says of "
            "what form."
        )
    if address.startswith("memory://"):
        raise UsageError(f"{shown(address)}: would be lost with the processes that write it; name a folder on a disk.")
    if "-" in options.inputs:
        raise UsageError("-: with --cluster a list of inputs is a file that ends in .txt.")
    return address


def _shard_lines(job: Job, plan: Plan, lost: dict[str, str], empty: Sequence[str], failed_before: int) -> list[str]:
    again = f", in which {failed_before:,} {job.kind} had failed; --retry makes these again" if failed_before else ""
    lines = [f"{len(plan.before)} shards were done before{again}"] * bool(plan.before)
    if plan.failed:
        lines.append(f"{plan.failed} shards with failures were made again")
    if lost:
        lines.append(f"{len(lost)} shards were not done; the same command tries them again:")
        lines += [f"  {reason}" for reason in list(lost.values())[:5]]
        if len(lost) > 5:
            lines.append(f"  and {len(lost) - 5} more")
    if empty:
        lines.append(f"no {job.kind} in {first_few(list(map(shown, empty)))}")
    return lines
