"""`captioner cache`: what lies in the user's cache folder, and clearing it."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from captioner.errors import UsageError
from captioner.user_cache import cache_folder


@dataclass(frozen=True, kw_only=True)
class CacheOptions:
    """What can be chosen about the cache folder."""

    clear: Annotated[bool, typer.Option("--clear", help="Delete what is listed. It is made again when needed.")] = False


@dataclass(frozen=True)
class Kept:
    """One thing in the cache folder.

    Attributes:
        what: it is.
        path: a file or folder.
        size: in bytes.
        used: when it was last used or changed.
    """

    what: str
    path: Path
    size: int
    used: datetime


def cache(options: CacheOptions) -> None:
    """List what this package keeps for the user outside run folders, or delete it.

    Raises:
        UsageError: something cannot be deleted.
    """
    folder, found = cache_folder(), list(_find())
    for each in found:
        print(f"{each.size / 1e6:8.1f} MB  {each.used:%Y-%m-%d %H:%M}  {each.what}: {each.path.name}")
    total = f"{sum(each.size for each in found) / 1e6:.1f} MB in {folder}"
    if not options.clear:
        print(f"{total}. Features that trainings keep lie in their run folders (features/), or where data.cache says.")
        return
    for each in found:
        try:
            shutil.rmtree(each.path) if each.path.is_dir() else each.path.unlink(missing_ok=True)
        except OSError as error:
            raise UsageError(f"{each.path}: cannot be deleted ({error.strerror}).") from error
    print(f"{total} deleted.")


def _find() -> Iterator[Kept]:
    """What this package has put there, the latest used first; what else lies there is passed over."""
    found = []
    for path in cache_folder().glob("*"):
        if (path / "about.json").is_file():
            what = "converted CNN"
        elif path.name.startswith("search-") and path.is_file():
            what = "index of a search"
        elif path.name.startswith("new-") and path.is_dir():
            what = "conversion that was interrupted"
        else:
            continue
        files = [each for each in path.rglob("*") if each.is_file()] if path.is_dir() else [path]
        size = sum(each.stat().st_size for each in files)
        found.append(Kept(what, path, size, datetime.fromtimestamp(path.stat().st_mtime)))
    yield from sorted(found, key=lambda each: each.used, reverse=True)
