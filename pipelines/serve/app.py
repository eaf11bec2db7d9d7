"""The application: the page, the API and what watches them. `command` makes a server of it."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from captioner import __version__
from captioner.errors import CaptionerError
from captioner.pipelines.folder.outputs import Record, to_json
from captioner.pipelines.gallery.pages import look, page_style
from captioner.pipelines.gallery.rows import caption_row
from captioner.pipelines.serve.batching import Batcher, FullError
from captioner.pipelines.serve.guard import LOOPBACK, Guard, Rules
from captioner.pipelines.serve.jobs import JOBS, Job, Worker
from captioner.pipelines.serve.metrics import Metrics
from captioner.pipelines.serve.openapi import describe
from captioner.pipelines.serve.options import ServeOptions
from captioner.pipelines.serve.parameters import parsed
from captioner.pipelines.serve.problems import Problem
from captioner.pipelines.serve.uploads import Uploads, files_of, texts_of

IN_FLIGHT = 16  # requests of the largest size that may be read or answered at the same time
PAGES: Mapping[str, tuple[str | None, str]] = {
    "/": ("index.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/page.css": (None, "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/docs.js": ("docs.js", "text/javascript"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
SHARED: Mapping[str, Callable[[], bytes]] = {"/page.css": page_style, "/page.js": look}
"""What these begin with, which galleries have too."""
TELLING = ("/healthz", "/metrics", "/openapi.json", "/v1/models")


def create_app(worker: Worker, options: ServeOptions, *, loopback: bool, workers: int) -> ASGIApp:
    """The application as a server runs it.

    Args:
        worker: does the work.
        options: limits, and who may ask.
        loopback: whether only this machine can reach it.
        workers: threads that work.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        app.state.batcher = Batcher(worker.work, workers=workers, capacity=options.queue, on_batch=metrics.batch)
        metrics.watch_queue(app.state.batcher.__len__)
        yield
        await run_in_threadpool(app.state.batcher.close)

    app = FastAPI(
        title="captioner",
        version=__version__,
        summary="Captions for photos and clips, classes of clips, text lines and translations.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(Exception, _failure)
    jobs = [job for job in JOBS.values() if worker.models.of(*job.kinds)]
    for job in jobs:
        app.post(f"/v1/{job.name}", summary=job.summary, openapi_extra=describe(job), response_class=JSONResponse)(
            _endpoint(job, worker, metrics, options)
        )
    _add_pages(app, worker, metrics)
    rules = Rules(
        public=[*PAGES, "/healthz", "/openapi.json"],
        known=[*PAGES, *TELLING, *(f"/v1/{job.name}" for job in jobs)],
        token=options.token,
        hosts=LOOPBACK if loopback and options.token is None else None,
        origins=options.cors or (),
        max_bytes=options.max_mb * 1_000_000,
        in_flight=options.max_mb * 1_000_000 * IN_FLIGHT,
    )
    if options.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=options.cors,
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type"],
        )
    return Guard(app, rules, metrics)


def _endpoint(job: Job, worker: Worker, metrics: Metrics, limits: ServeOptions) -> Any:
    """The function that answers requests for a job."""

    async def answer(request: Request) -> Response:
        with tempfile.TemporaryDirectory(prefix="captioner-", ignore_cleanup_errors=True) as folder:
            if job.texts:
                uploads = await texts_of(request, limits.max_files)
            else:
                uploads = await files_of(request, Path(folder), limits.max_files, clips=job.name == "classify")
            chosen = parsed(job.schema, uploads.values)
            key = await run_in_threadpool(worker.key, job, chosen)  # which may load a model
            try:
                waiting = request.app.state.batcher.submit(key, uploads.payloads)
            except FullError as error:
                detail = f"too many files are waiting; come again in about {error.seconds} s."
                raise Problem(503, detail, {"Retry-After": str(error.seconds)}) from None
            records = await _unless_left(request, waiting)
        for record in records:
            metrics.done(job.name, record.error is not None)
        rows = _rows(job, uploads, records, pictures=getattr(chosen, "pictures", False))
        if all(record.error is not None for record in records):
            first = f"{uploads.names[0]}: {records[0].error}" if uploads.names[0] else str(records[0].error)
            raise Problem(422, f"{first}.", rows=rows)
        return Response(to_json({"model": key.model, "rows": rows}), media_type="application/json")

    return answer


def _rows(job: Job, uploads: Uploads, records: Sequence[Record], *, pictures: bool) -> list[Mapping[str, Any]]:
    """The rows of the command line, with files called as the client calls them."""
    rows: list[Mapping[str, Any]] = []
    for name, record in zip(uploads.names, records, strict=True):
        row = dict(caption_row(record)) if pictures else record.as_json()
        rows.append({key: value for key, value in row.items() if key != "path"} if job.texts else {**row, "path": name})
    return rows


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


def _add_pages(app: FastAPI, worker: Worker, metrics: Metrics) -> None:
    folder = files("captioner.pipelines.serve") / "page"
    for path, (name, kind) in PAGES.items():
        content = SHARED.get(path, bytes)() + ((folder / name).read_bytes() if name else b"")
        app.get(path, include_in_schema=False)(partial(_page, content, kind))

    @app.get("/healthz", summary="Whether the server is well")
    async def health(request: Request) -> JSONResponse:
        return JSONResponse({"status": "ok", "version": __version__, "waiting": len(request.app.state.batcher)})

    @app.get("/metrics", summary="Counters, in Prometheus' form")
    async def counters() -> Response:
        return Response(metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    @app.get("/v1/models", summary="The models that the server has")
    async def models() -> JSONResponse:
        return JSONResponse({"models": worker.models.rows(), "languages": ["en", *worker.models.languages]})


async def _page(content: bytes, kind: str) -> Response:
    return Response(content, media_type=f"{kind}; charset=utf-8", headers={"Cache-Control": "no-cache"})


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {404: "nothing has this address; /docs tells what there is.", 405: "this address takes another method."}
    detail = sentences.get(error.status_code, f"{error.detail}.")
    return Problem(error.status_code, detail, error.headers).response()


async def _failure(request: Request, error: Exception) -> Response:
    if isinstance(error, CaptionerError):
        return Problem(422, str(error)).response()
    return Problem(500, "the server failed; its log tells why.").response()
