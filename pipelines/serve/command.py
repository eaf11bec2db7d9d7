"""`captioner serve`: models are loaded, the address is taken, and requests are answered until somebody ends it."""

import asyncio
import ipaddress
import logging
import os
import re
import socket
import sys
from typing import Any

from captioner.errors import UsageError
from captioner.pipelines.heap import share_arenas
from captioner.pipelines.serve.options import ServeOptions

GRACE = 30  # seconds that requests have to end once the server is told to
_TURN = 0.0005  # seconds after which a thread in Python makes room for others, not 0.005: arithmetic waits for requests


def serve(options: ServeOptions) -> int:
    """Run the command until SIGTERM or Ctrl-C; returns the exit status.

    Raises:
        UsageError: an option is wrong, the address is taken, or the extra is not installed.
        ModelError: a model cannot be used.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that are idle are not to spin
    loopback = _is_loopback(options.host)
    if not loopback and options.token is None and not options.no_token:
        raise UsageError(
            f"--host {options.host} lets other machines ask; give a --token that they must know, or --no-token."
        )
    if options.token is not None and not re.fullmatch(r"[!-~]{8,200}", options.token):
        raise UsageError("--token: give 8 to 200 characters, ASCII and without spaces.")
    try:
        import fastapi  # noqa: F401
        import httptools  # noqa: F401
        import prometheus_client  # noqa: F401
        import python_multipart  # noqa: F401
        import uvicorn
    except ImportError as error:
        raise UsageError(f'captioner serve needs {error.name}: pip install "captioner[serve]"') from error
    import torch

    from captioner.pipelines.serve.app import create_app
    from captioner.pipelines.serve.connections import Connection
    from captioner.pipelines.serve.jobs import Worker
    from captioner.pipelines.serve.models import Models

    models = Models(options.model, options.device)
    listening = _listen(options)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    torch.set_num_threads(1)
    sys.setswitchinterval(_TURN)
    share_arenas(cores + 2)
    at_once = models.sources if options.model else models.of("caption")[:1]  # others when they are first asked for
    for name in at_once:
        models.get(name)
    app = create_app(Worker(models, options), options, loopback=loopback, workers=options.workers or cores + 1)
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="on",
        log_config=_logging(),
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE,
    )
    host, port = listening.getsockname()[:2]
    print(f"captioner: http://{f'[{host}]' if ':' in host else host}:{port}", file=sys.stderr, flush=True)
    asyncio.run(uvicorn.Server(config).serve(sockets=[listening]))
    return 0


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _listen(options: ServeOptions) -> socket.socket:
    """A socket that listens, so that an address that is taken is told before models are loaded."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listening = socket.socket(family, kind, protocol)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(2048)
    except (socket.gaierror, UnicodeError) as error:
        raise UsageError(f"--host {options.host}: no such host; give a name or an address of this machine.") from error
    except OSError as error:
        raise UsageError(
            f"--host {options.host} --port {options.port}: cannot be listened on ({error.strerror or error}); choose "
            "another port."
        ) from error
    return listening


def _logging() -> dict[str, Any]:
    """Logs are JSON Lines on standard error."""
    handler = {"class": "logging.StreamHandler", "formatter": "json", "stream": "ext://sys.stderr"}
    loggers = {name: {"handlers": ["lines"], "level": "INFO", "propagate": False} for name in ("captioner", "uvicorn")}
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"json": {"()": "captioner.pipelines.serve.guard.JsonLines"}},
        "handlers": {"lines": handler},
        "loggers": loggers,
        "root": {"handlers": ["lines"], "level": logging.WARNING},
    }
