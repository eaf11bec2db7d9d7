"""Labelled clips: a folder with a sub-folder for each class, or a table; and their parts to learn from and to test on.

Clips of one group (a source video, a recording, a person) look alike, so no part of a split ever shares a group with
another: scores would say how well a model knows a scene again, not what happens in it.
"""

import hashlib
import random
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal
from unicodedata import normalize

from captioner.data.clip_tables import SIDES, LabelledClip, find_lists, read_table
from captioner.data.splits import SPLITS, Split
from captioner.errors import DataError
from captioner.vision.frame_files import numbered_frames
from captioner.vision.video import is_clip_file


@dataclass(frozen=True)
class ClipSplit:
    """Clips to learn from and clips to test on, which share no group."""

    train: tuple[LabelledClip, ...]
    test: tuple[LabelledClip, ...]


@dataclass(frozen=True)
class ClipSet:
    """Labelled clips of at least two classes.

    Attributes:
        clips: in the order of their table or folder.
        source: where they come from, for messages.
        problems: what was left out and why, a sentence each.
    """

    clips: tuple[LabelledClip, ...]
    source: str
    problems: tuple[str, ...] = ()

    @property
    def labels(self) -> list[str]:
        """The classes, sorted."""
        return sorted({clip.label for clip in self.clips})

    @classmethod
    def read(cls, root: Path, table: Path | None = None, group: str = "group") -> "ClipSet":
        """Read the clips of a folder, or those that a table lists.

        Args:
            root: folder of the clips; without a table each of its sub-folders is a class, or each of theirs where all
                are called train, val and the like.
            table: a table of clips and labels, whose columns may also be `fold`, `split` and one that says which clips
                belong together, or a list of paths, labels and perhaps splits; paths are relative to `root`, or as
                much of them as tells clips apart. Where `root` has no two sub-folders, one that lies there counts, or
                several that are called train, val and test.
            group: name of that column.

        Raises:
            DataError: the table is wrong in a way that could mix training and testing, or fewer than two classes are
                left.
        """
        source = str(root if table is None else root / table)
        if not root.is_dir():
            raise DataError(f"{root}: no such folder; data.root names the folder of the clips.")
        problems: list[str] = []
        clips = list(
            _read_folder(root, group, problems) if table is None else read_table(root, root / table, group, problems)
        )
        clips = _join_copies(clips, source, problems)
        for side in SIDES:
            _check_sides(clips, side, source)
        return cls(tuple(clips), source, tuple(problems))._checked()

    def without(self, unreadable: Mapping[Path, str]) -> "ClipSet":
        """The other clips; why each of these is left out becomes a problem."""
        clips = tuple(clip for clip in self.clips if clip.path not in unreadable)
        problems = tuple(f"{reason}; it is left out." for reason in unreadable.values())
        return replace(self, clips=clips, problems=self.problems + problems)._checked()

    def hold_out(self, share: float, seed: int = 0) -> ClipSplit:
        """Training and validation clips: the table's splits if it has them, else whole groups, about `share` a class.

        Clips of a `test` split are in neither.

        Raises:
            DataError: a part is empty.
        """
        if any(clip.split for clip in self.clips):
            part = self._part(lambda clip: clip.split == "train", lambda clip: clip.split == "val")
        else:
            chosen = _choose_groups(self.clips, share, random.Random(seed))
            part = self._part(lambda clip: clip.group not in chosen, lambda clip: clip.group in chosen)
        if not part.train or not part.test:
            name = "val" if part.train else "train"
            raise DataError(f"{self.source}: no clip is in the {name} split; check the splits, or give more clips.")
        return part

    def folds(self, count: int, seed: int = 0) -> dict[str, ClipSplit]:
        """Parts of a cross-validation by name; every clip is tested once.

        Args:
            count: of the folds, unless the table has a column `fold`, which then decides.
            seed: of the shuffle.

        Raises:
            DataError: there are too few clips for so many folds.
        """
        fold_of = {clip.path: clip.fold for clip in self.clips}
        if any(clip.split == "test" for clip in self.clips):
            raise DataError(
                f"{self.source}: clips of the test split would be learnt from in a cross-validation; leave data.folds "
                "out, or the clips."
            )
        if not any(fold_of.values()):
            spread = _spread_groups(self.clips, count, random.Random(seed))
            fold_of = {clip.path: str(spread[clip.group]) for clip in self.clips}
        parts = {}
        for name in sorted({fold for fold in fold_of.values() if fold is not None}):
            part = self._part(lambda clip: fold_of[clip.path] != name, lambda clip: fold_of[clip.path] == name)  # noqa: B023
            absent = sorted(set(self.labels) - {clip.label for clip in part.train})
            if absent:
                raise DataError(
                    f"{self.source}: all clips of {absent[0]} are in fold {name}, so that none is left to learn from; "
                    "spread them, or use fewer folds."
                )
            parts[name] = part
        wanted = 2 if any(clip.fold for clip in self.clips) else count
        if len(parts) < wanted:
            raise DataError(
                f"{self.source}: {len(self.clips)} clips in {len(parts)} folds, not {wanted}; use fewer folds."
            )
        return parts

    def _part(self, train: Callable[[LabelledClip], bool], test: Callable[[LabelledClip], bool]) -> ClipSplit:
        return ClipSplit(tuple(filter(train, self.clips)), tuple(filter(test, self.clips)))

    def _checked(self) -> "ClipSet":
        """Leave out classes that cannot be learnt and tested."""
        groups: dict[str, set[str]] = defaultdict(set)
        for clip in self.clips:
            if clip.split in (None, "train"):
                groups[clip.label].add(clip.group)
        given = any(clip.split for clip in self.clips)
        problems = []
        alike = defaultdict[str, list[str]](list)
        for label in self.labels:
            alike[_spoken(label)].append(label)
        for labels in alike.values():
            told = f"{self.source}: {' and '.join(labels)} are taken for different classes."
            if len(labels) > 1 and told not in self.problems:
                problems.append(told)
        for label, count in sorted(Counter(clip.label for clip in self.clips).items()):
            if not groups[label]:
                problems.append(f"{self.source}: class {label} has no clip in the train split; it is left out.")
            elif len(groups[label]) == 1 and not given:
                what = "only one clip" if count == 1 else f"{count} clips of only one group"
                problems.append(
                    f"{self.source}: class {label} has {what}, which cannot be both learnt from and tested on; it is "
                    "left out until you add clips."
                )
                groups[label].clear()
        clips = tuple(clip for clip in self.clips if groups[clip.label])
        if len({clip.label for clip in clips}) < 2:
            every = " ".join((*self.problems, *problems))
            raise DataError(
                f"{self.source}: a classifier needs at least two classes with at least two clips each, in a sub-folder "
                f"for each class or a table with the columns path and label. {every}".rstrip()
            )
        return replace(self, clips=clips, problems=self.problems + tuple(problems))


