"""How requests are answered: what they bring is put into the queue, and rows are made of what comes back."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from captioner.pipelines.folder.outputs import Record, to_json
from captioner.pipelines.gallery.rows import caption_row
from captioner.pipelines.serve.batching import FullError
from captioner.pipelines.serve.jobs import JOBS, Job, Key, Worker
from captioner.pipelines.serve.metrics import Metrics
from captioner.pipelines.serve.options import ServeOptions
from captioner.pipelines.serve.parameters import parsed
from captioner.pipelines.serve.problems import Problem
from captioner.pipelines.serve.searches import asked_of, looks_of
from captioner.pipelines.serve.uploads import Spool, Uploads, files_of, texts_of

Answer = Callable[[Request], Awaitable[Response]]


def endpoint(job: Job, worker: Worker, metrics: Metrics, limits: ServeOptions) -> Answer:
    """The function that answers requests for a job."""
    most = min(limits.max_files, limits.queue)  # more could never wait together

    async def answer(request: Request) -> Response:
        with Spool(request.app.state.folder) as spool:
            if job.texts:
                uploads = await texts_of(request, most)
            else:
                uploads = await files_of(request, spool, most)
            chosen = parsed(job.schema, uploads.values)
            key = await run_in_threadpool(worker.key, job, chosen)  # which may load a model
            records = await _done(request, key, uploads.payloads, metrics)
        rows = _rows(job, uploads, records, pictures=getattr(chosen, "pictures", False))
        _check_some(uploads, records, rows)
        notes = worker.notes(key)
        return _response({"model": key.model, "rows": rows, **({} if notes is None else {"notes": notes})})

    async def search(request: Request) -> Response:
        with Spool(request.app.state.folder) as spool:
            uploads = await files_of(request, spool, most, needed=False)
            chosen: Any = parsed(job.schema, uploads.values)
            if not uploads.names and not chosen.looked:
                raise Problem(422, "no files, and nothing looked at before; send at least one.")
            key = await run_in_threadpool(worker.key, job, looks_of(chosen))
            asked = await run_in_threadpool(asked_of, chosen, worker.models, key.model)
            looks = Key("look", key.model, key.options)
            records = await _done(request, looks, uploads.payloads, metrics) if uploads.payloads else []
        rows = _rows(JOBS["look"], uploads, records, pictures=False)
        if not asked.files:
            _check_some(uploads, records, rows)
        read = [(name, each.picture) for name, each in zip(uploads.names, records, strict=True) if each.error is None]
        found = (await _done(request, key, [asked.among(read)], metrics))[0].fields
        failed = [row for row in rows if "error" in row]
        return _response({"model": key.model, "rows": [*found["rows"], *failed], "notes": found["notes"]})

    return search if job.name == "search" else answer


def _response(body: Mapping[str, Any]) -> Response:
    return Response(to_json(body), media_type="application/json")


def _rows(job: Job, uploads: Uploads, records: Sequence[Record], *, pictures: bool) -> list[Mapping[str, Any]]:
    """The rows of the command line, with files called as the client calls them."""
    rows: list[Mapping[str, Any]] = []
    for name, record in zip(uploads.names, records, strict=True):
        row = dict(caption_row(record)) if pictures else record.as_json()
        rows.append({key: value for key, value in row.items() if key != "path"} if job.texts else {**row, "path": name})
    return rows


def _check_some(uploads: Uploads, records: Sequence[Record], rows: Sequence[Mapping[str, Any]]) -> None:
    """See that something could be used.

    Raises:
        Problem: nothing could.
    """
    if all(record.error is not None for record in records):
        first = f"{uploads.names[0]}: {records[0].error}" if uploads.names[0] else str(records[0].error)
        raise Problem(422, f"{first}.", rows=rows)


async def _done(request: Request, key: Key, payloads: Sequence[Any], metrics: Metrics) -> list[Record]:
    """The records of what is put into the queue.

    Raises:
        Problem: the queue has no room, or the client goes away.
    """
    try:
        waiting = request.app.state.batcher.submit(key, payloads)
    except FullError as error:
        detail = f"too many files are waiting; come again in about {error.seconds} s."
        raise Problem(503, detail, {"Retry-After": str(error.seconds)}) from None
    records = await _unless_left(request, waiting)
    for record in records:
        metrics.done(key.job, record.error is not None)
    return records


async def _unless_left(request: Request, waiting: Sequence["Future[Record]"]) -> list[Record]:
    """The answers, unless the client goes away: then what has not been begun is not done."""
    answers = asyncio.gather(*map(asyncio.wrap_future, waiting))
    leaving = asyncio.ensure_future(_left(request))
    try:
        either: set[asyncio.Future[Any]] = {answers, leaving}
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        if answers.done():
            return answers.result()
        raise Problem(499, "the client went away.")
    finally:
        leaving.cancel()
        answers.cancel()


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
