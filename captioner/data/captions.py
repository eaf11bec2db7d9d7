"""Captioned photos, in whatever form their captions are kept, as one kind of data set."""

import dataclasses
import logging
import random
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from captioner.data.caption_forms import Entry, FoundCaptions, find_captions
from captioner.data.ids import ImageId
from captioner.data.names import first_few
from captioner.data.photos import ImageStore
from captioner.data.splits import Split
from captioner.errors import DataError
from captioner.text.tokenization import PTB, Tokenization

__all__ = ["CaptionSet", "CaptionedImage", "ImageStore", "Split", "assemble"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaptionedImage:
    """One photo and what people wrote about it.

    Attributes:
        id: the annotation file's number or name for the photo; unique in one file only, as `file_name` is everywhere.
        file_name: as the annotation file says, with its folder if given.
        split: the part of the data set it belongs to.
        captions: as written, none of zero words.
        tokens: those of each caption.
    """

    id: ImageId
    file_name: str
    split: Split
    captions: tuple[str, ...]
    tokens: tuple[tuple[str, ...], ...]


class CaptionSet:
    """Captioned photos with their splits, in the order of their file.

    Args:
        images: the photos.
        source: where they come from, for messages.

    Raises:
        DataError: two photos have the same file name.
    """

    def __init__(self, images: Iterable[CaptionedImage], source: str) -> None:
        self.images = tuple(images)
        self.source = source
        counts = Counter(image.file_name for image in self.images)
        twice = [name for name, count in counts.items() if count > 1]
        if twice:
            raise DataError(f"{source}: {_list(twice, 'photo')} listed more than once; keep one entry each.")

    @classmethod
    def read(cls, path: Path, split: Split = "train", columns: Mapping[str, str] | None = None) -> "CaptionSet":
        """Read captions.

        Args:
            path: a file or folder in one of the forms that `caption_forms.find_captions` knows.
            split: of photos whose source says none; Karpathy's files say their own (`restval` counts as `train`).
            columns: names of a table's columns, by `image`, `caption` and `split`.

        Raises:
            DataError: there are none, they are cut short, or the file holds something else.
        """
        return cls.of(find_captions(path, columns), split)

    @classmethod
    def of(cls, found: FoundCaptions, split: Split = "train", tokenization: Tokenization = PTB) -> "CaptionSet":
        """The captions that were found, tokenised; see `read`."""
        return assemble(found.taken(), found.source, split, tokenization)

    @classmethod
    def join(cls, sets: Sequence["CaptionSet"]) -> "CaptionSet":
        """One set of several, in their order; `DataError` where two hold the same file name."""
        return cls((image for each in sets for image in each), ", ".join(each.source for each in sets))

    def material(self) -> list[tuple[str, str, tuple[tuple[str, ...], ...]]]:
        """Each photo's name, split and tokens: all that a training learns of it besides the photo."""
        return [(image.file_name, image.split, image.tokens) for image in self.images]

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[CaptionedImage]:
        return iter(self.images)

    def __getitem__(self, index: int) -> CaptionedImage:
        return self.images[index]

    def split(self, name: Split) -> "CaptionSet":
        """The photos of one split.

        Raises:
            DataError: it is empty.
        """
        chosen = [image for image in self.images if image.split == name]
        if not chosen:
            sizes = Counter(image.split for image in self.images)
            there = ", ".join(f"{sizes[part]} in {part}" for part in get_args(Split) if sizes[part]) or "none at all"
            raise DataError(f"{self.source}: no photo in the {name} split ({there}); check the splits in this file.")
        return CaptionSet(chosen, self.source)

    def hold_out(self, count: int, split: Split = "val", seed: int = 0) -> "CaptionSet":
        """Move `count` of the training photos to another split; the same seed chooses the same photos.

        Raises:
            DataError: this would leave no training photo.
        """
        names = sorted(image.file_name for image in self.images if image.split == "train")
        if not 0 <= count < len(names):
            raise DataError(
                f"{self.source}: cannot keep {count} of {len(names)} training photos for {split}; set hold_out lower."
            )
        chosen = set(random.Random(seed).sample(names, count))
        return CaptionSet(
            (dataclasses.replace(image, split=split) if image.file_name in chosen else image for image in self.images),
            self.source,
        )

    def without(self, names: Collection[str]) -> "CaptionSet":
        """The other photos; there may be none."""
        return CaptionSet((image for image in self.images if image.file_name not in names), self.source)

    def with_photos(self, store: ImageStore, allow_missing: bool = False) -> "CaptionSet":
        """Check that every photo is there.

        Args:
            store: where the photos lie.
            allow_missing: drop the photos that are not there, and say how many, instead of refusing.

        Raises:
            DataError: photos are missing and `allow_missing` is off, or all are missing.
        """
        missing = [image.file_name for image in self.images if image.file_name not in store]
        if not missing:
            return self
        found = f"{_list(missing, 'photo')} of {len(self)} not found in {first_few(store.sources)}"
        if not allow_missing or len(missing) == len(self):
            raise DataError(f"{self.source}: {found}; add them, or set data.allow_missing=true to train without them.")
        _log.warning("%s: %s; going on without.", self.source, found)
        return self.without(set(missing))


def assemble(
    entries: Iterable[Entry], source: Path | str, split: Split = "train", tokenization: Tokenization = PTB
) -> CaptionSet:
    """A set of photos with their captions: tokenises them, and leaves out what holds no word.

    Args:
        entries: the photos; one without an id gets its place.
        source: where they come from, for messages.
        split: of photos that have none.
        tokenization: of the captions.

    Raises:
        DataError: nothing is left.
    """
    images = []
    wordless: list[str] = []
    bare: list[str] = []
    for place, entry in enumerate(entries):
        pairs = [(caption.strip(), tuple(tokenization.tokenize(caption))) for caption in entry.captions]
        kept = [(caption, tokens) for caption, tokens in pairs if tokens]
        wordless += [entry.name] * (len(pairs) - len(kept))
        if kept:
            number = place if entry.id is None else entry.id
            texts = map(tuple, zip(*kept, strict=True))
            images.append(CaptionedImage(number, entry.name, entry.split or split, *texts))
        else:
            bare.append(entry.name)
    if not images:
        raise DataError(f"{source}: no photo with a caption of at least one word.")
    if wordless:
        _log.warning("%s: %s have no words and are left out.", source, _list(wordless, "caption"))
    if bare:
        _log.warning("%s: %s left without a caption and not used.", source, _list(bare, "photo"))
    return CaptionSet(images, str(source))


def _list(names: Sequence[str], noun: str) -> str:
    """`3 photos (a.jpg, b.jpg, ...)`."""
    shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
    return f"{len(names)} {noun}{'s' if len(names) > 1 else ''} ({shown})"
