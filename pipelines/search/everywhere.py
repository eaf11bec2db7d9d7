"""Inputs of a search at any addresses, and how a change of those at other addresses is known."""

import hashlib
import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial

from captioner.data.addresses import expand_braces, is_remote, mark_of, open_address
from captioner.data.listing import listed
from captioner.data.parquet import open_parquet, photo_column
from captioner.errors import DataError
from captioner.pipelines.cluster.inputs import LISTS, find_shards
from captioner.pipelines.cluster.plan import Shard
from captioner.pipelines.cluster.staging import listed_in
from captioner.pipelines.folder.inputs import Inputs, find_inputs, identity
from captioner.pipelines.folder.made import Stamp
from captioner.pipelines.search.options import SearchOptions
from captioner.pipelines.search.work import KIND
from captioner.vision.images import SUFFIXES
from captioner.vision.video import VIDEO_SUFFIXES


def find_everywhere(options: SearchOptions, arguments: Sequence[str]) -> tuple[Inputs, dict[str, Stamp]]:
    """The inputs, and of those at other addresses stamps by which a change is known.

    An archive at another address is an input itself.

    Raises:
        UsageError: one does not exist, or there is nothing to do.
        DataError: a storage cannot be read.
    """
    names = [name for each in arguments for name in ([each] if os.path.lexists(each) else expand_braces(each))]
    far = [name for name in names if _is_far(name)]
    near = [name for name in names if not _is_far(name)]
    suffixes = frozenset(SUFFIXES | VIDEO_SUFFIXES)
    exclude = options.exclude or ()
    found = find_here(options, near, suffixes) if near or not far else Inputs()
    if not far:
        return found, {}
    there = find_shards(far, suffixes, partial(find_here, options), kind=KIND, exclude=exclude, marked=True)
    for address in [address for address in there.archives if address.lower().endswith(".parquet")]:
        try:
            inside = _names_in(address)
        except DataError as error:
            there.problems.append((address, str(error).removeprefix(f"{address}: ").rstrip(".")))
            del there.archives[address]
            continue
        if inside is not None:
            del there.archives[address]
            there.files += inside
    asked = [name for name in there.files if is_remote(name) and name not in there.marks]  # those of lists
    marks = there.marks | {name: mark_of(about) for name, about in listed(asked, [], lenient=True)}
    marks |= {address: archive.mark for address, archive in there.archives.items()}
    every = {identity(name): name for name in [*found.paths, *there.files, *there.archives]}
    found = replace(
        found,
        paths=list(every.values()),
        problems=found.problems + there.problems,
        remarks=found.remarks + there.notes,
    )
    return found, {name: _told_stamp(mark) for name, mark in marks.items()}


def find_here(options: SearchOptions, arguments: Sequence[str], suffixes: Collection[str]) -> Inputs:
    """The inputs that arguments on this machine stand for.

    Raises:
        UsageError: one does not exist, or there is nothing to do.
    """
    return find_inputs(arguments, suffixes, kind=KIND, exclude=options.exclude or (), packed=SUFFIXES)


def _is_far(name: str) -> bool:
    """Whether an argument is, or may list, files at other addresses."""
    return is_remote(name) or os.path.splitext(name)[1].lower() in LISTS


def _names_in(address: str) -> list[str] | None:
    """The files that a Parquet file names; None if it holds photos itself.

    Raises:
        DataError: it cannot be read.
    """
    with open_address(address) as file, open_parquet(file, address) as parquet:
        if photo_column(parquet) is not None:
            return None
        return [location for _, location in listed_in(parquet, Shard("", address, address))]


def _told_stamp(mark: str) -> Stamp:
    """A stamp of what a storage tells of a file; its size and time are no file's of this machine."""
    return Stamp(-1, 0, int(hashlib.blake2b(mark.encode(), digest_size=7).hexdigest(), 16))
