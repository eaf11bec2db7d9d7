"""Files that are learnt from and validated on under two names, so that scores would say how well one is remembered."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path

from captioner.errors import DataError


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


def check_apart(learnt: Iterable[Path], held_out: Iterable[Path]) -> None:
    """See that no file of text to learn from is validated on too, as itself or as a copy.

    Raises:
        DataError: one is.
    """
    learnt, held_out = list(learnt), list(held_out)
    first, second = ([str(path) for path in paths if path.is_file()] for paths in (learnt, held_out))
    copies = find_copies(first, second, lambda name: Path(name).stat().st_size, lambda name: digest_of_file(Path(name)))
    both = [*copies, *(str(path) for path in learnt if path in held_out)]  # also members of archives
    if both:
        raise DataError(f"{both[0]}: is learnt from and validated on; name another text for one of both.")


def digest_of_file(path: Path) -> bytes:
    """A digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
