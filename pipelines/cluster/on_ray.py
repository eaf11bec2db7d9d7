"""Ray Data runs the workers: as many as the cluster has cores or GPUs, each given a shard when it has done one.

Ray's usage statistics are off: nothing is sent anywhere.
"""

import json
import logging
import math
import os
import re
import shutil
import socket
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from captioner.pipelines.cluster.job import ClusterError, Job, Made, versions
from captioner.pipelines.cluster.own_folder import own_folder
from captioner.pipelines.cluster.plan import Shard
from captioner.pipelines.cluster.worker import Expected, ShardWorker
from captioner.pipelines.folder.progress import Summary

MEMORY = 3 << 29
"""Bytes declared for a worker: it holds a model and a few hundred photos, 1.0 GiB at its largest when measured."""
_TRIES = 3  # of a shard whose worker was killed, besides the first
_BLOCKS = 10_000  # Ray Data keeps account of each; with more shards several go together
_STORE = 200 << 20  # bytes of the local object store, in which only names of shards and summaries lie
_SECONDS = 5.0  # to wait for an address


def run_shards(job: Job, made_by: Mapping[str, Any], shards: Iterable[tuple[Shard, str]]) -> Iterator[Made]:
    """Make shards of results, on the cluster that the job's options name.

    Args:
        job: what to do.
        made_by: what makes rows, as the driver sees it.
        shards: each with the address of its results; they are asked for when the cluster has room for a worker.

    Raises:
        ClusterError: the cluster cannot be reached or has no room for a worker, or a worker cannot do the job.
    """
    ray = _import_ray()
    with _connected(ray, job.options.cluster or "local", job.options.workers):
        needs, count = _workers(ray, job)
        rows = [row_of(shard, output) for shard, output in shards]
        # Tasks, not actors: an actor whose machine is lost waits for another with room, and its shards with it. A
        # process that has done a task gets the next one, and keeps its models.
        data = ray.data.from_items(rows, override_num_blocks=min(len(rows), _BLOCKS)).map(
            _make_shard,
            fn_args=(job, Expected(versions(), made_by), needs["num_cpus"]),
            compute=ray.data.TaskPoolStrategy(min(count, len(rows))),
            max_calls=0,
            max_retries=_TRIES,
            **needs,
        )
        try:
            for row in data.iter_rows():
                yield made(row)
        except ray.exceptions.RayError as error:
            raise ClusterError(f"the cluster ended the work: {_cause(error)}; the same command continues.") from error


def _make_shard(row: dict[str, Any], job: Job, expected: Expected, threads: int) -> dict[str, Any]:
    """Make a shard in a worker's process, which loads its models the first time."""
    import ray

    gpus = ray.get_gpu_ids()
    device = f"cuda:{gpus[0]}" if gpus else "cpu"
    if device not in _workers_here:
        from captioner.vision.compiled import share_cores

        share_cores(threads)  # with the other workers of this machine
        _workers_here[device] = ShardWorker(job, expected, threads, device)
    return _workers_here[device](row)


_workers_here: dict[str, ShardWorker] = {}
"""Of this process, by device: a process serves one driver only."""


def row_of(shard: Shard, output: str) -> dict[str, str]:
    """A shard that is to be made, and the address of its results, as `ShardWorker` takes it."""
    return {"shard": json.dumps(asdict(shard)), "output": output}


def made(row: Mapping[str, str]) -> Made:
    """What became of a shard, as `ShardWorker` tells it.

    Raises:
        ClusterError: the worker can make no shard.
    """
    if row["refusal"]:
        raise ClusterError(row["refusal"])
    values = json.loads(row["summary"])
    summary = Summary(
        written=values["written"],
        warned=values["warned"],
        warnings=[(name, warning) for name, warning in values["warnings"]],
        failures=Counter(values["failures"]),
        examples=[(name, reason) for name, reason in values["examples"]],
    )
    return Made(row["name"], summary, row["error"] or None)


def _import_ray() -> Any:
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # else Ray warns of a change to come
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise ClusterError(f'--cluster needs Ray ({error}); pip install "captioner[cluster]".') from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.max_errored_blocks = -1  # one shard whose worker is killed each time is not to stop the others
    context.print_on_execution_start = False
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return ray


@contextmanager
def _connected(ray: Any, address: str, workers: int | None) -> Iterator[None]:
    """Be connected to a cluster, or to one that is started here for this run and leaves nothing behind."""
    if ray.is_initialized():
        yield
        return
    where: dict[str, Any] = {"address": address}
    folder: Path | None = None
    if address == "local":
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        folder = own_folder("ray")  # of few letters, as names of sockets must be
        where |= {"num_cpus": max(cores, workers or 1), "object_store_memory": _STORE, "_temp_dir": str(folder)}
        where["include_dashboard"] = False
    else:
        _reach(address)
    try:
        try:
            ray.init(**where, log_to_driver=False, logging_level="critical", configure_logging=False)
        except Exception as error:  # Ray raises Exception itself, and whatever else
            raise ClusterError(f"--cluster {address}: cannot be used ({_first_line(error)}).") from error
        yield
    finally:
        ray.shutdown()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def _reach(address: str) -> None:
    """See that something listens at `HOST:PORT`, for Ray tries for minutes."""
    match = re.fullmatch(r"\[?([^\[\]/]+?)\]?:(\d+)", address)
    if match is None or int(match[2]) > 65535:
        raise ClusterError(f"--cluster {address}: give HOST:PORT of its head, such as 10.0.0.1:6379, or local.")
    try:
        with suppress(TimeoutError), socket.create_connection((match[1], int(match[2])), _SECONDS):
            return
        reason = "no answer"
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    raise ClusterError(f"{address}: no cluster can be reached there ({reason}); start its head with: ray start --head.")


def _workers(ray: Any, job: Job) -> tuple[dict[str, Any], int]:
    """What a worker needs, and how many there are to be."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = sum(node.get("GPU", 0) for node in nodes)
    cpus = sum(node.get("CPU", 0) for node in nodes)
    device = job.options.device
    if device.startswith("cuda") and not gpus:
        raise ClusterError(f"--device {device}: the cluster has no GPU.")
    needs: dict[str, Any] = {"num_cpus": 1, "num_gpus": 0, "memory": MEMORY}
    variables = {}
    if gpus and device != "cpu":
        needs |= {"num_gpus": 1, "num_cpus": max(1, min(8, math.floor(cpus / gpus)))}
        # a process keeps its models on a GPU: it sees them all, and is told which one is its own
        variables["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"] = "1"
    # Ray's threads take all of glibc's arenas, so that each thread that decodes or searches meets another one, until
    # every arena has grown as large as one thread ever needs; this is only heard before a process starts
    variables["MALLOC_ARENA_MAX"] = str(max(2, needs["num_cpus"]))
    needs["runtime_env"] = {"env_vars": variables}
    wanted = {"CPU": needs["num_cpus"], "GPU": needs["num_gpus"], "memory": needs["memory"]}
    room = sum(min(int(node.get(key, 0) // value) for key, value in wanted.items() if value) for node in nodes)
    if room < 1:
        raise ClusterError(
            f"no machine of the cluster has room for a worker, which needs {needs['num_cpus']} CPU, "
            f"{needs['num_gpus']} GPU and {MEMORY / 2**30:.1f} GiB of memory."
        )
    return needs, min(room, job.options.workers or room)


def _cause(error: BaseException) -> str:
    """The last line of what Ray tells, where the reason stands."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    named = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)]
    return (named or lines or [type(error).__name__])[-1][:300].rstrip(".")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300].rstrip(".")
