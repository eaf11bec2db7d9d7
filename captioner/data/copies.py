"""Files that are learnt from and validated on under two names, so that scores would say how well one is remembered."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path


def find_copies(
    learnt: Iterable[str], held_out: Iterable[str], size: Callable[[str], Hashable], digest: Callable[[str], Hashable]
) -> list[str]:
    """The names to learn from whose files hold what a held-out one holds.

    Args:
        learnt: names of files.
        held_out: names of others.
        size: of a file; only where sizes agree are files read.
        digest: of a file's content.
    """
    held = defaultdict[Hashable, list[str]](list)
    for name in held_out:
        held[size(name)].append(name)
    digests = dict[Hashable, set[Hashable]]()
    found = []
    for name in learnt:
        same = size(name)
        if same in held:
            if same not in digests:
                digests[same] = {digest(each) for each in held[same]}
            if digest(name) in digests[same]:
                found.append(name)
    return found


def digest_of_file(path: Path) -> bytes:
    """A digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
