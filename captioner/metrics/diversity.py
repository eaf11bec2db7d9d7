"""How varied captions are: a system can score well and still repeat the same few sentences for most photos."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Diversity:
    """Counts of N captions.

    Attributes:
        distinct_1: different words, as a share of all words.
        distinct_2: different pairs of adjoining words, as a share of all pairs (Li et al., 2016).
        vocabulary: different words.
        mean_length: words a caption.
        distinct_captions: different captions, as a share of all.
        in_training: captions that are also training captions, as a share of all; None if those were not given.
    """

    distinct_1: float
    distinct_2: float
    vocabulary: int
    mean_length: float
    distinct_captions: float
    in_training: float | None


def diversity(lines: Sequence[str], training: Collection[str] | None = None) -> Diversity:
    """Measure captions.

    Args:
        lines: N captions, each a line of tokens; at least one.
        training: lines of tokens that the system was trained on.
    """
    sentences = [line.split() for line in lines]
    words = [word for sentence in sentences for word in sentence]
    pairs = [f"{first} {second}" for sentence in sentences for first, second in pairwise(sentence)]
    vocabulary = len(set(words))
    return Diversity(
        distinct_1=vocabulary / max(len(words), 1),
        distinct_2=len(set(pairs)) / max(len(pairs), 1),
        vocabulary=vocabulary,
        mean_length=len(words) / len(lines),
        distinct_captions=len(set(lines)) / len(lines),
        in_training=None if training is None else sum(line in training for line in lines) / len(lines),
    )
