"""N-gram counts of tokenised captions as NumPy arrays: counted once, shared by BLEU and CIDEr-D."""

from collections.abc import Hashable, Iterable, KeysView, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

import numpy as np
from numpy.typing import NDArray

from captioner.errors import DataError

MAX_ORDER = 4

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Counts:
    """How often each n-gram of one order occurs in each sentence; an entry is a distinct n-gram of a sentence.

    Attributes:
        sentence: (entries,) number of the sentence, ascending.
        gram: (entries,) number of the n-gram; numbers at or above the index's size are n-grams it does not know.
        count: (entries,) occurrences.
    """

    sentence: Ints
    gram: Ints
    count: Ints


@dataclass(frozen=True)
class Hypotheses:
    """Captions to be scored against `References`, made by `References.count`.

    Attributes:
        rows: (N,) number of each caption's image.
        lengths: (N,) words.
        counts: n-gram counts, one `Counts` for each order.
    """

    rows: Ints
    lengths: Ints
    counts: list[Counts]


class NGramIndex:
    """Numbers the n-grams, n from 1 to 4, of a set of sentences.

    An n-gram's key joins the number of its first n-1 words and that of its last word, so that keys of any order and
    any vocabulary fit 64 bits.

    Args:
        sentences: the tokenised sentences whose n-grams are to be known.

    Attributes:
        occurrences: for each order, the sentence and the number of every n-gram in those sentences.
    """

    def __init__(self, sentences: Sequence[Sequence[str]]) -> None:
        self._words = {word: number for number, word in enumerate(dict.fromkeys(chain.from_iterable(sentences)))}
        self._keys: list[Ints] = []
        self.occurrences = self._occurrences(sentences)

    def size(self, order: int) -> int:
        """Number of known n-grams of `order` + 1 words."""
        return len(self._keys[order])

    def count(self, sentences: Sequence[Sequence[str]]) -> list[Counts]:
        """Count the n-grams of tokenised sentences, one `Counts` for each order."""
        counts = []
        for sentence, gram in self._occurrences(sentences):
            span = int(gram.max(initial=0)) + 1
            entries, count = np.unique(sentence * span + gram, return_counts=True)
            counts.append(Counts(entries // span, entries % span, count))
        return counts

    def _occurrences(self, sentences: Sequence[Sequence[str]]) -> list[tuple[Ints, Ints]]:
        words = self._number_words(sentences)
        lengths = sentence_lengths(sentences)
        sentence = np.repeat(np.arange(len(sentences)), lengths)
        # how many words follow, the word itself included: an n-gram starts where at least n do
        following = np.repeat(np.cumsum(lengths), lengths) - np.arange(len(words))
        start, prefix = np.arange(len(words)), np.zeros(len(words), np.int64)
        found = []
        for order in range(MAX_ORDER):
            fits = following[start] > order
            start, prefix = start[fits], prefix[fits]
            prefix = self._number(order, prefix << 32 | words[start + order])
            found.append((sentence[start], prefix))
        return found

    def _number_words(self, sentences: Sequence[Sequence[str]]) -> Ints:
        flat = list(chain.from_iterable(sentences))
        numbers = np.fromiter(map(self._words.get, flat, repeat(-1)), np.int64, len(flat))
        new: dict[str, int] = {}
        for place in np.flatnonzero(numbers < 0):
            numbers[place] = new.setdefault(flat[place], len(self._words) + len(new))
        return numbers

    def _number(self, order: int, keys: Ints) -> Ints:
        if order == len(self._keys):  # the sentences the index is made of
            known, numbers = np.unique(keys, return_inverse=True)
            self._keys.append(known)
            return numbers
        numbers, found = find(self._keys[order], keys)
        new = ~found
        numbers[new] = len(self._keys[order]) + np.unique(keys[new], return_inverse=True)[1]
        return numbers


class References:
    """The references of a set of images, as n-gram counts grouped by image and n-gram.

    Args:
        references: for each image id, its tokenised references.

    Raises:
        DataError: there are no images, or an image has no reference.
    """

    def __init__(self, references: Mapping[Any, Sequence[Sequence[str]]]) -> None:
        if not references:
            raise DataError("no images with references to score against; pass at least one.")
        bare = [image for image, texts in references.items() if not texts]
        if bare:
            raise DataError(f"{len(bare)} images have no reference caption (first: {bare[0]}); leave them out.")
        self._rows = {image: row for row, image in enumerate(references)}
        sentences = list(chain.from_iterable(references.values()))
        self.number_of_references = np.fromiter(map(len, references.values()), np.int64, len(references))
        self.first_reference = np.cumsum(self.number_of_references) - self.number_of_references
        self.lengths = sentence_lengths(sentences)
        self.index = NGramIndex(sentences)
        self.groups = [
            Groups(self.first_reference, self.number_of_references, *found, self.index.size(order))
            for order, found in enumerate(self.index.occurrences)
        ]

    def __len__(self) -> int:
        """Number of images."""
        return len(self._rows)

    @property
    def ids(self) -> KeysView[Hashable]:
        """The images, in order."""
        return self._rows.keys()

    def count(self, ids: Iterable[Hashable], hypotheses: Sequence[Sequence[str]]) -> Hypotheses:
        """Count the n-grams of captions, for any of the metrics.

        Args:
            ids: the image of each caption; may repeat.
            hypotheses: N tokenised captions.

        Raises:
            DataError: an id without references.
        """
        try:
            rows = np.array([self._rows[image] for image in ids], np.int64)
        except KeyError as error:
            raise DataError(f"image {error.args[0]} has no references to be scored against.") from None
        return Hypotheses(rows, sentence_lengths(hypotheses), self.index.count(hypotheses))


class Groups:
    """The counts of one order grouped by (image, n-gram), for finding a hypothesis' n-grams in its references.

    Args:
        first: (images,) number of each image's first reference.
        number: (images,) references of each image.
        sentence: (occurrences,) the reference that each n-gram is in.
        gram: (occurrences,) its number.
        size: how many different n-grams there are.

    Attributes:
        starts: (groups + 1,) where each group's entries begin in `sentence` and `count`.
        sentence: (entries,) number of the reference.
        gram: (entries,) number of the n-gram.
        count: (entries,) occurrences in that reference.
        document_frequency: (n-grams,) images with the n-gram in any reference.
    """

    def __init__(self, first: Ints, number: Ints, sentence: Ints, gram: Ints, size: int) -> None:
        most = int(number.max())  # references of an image
        image = np.repeat(np.arange(len(number)), number)[sentence]
        # one sort groups by image, n-gram and reference, and counts
        entries, self.count = np.unique((image * size + gram) * most + sentence - first[image], return_counts=True)
        groups = entries // most
        self.gram = groups % max(size, 1)
        self.sentence = first[groups // max(size, 1)] + entries - groups * most
        self._size = size
        starts = np.flatnonzero(np.diff(groups, prepend=-1))
        self._keys = groups[starts]
        self.starts = np.append(starts, len(groups))
        self.document_frequency = np.bincount(self.gram[starts], minlength=size)

    def find(self, rows: Ints, gram: Ints) -> tuple[Ints, Bools]:
        """Find the groups of n-grams `gram` in images `rows`; where the second array is false there is none."""
        known = gram < self._size
        group, found = find(self._keys, rows * self._size + np.where(known, gram, 0))
        return group, found & known


def sentence_lengths(sentences: Sequence[Sequence[str]]) -> Ints:
    """Words in each sentence, (sentences,)."""
    return np.fromiter(map(len, sentences), np.int64, len(sentences))


def find(table: Ints, keys: Ints) -> tuple[Ints, Bools]:
    """Find keys in an ascending table: places (arbitrary but valid unless the table is empty), and whether found."""
    places = np.searchsorted(table, keys)
    places[places == len(table)] = 0
    return places, table[places] == keys if len(table) else np.zeros(len(keys), bool)
