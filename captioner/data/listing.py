"""What storages tell of files at other addresses, with as few requests as it takes."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any, TypeVar

from captioner.data.addresses import explained, file_system
from captioner.errors import DataError

Told = TypeVar("Told")

_AT_ONCE = 16  # requests
_MANY = 8  # names in one folder, of which a listing tells more cheaply than a request each


def listed(names: Sequence[str], missing: list[str], *, lenient: bool = False) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each address with what its storage tells of it; patterns give all that they fit.

    Args:
        names: addresses of files and folders, and patterns.
        missing: takes those that are not there.
        lenient: what cannot be read is not there either; whoever reads it later will say why.

    Raises:
        DataError: a storage cannot be read.
    """
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        by_folder[name.rstrip("/").rpartition("/")[0]].append(name)
    for folder, members in by_folder.items():
        plain = [name for name in members if not _is_pattern(name)]
        many = len(plain) > _MANY and not folder.startswith("http")
        about = _in_folder(folder, plain, lenient) if many else _asked(plain, lenient)
        missing += [name for name in plain if name not in about]
        yield from ((name, about[name]) for name in plain if name in about)
        for pattern in members:
            if _is_pattern(pattern):
                fitting = _fitting(pattern, lenient)
                if not fitting:
                    missing.append(pattern)
                yield from fitting.items()


def _is_pattern(address: str) -> bool:
    """Whether an address is a pattern of names; a question mark in a web address begins its query."""
    return "*" in address or (not address.startswith("http") and any(sign in address for sign in "?["))


def _in_folder(folder: str, names: Sequence[str], lenient: bool) -> dict[str, dict[str, Any]]:
    """What a listing of a folder tells of those of its files that are there."""
    with _passing_over(lenient):
        system, path = file_system(folder)
        entries = _if_there(folder, "listed", lambda: system.ls(path, detail=True)) or []
        about = {str(each["name"]).rstrip("/"): each for each in entries}
        paths = {name: str(system._strip_protocol(name)).rstrip("/") for name in names}  # of s3a:// as of s3://
        return {name: about[path] for name, path in paths.items() if path in about}
    return {}


def _fitting(pattern: str, lenient: bool) -> dict[str, dict[str, Any]]:
    """What is told of the files that fit a pattern, in the order of their names."""
    with _passing_over(lenient):
        system, path = file_system(pattern)
        with explained(pattern, "listed"):
            fitting = system.glob(path, detail=True)
        if not fitting:
            return _asked([pattern], lenient)  # photo[1].jpg is the name of a file, too
        found = {system.unstrip_protocol(name): dict(fitting[name]) for name in sorted(fitting)}
        links = [name for name, about in found.items() if about.get("size") is None]  # of a page on the web
        return found | _asked(links, lenient=True)
    return {}


def _asked(names: Sequence[str], lenient: bool) -> dict[str, dict[str, Any]]:
    """What a request for each tells of those files that are there."""

    def ask(name: str) -> dict[str, Any] | None:
        with _passing_over(lenient):
            system, path = file_system(name)
            return _if_there(name, "read", lambda: dict(system.info(path)))
        return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = pool.map(ask, names)
        return {name: about for name, about in zip(names, told, strict=True) if about is not None}


def _passing_over(lenient: bool) -> AbstractContextManager[Any]:
    """Passes over what cannot be read, if that is wanted."""
    return suppress(DataError) if lenient else nullcontext()


def _if_there(address: str, action: str, read: Callable[[], Told]) -> Told | None:
    """What a storage tells; None if there is no such file or folder."""
    try:
        with explained(address, action):
            return read()
    except DataError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
