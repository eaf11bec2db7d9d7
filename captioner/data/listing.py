"""What storages tell of files at other addresses, with as few requests as it takes."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from typing import Any

from captioner.data.addresses import explained, file_system
from captioner.errors import DataError

_AT_ONCE = 16  # requests
_MANY = 8  # names in one folder, of which a listing tells more cheaply than a request each


def listed(names: Sequence[str], missing: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each address with what its storage tells of it; patterns give all that they fit.

    Args:
        names: addresses of files and folders, and patterns.
        missing: takes those that are not there.

    Raises:
        DataError: a storage cannot be read.
    """
    by_folder: defaultdict[str, list[str]] = defaultdict(list)
    for name in dict.fromkeys(names):
        by_folder[name.rstrip("/").rpartition("/")[0]].append(name)
    for folder, members in by_folder.items():
        plain = [name for name in members if not _is_pattern(name)]
        many = len(plain) > _MANY and not folder.startswith("http")
        about = _in_folder(folder, plain) if many else _asked(plain)
        missing += [name for name in plain if name not in about]
        yield from ((name, about[name]) for name in plain if name in about)
        for pattern in members:
            if _is_pattern(pattern):
                fitting = _fitting(pattern)
                if not fitting:
                    missing.append(pattern)
                yield from fitting.items()


def _is_pattern(address: str) -> bool:
    """Whether an address is a pattern of names; a question mark in a web address begins its query."""
    return "*" in address or (not address.startswith("http") and any(sign in address for sign in "?["))


def _in_folder(folder: str, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What a listing of a folder tells of those of its files that are there."""
    system, path = file_system(folder)
    with explained(folder, "listed"):
        entries = {str(each["name"]).rstrip("/"): each for each in system.ls(path, detail=True)}
    paths = {name: str(system._strip_protocol(name)).rstrip("/") for name in names}  # of s3a:// as of s3://
    return {name: entries[path] for name, path in paths.items() if path in entries}


def _fitting(pattern: str) -> dict[str, dict[str, Any]]:
    """What is told of the files that fit a pattern, in the order of their names."""
    system, path = file_system(pattern)
    with explained(pattern, "listed"):
        fitting = system.glob(path, detail=True)
    if not fitting:
        return _asked([pattern])  # photo[1].jpg is the name of a file, too
    found = {system.unstrip_protocol(name): dict(fitting[name]) for name in sorted(fitting)}
    links = [name for name, about in found.items() if about.get("size") is None]  # of a page on the web
    return found | _asked(links, lenient=True)


def _asked(names: Sequence[str], *, lenient: bool = False) -> dict[str, dict[str, Any]]:
    """What a request for each tells of those files that are there; `lenient`: and can be read."""

    def ask(name: str) -> dict[str, Any] | None:
        with suppress(DataError) if lenient else nullcontext():
            return _about(name)
        return None

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        told = pool.map(ask, names)
        return {name: about for name, about in zip(names, told, strict=True) if about is not None}


def _about(address: str) -> dict[str, Any] | None:
    """What a storage tells of a file; None if there is none."""
    system, path = file_system(address)
    try:
        with explained(address):
            return dict(system.info(path))
    except DataError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            return None
        raise
