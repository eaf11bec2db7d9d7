"""Files at any address that fsspec knows: `s3://bucket/photos`, `gs://`, `https://`, `file://`, or a plain path.

Whatever a storage's own package raises becomes one sentence that names the address.
"""

import os
import posixpath
import re
import shutil
import tarfile
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import product
from pathlib import Path
from typing import Any, BinaryIO, TypeVar, cast

from captioner.errors import DataError

Read = TypeVar("Read")

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_BRACES = re.compile(r"\{(?:(\d{1,18})\.\.(\d{1,18})|([^{}]*,[^{}]*))\}")
_ATOMIC = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "adl", "oci", "oss"})
"""Storages in which a file that is being written cannot be seen before it is whole."""
_MARKS = (
    *("ETag", "etag", "md5Hash", "Content-MD5", "Digest", "blob_id", "sha", "hex"),
    *("LastModified", "Last-Modified", "last_modified", "modified", "modificationTime", "modify", "mtime", "created"),
)
"""What storages tell of a file that changes with its content, the surest first: digests, then times.

The web's are `ETag`, `Content-MD5`, `Digest` and `Last-Modified`; `blob_id` is of Hugging Face's hub, `sha` and `hex`
of git, `modified` of WebDAV, `modificationTime` of HDFS, `modify` of FTP, `mtime` of SFTP and SMB.
"""
_MOST_NAMES = 10_000_000
_TRIES = 3
_LASTING = (FileNotFoundError, PermissionError, ImportError, ValueError, tarfile.TarError, zipfile.BadZipFile)
"""Causes that another try does not mend."""
_GONE = (404, 410)
"""Answers of a web server that there is no such file."""
_PASSING = (408, 425, 429)
"""Answers of a web server in the four hundreds that another try may mend."""
_READ_AHEAD = 8 << 20  # bytes a request, for files that are read from beginning to end


def is_remote(address: str) -> bool:
    """Whether an address names a storage; `file://` is this machine."""
    return _SCHEME.match(address) is not None and not address.startswith("file://")


def without_query(address: str) -> str:
    """An address without what follows the question mark of a web address, such as a signature."""
    return address.partition("?")[0] if address.startswith(("http://", "https://")) else address


def local_path(address: str) -> str:
    """The path that a local address stands for."""
    return address.removeprefix("file://")


def joined(folder: str, name: str) -> str:
    """The address of a file below a folder; a name that is an address or an absolute path is one already."""
    if _SCHEME.match(name) or os.path.isabs(name):
        return local_path(name)
    if not is_remote(folder):
        return os.path.join(local_path(folder), name)
    if {".", ".."}.intersection(name.split("/")):  # storages know no such parts
        scheme, _, place = folder.partition("://")
        bucket, _, inside = place.partition("/")  # which nothing leads out of, as in a URL
        return f"{scheme}://{bucket}{posixpath.normpath(posixpath.join('/', inside, name))}" + "/" * name.endswith("/")
    return f"{folder.rstrip('/')}/{name}"


def file_system(address: str) -> tuple[Any, str]:
    """The file system of an address, and what the file is called there.

    Raises:
        DataError: nothing is known of such addresses, or the package that reads them is not installed.
    """
    import fsspec

    try:
        # listings are kept nowhere: a folder of a million photos would stay in memory, and others write there too
        system, path = fsspec.core.url_to_fs(address, use_listings_cache=False)
    except ImportError as error:
        raise DataError(f"{address}: such addresses need another package ({_first_line(error)}).") from error
    except ValueError as error:
        raise DataError(f"{address}: not an address that fsspec knows ({_first_line(error)}).") from error
    except Exception as error:  # each storage has errors of its own
        raise DataError(f"{address}: cannot be reached ({_first_line(error)}).") from error
    return system, cast(str, path)


@contextmanager
def explained(address: str, action: str = "read") -> Iterator[None]:
    """Turn what a storage raises into one sentence.

    Args:
        address: of the file or folder.
        action: what is done to it, in the past participle.

    Raises:
        DataError: the sentence.
    """
    try:
        yield
    except (DataError, GeneratorExit):
        raise
    except FileNotFoundError as error:
        cause = error.__cause__
        status = getattr(cause, "status", None)
        if cause is None or not address.startswith(("http://", "https://")) or status in _GONE:
            raise DataError(f"{address}: cannot be {action} (no such file or folder).") from error
        # whatever befalls a request on the web is a missing file to fsspec
        raise DataError(f"{address}: cannot be {action if status else 'reached'} ({_first_line(cause)}).") from cause
    except PermissionError as error:
        raise DataError(
            f"{address}: cannot be {action}, for access is refused ({_first_line(error)}); check the credentials."
        ) from error
    except Exception as error:  # each storage has errors of its own
        if "credentials" in type(error).__name__.lower():
            raise DataError(f"{address}: cannot be {action} without credentials ({_first_line(error)}).") from error
        raise DataError(f"{address}: cannot be {action} ({_first_line(error)}).") from error