def _spoken(label: str) -> str:
    """A label without what may differ where one class is meant: case, what separates words, how a number is written."""
    words = re.sub(r"(?<=\w)[\s_-]+(?=\w)", " ", " ".join(label.casefold().split()))
    return re.sub(r"^0*(\d+?)(\.0*)?$", r"\1", words)


def _read_folder(root: Path, group: str, problems: list[str]) -> Iterator[LabelledClip]:
    folders = _folders(root)
    splits = [folder for folder in folders if folder.name.lower() in SPLITS and _folders(folder)]
    if len(splits) > 1 and splits == folders:
        problems.append(f"{root}: {', '.join(folder.name for folder in splits)} are taken for splits, not for classes.")
        for folder in splits:
            yield from _read_classes(folder, SPLITS[folder.name.lower()], problems)
        return
    lists = find_lists(root)
    if lists and len(folders) < 2:  # of one folder at most no classes can be made
        for path, split in lists.items():
            yield from read_table(root, path, group, problems, split if len(lists) > 1 else None)
        return
    if lists:
        names = ", ".join(path.name for path in lists)
        problems.append(f"{root}: the folders are the classes; data.table takes those of {names} instead.")
    yield from _read_classes(root, None, problems)


def _folders(root: Path) -> list[Path]:
    """Sub-folders, but for hidden ones and those that storage boxes and archives add (@eaDir, #recycle, __MACOSX)."""
    return sorted(
        entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith((".", "@", "#", "__MACOSX"))
    )


