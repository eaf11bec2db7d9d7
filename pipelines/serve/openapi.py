"""What the OpenAPI description says of a job's request and answers."""

from typing import Any

from captioner.pipelines.serve.jobs import Job
from captioner.pipelines.serve.problems import MEDIA_TYPE, SCHEMA

_PROBLEMS = {
    400: "The body cannot be read.",
    401: "A token is missing or wrong.",
    408: "The request came too slowly.",
    413: "The request is too large, or has too many files.",
    415: "The body is in another form.",
    422: "An option is wrong, or none of the files can be used.",
    503: "The queue is full; Retry-After tells when to come again.",
}
_ROWS = {
    "type": "object",
    "required": ["model", "rows"],
    "properties": {
        "model": {"type": "string"},
        "rows": {
            "type": "array",
            "items": {"type": "object"},
            "description": "One for each file, in order, as in the command line's JSON Lines; one that cannot be used "
            "has an error.",
        },
    },
}
_FILE = {
    "type": "object",
    "required": ["data"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "description": "Its suffix tells clips from photos."},
        "data": {"type": "string", "contentEncoding": "base64"},
    },
}


def describe(job: Job) -> dict[str, Any]:
    """The request body and the answers of a job's address."""
    schema = job.schema.model_json_schema()
    options, needed = schema["properties"], schema.get("required", [])
    forms = {name: each for name, each in options.items() if each.get("type") != "object"}
    if job.texts:
        texts = {"type": "array", "minItems": 1, "items": {"type": "string", "maxLength": 10_000}}
        content = {"application/json": {"schema": _object({"texts": texts, **options}, "texts", *needed)}}
    else:
        files = {"type": "array", "minItems": 1, "items": _FILE}
        first = () if "looked" in options else ("files",)  # a search may be among what was looked at before
        parts = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
        content = {
            "multipart/form-data": {"schema": _object({"file": parts, **forms}, "file", *needed)},
            "application/json": {"schema": _object({"files": files, **options}, *needed, *first)},
        }
    problems = {
        str(status): {"description": text, "content": {MEDIA_TYPE: {"schema": SCHEMA}}}
        for status, text in _PROBLEMS.items()
    }
    return {
        "requestBody": {"required": True, "content": content},
        "responses": {"200": {"description": "Rows.", "content": {"application/json": {"schema": _ROWS}}}, **problems},
    }


def _object(properties: dict[str, Any], *needed: str) -> dict[str, Any]:
    return {"type": "object", "required": list(needed), "additionalProperties": False, "properties": properties}
