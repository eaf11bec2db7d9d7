"""The application: the page, the API and what watches them. `command` makes a server of it."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from importlib.resources import files
from pathlib import Path
from tempfile import TemporaryDirectory

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp

from captioner import __version__
from captioner.errors import CaptionerError, ModelError
from captioner.pipelines.gallery.pages import look, page_style
from captioner.pipelines.serve.answers import endpoint
from captioner.pipelines.serve.batching import Batcher
from captioner.pipelines.serve.guard import LOOPBACK, Guard, Rules
from captioner.pipelines.serve.jobs import JOBS, Worker
from captioner.pipelines.serve.metrics import Metrics
from captioner.pipelines.serve.openapi import describe
from captioner.pipelines.serve.options import ServeOptions
from captioner.pipelines.serve.problems import Problem

IN_FLIGHT = 16  # requests of the largest size that may be read or answered at the same time
PAGES: Mapping[str, tuple[str | None, str]] = {
    "/": ("index.html", "text/html"),
    "/docs": ("docs.html", "text/html"),
    "/page.css": (None, "text/css"),
    "/page.js": ("page.js", "text/javascript"),
    "/search.js": ("search.js", "text/javascript"),
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
        with TemporaryDirectory(prefix="captioner-", ignore_cleanup_errors=True) as folder:
            app.state.folder = Path(folder)
            yield
            await run_in_threadpool(app.state.batcher.close)

    app = FastAPI(
        title="captioner",
        version=__version__,
        summary="Captions for photos and clips, searches among them, classes of clips, text lines and translations.",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
    )
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_exception_handler(ClientDisconnect, _left)
    app.add_exception_handler(Exception, _failure)
    jobs = [job for job in JOBS.values() if worker.models.of(*job.kinds)]
    for job in jobs:
        app.post(f"/v1/{job.name}", summary=job.summary, openapi_extra=describe(job), response_class=JSONResponse)(
            endpoint(job, worker, metrics, options)
        )
    _add_pages(app, worker, metrics)
    if options.token is not None:
        described = app.openapi()
        described["components"] = {"securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}}
        described["security"] = [{"token": []}]
        described["paths"]["/healthz"]["get"]["security"] = []
    rules = Rules(
        public=[*PAGES, "/healthz", "/openapi.json"],
        known=[*PAGES, *TELLING, *(f"/v1/{job.name}" for job in jobs)],
        token=options.token,
        hosts=(*LOOPBACK, options.host.lower()) if loopback and options.token is None else None,
        origins=options.cors or (),
        max_bytes=options.max_mb * 1_000_000,
        in_flight=options.max_mb * 1_000_000 * IN_FLIGHT,
    )
    return Guard(app, rules, metrics)


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


async def _left(request: Request, error: Exception) -> Response:
    return Problem(499, "the client went away.").response()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    sentences = {404: "nothing has this address; /docs tells what there is.", 405: "this address takes another method."}
    detail = sentences.get(error.status_code, f"{error.detail}.")
    return Problem(error.status_code, detail, error.headers).response()


async def _failure(request: Request, error: Exception) -> Response:
    if isinstance(error, CaptionerError) and not isinstance(error, ModelError):  # that names the server's files
        return Problem(422, str(error)).response()
    return Problem(500, "the server failed; its log tells why.").response()
