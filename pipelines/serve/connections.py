"""A connection that is closed if nothing comes of it: clients that are slow to say what they want hold nothing."""

import asyncio
import time
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from captioner.pipelines.serve.problems import CLOSE, Problem

PATIENCE = 10.0  # seconds between the beginning of a connection, or its last answer, and the next request's head
HEAD = 65_536  # bytes of a request's head, at most
READING = 60.0  # seconds that a client may not read its answer


class Connection(HttpToolsProtocol):
    """uvicorn's connection with a limit on the time that a request's head takes."""

    def connection_made(self, transport: Any) -> None:
        """Begin to watch."""
        super().connection_made(transport)
        self._idle_since, self._head, self._unread = time.monotonic(), 0, 0.0
        self._watch: asyncio.TimerHandle | None = self.loop.call_later(PATIENCE, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came, unless it is a head without end."""
        super().data_received(data)
        self._head = 0 if self._answering else self._head + len(data)
        if self._head > HEAD:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Say in the form of all problems that what came is no request."""
        told = Problem(400, "what came is no HTTP request.", CLOSE).response()
        head = b"".join(name + b": " + value + b"\r\n" for name, value in told.raw_headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + bytes(told.body))
        self.transport.close()

    def on_response_complete(self) -> None:
        """Time counts from here again."""
        self._idle_since = time.monotonic()
        super().on_response_complete()

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _look(self) -> None:
        if not self._answering and time.monotonic() - self._idle_since >= PATIENCE:
            self.transport.close()
            return
        self._unread = self._unread + PATIENCE / 4 if self.flow.write_paused else 0.0
        if self._unread >= READING:
            self.transport.abort()
            return
        self._watch = self.loop.call_later(PATIENCE / 4, self._look)
