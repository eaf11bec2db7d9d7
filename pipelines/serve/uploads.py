"""A request's body as files in a folder of the server's own, or as texts; what clients call them is never a path."""

import base64
import binascii
import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from captioner.pipelines.serve.problems import CLOSE, Problem
from captioner.vision.images import SUFFIXES
from captioner.vision.video import VIDEO_SUFFIXES

_NAME = 255  # characters of a file's name that are given back
_TEXT = 10_000  # characters of a sentence
_FIELDS = 100


@dataclass(frozen=True)
class Uploads:
    """What a request brought.

    Attributes:
        names: of its files, as the client calls them.
        payloads: the files' paths in the server's folder, or the texts.
        values: its options, unchecked.
    """

    names: Sequence[str]
    payloads: Sequence[str]
    values: Mapping[str, Any]


class Spool:
    """A request's files in the folder that all requests share; they are gone once the request has been answered.

    No folder for each request: removing one waits for the disk, and all other requests with it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._paths: list[str] = []

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        for path in self._paths:
            with suppress(OSError):  # it was never written
                os.unlink(path)

    def new_path(self, name: str) -> str:
        """A path that only says what kind of photo or clip a file of this name claims to be."""
        suffix = os.path.splitext(name)[1].lower()
        if suffix not in VIDEO_SUFFIXES | SUFFIXES:
            suffix = ""
        self._paths.append(str(self._folder / f"{uuid4().hex}{suffix}"))
        return self._paths[-1]


async def files_of(request: Request, spool: Spool, most: int, *, needed: bool = True) -> Uploads:
    """Write a request's files.

    Args:
        request: multipart with parts called `file`, or JSON with `files`, each of `name` and `data` in base64.
        spool: keeps them.
        most: files.
        needed: whether JSON without `files` is refused.

    Raises:
        Problem: the body is neither, or has none or too many files.
    """
    if _media_type(request) == "multipart/form-data":
        return await _multipart(request, spool, most)
    values = await _json(request)
    if not needed and "files" not in values:
        return Uploads([], [], values)
    files = values.pop("files", None)
    if not isinstance(files, list) or not all(isinstance(file, dict) for file in files):
        raise Problem(422, 'files: give a list such as [{"name": "a.jpg", "data": "BASE64"}].')
    _check_count(len(files), most)
    names, paths = [], []
    for place, file in enumerate(files):
        name, data = file.get("name", f"file{place + 1}"), file.get("data")
        if not isinstance(name, str) or not isinstance(data, str) or not set(file) <= {"name", "data"}:
            raise Problem(422, f"files.{place}: a file has a name and its data in base64, both strings.")
        names.append(name[:_NAME])
        paths.append(spool.new_path(name))
        await run_in_threadpool(_write_base64, paths[-1], data, place)
    return Uploads(names, paths, values)


async def texts_of(request: Request, most: int) -> Uploads:
    """A request's texts.

    Args:
        request: JSON with `texts`, a list of sentences.
        most: texts.

    Raises:
        Problem: the body is no such thing.
    """
    values = await _json(request)
    texts = values.pop("texts", None)
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Problem(422, 'texts: give a list of sentences, such as ["A dog runs."].')
    _check_count(len(texts), most, "texts")
    for place, text in enumerate(texts):
        if len(text) > _TEXT:
            raise Problem(422, f"texts.{place}: has {len(text):,} characters; the limit is {_TEXT:,}.")
        if not _is_unicode(text):
            raise Problem(422, f"texts.{place}: holds half a character (an unpaired surrogate); send whole ones.")
    return Uploads([""] * len(texts), texts, values)


class _FormParser(MultiPartParser):
    """Parses a multipart form and tells whether its last boundary came; what comes behind that is passed over.

    Attributes:
        ended: whether it did.
    """

    ended = False

    def on_end(self) -> None:
        """Called at the last boundary."""
        super().on_end()
        self.ended = True


async def _form(request: Request, most: int) -> FormData:
    """A multipart form, whole: the parser would pass over a last part that is cut.

    Raises:
        Problem: it is no such form, is cut, or has too many files.
    """
    parser = _FormParser(request.headers, request.stream(), max_files=most, max_fields=_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        if error.message.startswith("Too many files"):
            raise Problem(413, f"more than {most} files; send them in several requests.", CLOSE) from None
        detail = f"the multipart form is cut, or a file's name is too long ({error.message.rstrip('.')})."
        raise Problem(400, detail, CLOSE) from None
    if not parser.ended:
        await form.close()
        raise Problem(400, "the multipart form is cut: it has no end; send it again.", CLOSE)
    return form


async def _multipart(request: Request, spool: Spool, most: int) -> Uploads:
    form = await _form(request, most)
    try:
        values: dict[str, Any] = {}
        files: list[UploadFile] = []
        for key, value in form.multi_items():
            if key == "file" and isinstance(value, UploadFile):
                files.append(value)
            elif isinstance(value, str) and key != "file":
                if key in values:
                    raise Problem(422, f"{key}: is given twice; give it once.")
                values[key] = value
            else:
                raise Problem(
                    422, f"{key[:_NAME]}: a file is a part called file that has a file name; no option is one."
                )
        _check_count(len(files), most)
        names = [(file.filename or "file")[:_NAME] for file in files]
        paths = [spool.new_path(file.filename or "") for file in files]
        await run_in_threadpool(_write_files, files, paths)
    finally:
        await form.close()
    return Uploads(names, paths, values)


async def _json(request: Request) -> dict[str, Any]:
    if _media_type(request) != "application/json":
        raise Problem(415, "Content-Type: send multipart/form-data or application/json.", CLOSE)
    body = await request.body()
    try:
        values = await run_in_threadpool(partial(json.loads, object_pairs_hook=_once), body)
    except (ValueError, RecursionError):
        raise Problem(400, "the body is not JSON.") from None
    if not isinstance(values, dict):
        raise Problem(422, "the body is JSON, but no object.")
    return values


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON, of whose keys none is there twice: nobody could say which counts."""
    values: dict[str, Any] = {}
    for key, value in pairs:
        if key in values:
            raise Problem(422, f"{key[:_NAME]}: is given twice; give it once.")
        values[key] = value
    return values


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _check_count(count: int, most: int, kind: str = "files") -> None:
    if count == 0:
        raise Problem(422, f"no {kind}; send at least one.")
    if count > most:
        raise Problem(413, f"more than {most} {kind}; send them in several requests.")


def _write_files(files: Sequence[UploadFile], paths: Sequence[str]) -> None:
    for upload, path in zip(files, paths, strict=True):
        with open(path, "wb") as file:
            while block := upload.file.read(1 << 20):
                file.write(block)


def _write_base64(path: str, data: str, place: int) -> None:
    try:
        content = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise Problem(422, f"files.{place}.data: not base64.") from None
    Path(path).write_bytes(content)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
