"""What a client is told when something is wrong: problem details (RFC 9457), in the command line's sentences."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.responses import Response

from captioner.pipelines.folder.outputs import to_json

MEDIA_TYPE = "application/problem+json"
CLOSE = {"Connection": "close"}
"""For answers given before a request was read to its end, which may have none."""


class Problem(Exception):
    """A request that cannot be answered.

    Args:
        status: of the response.
        detail: what is wrong and what to do, one sentence.
        headers: of the response.
        members: that the details have besides.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers, self.members = status, detail, dict(headers or {}), members

    def response(self) -> Response:
        """The problem details."""
        title = "Client Closed Request" if self.status == 499 else HTTPStatus(self.status).phrase
        body = {"type": "about:blank", "title": title, "status": self.status, "detail": self.detail}
        return Response(to_json({**body, **self.members}), self.status, headers=self.headers, media_type=MEDIA_TYPE)


SCHEMA = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "What is wrong and what to do, one sentence."},
        "rows": {"type": "array", "items": {"type": "object"}, "description": "Of files, each with its error."},
    },
}
"""Of problem details, in JSON Schema."""
