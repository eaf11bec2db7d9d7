"""What stands before the application: who may ask, how long and how large a request may be, and what is told of it."""

import asyncio
import hmac
import json
import logging
import time
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from captioner.pipelines.serve.metrics import Metrics
from captioner.pipelines.serve.problems import CLOSE, Problem

log = logging.getLogger(__name__)

PATIENCE = 10.0  # seconds that a body may take, and one more for each
SLOWEST = 50_000  # bytes
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "media-src blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, POST",
    "Access-Control-Allow-Headers": "Authorization, Content-Type",
    "Access-Control-Max-Age": "600",
}
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True)
class Rules:
    """Who may ask, and how much.

    Attributes:
        public: paths that need no token.
        known: paths that are named in logs and metrics; others are one.
        token: that all other paths need; None for none.
        hosts: names by which the server may be called, against sites that give their own name this address; None for
            any.
        origins: of sites whose pages may ask too.
        max_bytes: of a request.
        in_flight: bytes of all requests together that are being read or answered.
    """

    public: Sequence[str]
    known: Sequence[str]
    token: str | None
    hosts: Sequence[str] | None
    origins: Sequence[str]
    max_bytes: int
    in_flight: int


class Guard:
    """Refuses, limits, times and counts requests before an application sees them."""

    def __init__(self, app: ASGIApp, rules: Rules, metrics: Metrics) -> None:
        self.app, self.rules, self.metrics = app, rules, metrics
        self._held = 0  # bytes of bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the application's beginning and end."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status, body = time.monotonic(), 499, _Body(receive, self)
        asked = Headers(scope=scope)
        site = asked.get("origin") if asked.get("origin") in self.rules.origins else None

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
                if self.rules.origins:
                    headers.add_vary_header("Origin")
                if site is not None:
                    headers["Access-Control-Allow-Origin"] = site
                    headers["Access-Control-Expose-Headers"] = "Retry-After"
            await send(message)

        self.metrics.asked()
        try:
            try:
                self._check(scope, asked)
            except Problem as problem:
                await problem.response()(scope, receive, answer)
            else:
                if site is not None and _is_preflight(scope, asked):
                    await Response(status_code=204, headers=PREFLIGHT)(scope, receive, answer)
                else:  # the answer to HEAD is that to GET, whose body the server leaves out
                    method = "GET" if scope["method"] == "HEAD" else scope["method"]
                    await self.app({**scope, "method": method}, body.receive, answer)
        except Exception:  # the client has been told that something failed
            log.exception("a request failed")
        finally:
            self._held -= body.size
            path = scope["path"] if scope["path"] in self.rules.known else "other"
            seconds = time.monotonic() - started
            self.metrics.answered(path, status, seconds)
            log.info(
                "request",
                extra={
                    "fields": {
                        "method": scope["method"] if scope["method"].isalpha() else "other",
                        "path": path,
                        "status": status,
                        "seconds": round(seconds, 4),
                        "bytes": body.size,
                    }
                },
            )

    def hold(self, size: int, of: int) -> None:
        """Count bytes that came.

        Args:
            size: how many.
            of: how many the request has brought, these included.

        Raises:
            Problem: it, or all together, are too many.
        """
        self._held += size
        if of > self.rules.max_bytes:
            raise self._too_large()
        if self._held > self.rules.in_flight:
            raise Problem(503, "too much is being sent at the same time; come again.", {**CLOSE, "Retry-After": "5"})

    def _check(self, scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "")
        name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
        if self.rules.hosts is not None and name.lower() not in self.rules.hosts:
            raise Problem(421, "Host: this server is called by localhost or its address only.", CLOSE)
        origin = headers.get("origin")
        if origin is not None and origin not in self.rules.origins and origin.partition("//")[2] != host:
            raise Problem(403, "Origin: pages of other sites may not ask; --cors ORIGIN lets one.", CLOSE)
        public = scope["path"] in self.rules.public or _is_preflight(scope, headers)
        if self.rules.token is not None and not public:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            known = hmac.compare_digest(given.strip().encode(), self.rules.token.encode())
            if scheme.lower() != "bearer" or not known:
                raise Problem(
                    401, "Authorization: send Bearer and this server's token.", {**CLOSE, "WWW-Authenticate": "Bearer"}
                )
        if scope["method"] == "POST" and scope["query_string"]:
            raise Problem(422, "options go into the body, as form fields or JSON keys, not into the address.", CLOSE)
        if headers.get("content-encoding", "identity").lower() != "identity":
            raise Problem(415, "Content-Encoding: send the body as it is.", CLOSE)
        length = headers.get("content-length", "")
        if length.isdigit() and int(length[:20]) > self.rules.max_bytes:
            raise self._too_large()

    def _too_large(self) -> Problem:
        limit = f"{self.rules.max_bytes / 1e6:.0f} MB"
        return Problem(413, f"the request is larger than {limit}; send fewer or smaller files.", CLOSE)


def _is_preflight(scope: Scope, headers: Headers) -> bool:
    """Whether a browser asks, for a page of another site, whether that may ask (CORS)."""
    return scope["method"] == "OPTIONS" and "origin" in headers and "access-control-request-method" in headers


class _Body:
    """A request's body, whose size and time are limited.

    Attributes:
        size: bytes that came.
    """

    def __init__(self, receive: Receive, guard: Guard) -> None:
        self.size = 0
        self._receive, self._guard = receive, guard
        self._started, self._ended = time.monotonic(), False

    async def receive(self) -> Message:
        """The next part; once it has ended, that the client went away.

        Raises:
            Problem: it is too large or too slow.
        """
        if self._ended:
            return await self._receive()
        left = self._started + PATIENCE + self.size / SLOWEST - time.monotonic()
        try:
            async with asyncio.timeout(max(left, 0.01)):
                message = await self._receive()
        except TimeoutError:
            raise Problem(408, "the request came too slowly; send it again.", CLOSE) from None
        part = message.get("body", b"")
        self.size += len(part)
        self._guard.hold(len(part), self.size)
        self._ended = not message.get("more_body", False)
        return message


class JsonLines(logging.Formatter):
    """A log line as one JSON object: never a photo, a name or a caption."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: MutableMapping[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps({**line, **fields})