@contextmanager
def open_address(address: str) -> Iterator[BinaryIO]:
    """Open a file for reading.

    Raises:
        DataError: it cannot be read, also where that shows later.
    """
    if not is_remote(address):
        with explained(address), open(local_path(address), "rb") as file:
            yield file
        return
    system, path = file_system(address)
    with explained(address), system.open(path, "rb", block_size=_READ_AHEAD, cache_type="readahead") as remote:
        yield remote


def read_address(address: str) -> bytes:
    """A file's bytes.

    Raises:
        DataError: it cannot be read.
        FileNotFoundError: there is no such file.
        PermissionError: it may not be read.
    """
    if not is_remote(address):
        with open(local_path(address), "rb") as file:
            return file.read()
    system, path = file_system(address)
    try:
        return cast(bytes, system.cat_file(path))
    except (FileNotFoundError, PermissionError):
        raise
    except Exception as error:  # each storage has errors of its own
        raise DataError(f"{address}: cannot be read ({_first_line(error)}).") from error


def read_span(address: str, start: int, length: int) -> bytes:
    """Some bytes of a file, by one request.

    Raises:
        DataError: they cannot be read.
    """
    system, path = file_system(address)
    with explained(address):
        data = cast(bytes, system.cat_file(path, start=start, end=start + length))
    if len(data) != length:
        raise DataError(
            f"{address}: {len(data):,} bytes came where {length:,} were asked for; the file has changed, or its server "
            "gives no parts of files."
        )
    return data


def fetch_address(address: str, target: Path) -> None:
    """Copy a file at an address to this machine.

    Raises:
        DataError: it cannot be read, or the target cannot be written.
    """
    system, path = file_system(address)
    with explained(address):
        system.get_file(path, str(target))


def write_address(address: str, content: Path) -> None:
    """Copy a local file to an address, whole or not at all.

    Raises:
        DataError: it cannot be written; what was there before is still there.
    """
    if not is_remote(address):
        address = local_path(address)
        part = f"{address}.{uuid.uuid4().hex[:8]}.part"
        try:
            shutil.copyfile(content, part)
            os.replace(part, address)
        except OSError as error:
            with suppress(OSError):
                os.unlink(part)
            raise DataError(f"{address}: cannot be written ({error.strerror}).") from error
        return
    system, path = file_system(address)
    with explained(address, "written"):
        if _ATOMIC.intersection([system.protocol] if isinstance(system.protocol, str) else system.protocol):
            system.put_file(str(content), path)
            return
        part = f"{path}.{uuid.uuid4().hex[:8]}.part"
        try:
            system.put_file(str(content), part)
            system.mv(part, path)
        except BaseException:
            with suppress(Exception):
                system.rm_file(part)
            raise


def mark_of(about: dict[str, Any]) -> str:
    """A text that changes when a file does, of what its storage tells of it."""
    return f"{about.get('size')} {next((about[name] for name in _MARKS if about.get(name)), '')}"


def expand_braces(pattern: str) -> list[str]:
    """The names that ranges and lists in braces stand for: `{00..99}`, `{train,val}`; zeros in front are kept.

    Raises:
        DataError: they are too many.
    """
    choices: list[Sequence[str]] = []
    at, count = 0, 1
    for match in _BRACES.finditer(pattern):
        choices.append([pattern[at : match.start()]])
        at = match.end()
        if match[1] is None:
            choices.append(match[3].split(","))
            count *= len(choices[-1])
        else:
            first, last = int(match[1]), int(match[2])
            count *= abs(last - first) + 1
            if count <= _MOST_NAMES:
                numbers = range(first, last + 1) if first <= last else range(first, last - 1, -1)
                choices.append([str(number).zfill(len(match[1])) for number in numbers])
    if count > _MOST_NAMES:
        raise DataError(f"{pattern}: stands for more than {_MOST_NAMES:,} names; give a folder or a pattern with *.")
    return ["".join(parts) for parts in product(*choices, [pattern[at:]])]


def patiently(read: Callable[[], Read]) -> Read:
    """What a call gives, which is tried again where a network may have spoilt it.

    Raises:
        DataError: it failed three times, or for a reason that stays: there is no such file, access is refused, or what
            was read is damaged.
    """
    for attempt in range(1, _TRIES):
        try:
            return read()
        except DataError as error:
            if error.__cause__ is None or _lasts(error.__cause__):
                raise
            time.sleep(2**attempt)
    return read()


def _lasts(cause: BaseException) -> bool:
    status = getattr(cause, "status", None)  # of a web server's answer
    refused = isinstance(status, int) and 400 <= status < 500 and status not in _PASSING
    return refused or isinstance(cause, _LASTING)


def _first_line(error: BaseException) -> str:
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300].rstrip(".")