def _read_classes(root: Path, split: Split | None, problems: list[str]) -> Iterator[LabelledClip]:
    for folder in _folders(root):
        clips = [
            path
            for path in sorted(folder.rglob("*"))
            if not any(part.startswith((".", "@", "#")) for part in path.relative_to(folder).parts)
            and is_clip_file(path)
        ]
        if not clips:
            problems.append(f"{folder}: no clip in this class folder; it is left out.")
        for path in clips:
            yield LabelledClip(path, normalize("NFC", folder.name), group=str(path), split=split)


def _files_of(clip: Path) -> list[Path]:
    """The files that a clip is made of."""
    return [Path(frame) for frame in numbered_frames(clip)] if clip.is_dir() else [clip]


def _join_copies(clips: Sequence[LabelledClip], source: str, problems: list[str]) -> list[LabelledClip]:
    """Make the groups of copies of one file one group, so that no copy of a training clip is tested on.

    Args:
        clips: of which some may have the same bytes.
        source: where they come from, for messages.
        problems: gets a sentence if copies have different labels.
    """
    size_of = [sum(file.stat().st_size for file in _files_of(clip.path)) for clip in clips]
    sizes = Counter(size for size in size_of if size)
    first: dict[str, LabelledClip] = {}
    joined: dict[str, str] = {}
    unlike = []

    def group_of(name: str) -> str:
        while name in joined:
            name = joined[name]
        return name

    for clip, size in zip(clips, size_of, strict=True):
        if sizes[size] > 1:
            digest = "".join(hashlib.sha256(file.read_bytes()).hexdigest() for file in _files_of(clip.path))
            other = first.setdefault(digest, clip)
            if clip.label != other.label:
                unlike.append((other, clip))
            if group_of(clip.group) != group_of(other.group):
                joined[group_of(clip.group)] = group_of(other.group)
    if unlike:
        other, clip = unlike[0]
        more = f" ({len(unlike):,} clips are such copies)" if len(unlike) > 1 else ""
        problems.append(
            f"{source}: {other.path} of class {other.label} and {clip.path} of class {clip.label} are copies of one "
            f"clip, which is learnt as both{more}; keep one of them unless that is meant."
        )
    return [replace(clip, group=group_of(clip.group)) for clip in clips]


def _check_sides(clips: Iterable[LabelledClip], side: Literal["split", "fold"], source: str) -> None:
    """Refuse a group on two sides of a split."""
    first: dict[str, LabelledClip] = {}
    for clip in clips:
        other = first.setdefault(clip.group, clip)
        here, there = getattr(clip, side), getattr(other, side)
        if here != there:
            raise DataError(
                f"{source}: {other.path.name} is in {side} {there} and {clip.path.name} in {side} {here}, but they are "
                "copies or of one group; keep a group on one side."
            )


def _groups(clips: Iterable[LabelledClip], rng: random.Random) -> list[tuple[str, Counter[str]]]:
    """Groups with their number of clips a class, in random order."""
    groups: dict[str, Counter[str]] = defaultdict(Counter)
    for clip in clips:
        groups[clip.group][clip.label] += 1
    shuffled = sorted(groups.items())
    rng.shuffle(shuffled)
    return shuffled


def _choose_groups(clips: Sequence[LabelledClip], share: float, rng: random.Random) -> set[str]:
    """Groups that hold about `share` of each class' clips, at least one clip and never all groups of a class."""
    groups = _groups(clips, rng)
    total = Counter(clip.label for clip in clips)
    left = Counter(label for _, counts in groups for label in counts)
    held: Counter[str] = Counter()
    chosen = set()
    for name, counts in groups:
        wanted = any(held[label] < max(1, round(share * total[label])) for label in counts)
        if wanted and all(left[label] > 1 for label in counts):
            chosen.add(name)
            held += counts
            left.subtract(counts.keys())
    return chosen


def _spread_groups(clips: Sequence[LabelledClip], count: int, rng: random.Random) -> dict[str, int]:
    """A fold for each group, so that every fold has about the same number of clips of each class."""
    held: list[Counter[str]] = [Counter() for _ in range(count)]
    fold = {}
    for name, counts in sorted(_groups(clips, rng), key=lambda group: -group[1].total()):  # big ones while all fits
        fold[name] = min(
            range(count), key=lambda each: (sum(held[each][k] * n for k, n in counts.items()), held[each].total())
        )
        held[fold[name]] += counts
    return fold
