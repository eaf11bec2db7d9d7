"""Which photo a name means: names in annotations and results against the paths that photos really have.

Camera names repeat from folder to folder, so as much of a path counts as tells photos apart. Backslashes separate as
slashes do, and the two Unicode forms of an accented letter are one letter.
"""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Generic, TypeVar

Id = TypeVar("Id")

LEFT_OUT = frozenset(
    {"@eadir", "@recycle", "@tmp", "#recycle", "#snapshot", "$recycle.bin", "__macosx", "lost+found"}
    | {"system volume information"}
)
"""Folders that network drives, zip programs and systems add, in lower case: thumbnails and waste, never photos."""


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of a path or name, folders first, in one Unicode form and whatever separates them."""
    parts = unicodedata.normalize("NFC", name).replace("\\", "/").split("/")
    return tuple(each for each in parts if each not in ("", "."))


class Names(Generic[Id]):
    """Names of photos, to be found by paths.

    Args:
        names: each photo's name, perhaps with folders, by its id.
    """

    def __init__(self, names: Mapping[Id, str]) -> None:
        self._by_base: defaultdict[str, list[tuple[tuple[str, ...], Id]]] = defaultdict(list)
        for image, name in names.items():
            parts = parts_of(name)
            self._by_base[parts[-1] if parts else ""].append((parts, image))

    def find(self, path: str, below: str) -> list[Id]:
        """The photos that a path may be: one if it is plain which, several if it is not.

        Names that the path ends in are best, the longest of them; else those that end as the path does below a folder.

        Args:
            path: the whole path.
            below: its last parts, from a folder that was named on.
        """
        whole, inner = parts_of(path), parts_of(below)
        near = self._by_base.get(whole[-1], []) if whole else []
        ends = [(len(parts), image) for parts, image in near if whole[len(whole) - len(parts) :] == parts]
        if ends:
            longest = max(length for length, _ in ends)
            return [image for length, image in ends if length == longest]
        return [image for parts, image in near if parts[len(parts) - len(inner) :] == inner]


def below(path: str, folders: Collection[str]) -> str:
    """A path from the one of `folders` on in which it lies, or its last part if it lies in none."""
    parts = parts_of(path)
    for folder in map(parts_of, folders):
        if folder and parts[: len(folder)] == folder and len(parts) > len(folder):
            return "/".join(parts[len(folder) :])
    return parts[-1] if parts else path


def first_few(names: Sequence[str], count: int = 3) -> str:
    """`a, b, c and 1,997 more`, so that a sentence stays one however many there are."""
    if len(names) <= count + 1:
        return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]])) if names else ""
    return f"{', '.join(names[:count])} and {len(names) - count:,} more"


def inner_name(name: str) -> str | None:
    """A member's name with plain slashes; None if it leads out of the archive (`..`, `/etc`, `C:`) or is empty."""
    plain = name.replace("\\", "/")
    parts = [part for part in plain.split("/") if part not in ("", ".")]
    if not parts or plain.startswith("/") or ".." in parts or ":" in parts[0] or "\0" in plain:
        return None
    return "/".join(parts)
