"""What a translator says of a sentence, and how that of several sentences becomes one of the text that holds them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from captioner.data.names import first_few
from captioner.decoding.search import Hypothesis
from captioner.text.bpe import Subwords
from captioner.text.details import missing_details
from captioner.text.familiar import unfamiliar_words
from captioner.text.repeats import repeats_more
from captioner.text.sentences import STOPS, Sentence

_SPACE = "▁"  # with which a piece begins that follows a space
UNKNOWN = "unknown characters:"
COPIED = "copied as it stands:"
LACKS = "the translation lacks"
ENDLESS = "the translation did not end, and is cut"
REPEATS = "the translation repeats itself"
RARE = "words rarely met in training:"
_LONGEST = 60  # characters of an address that a warning repeats


@dataclass(frozen=True)
class Translation:
    """A translation and how sure the model is of it.

    Attributes:
        text: the sentence in the other language.
        score: mean log-probability of its pieces and the end, at most 0.
        log_probability: their sum.
        source_words: the words that were read, between spaces.
        words: the words of `text`, between spaces.
        alignment: (words, source_words), the attention of each word to each that was read; rows sum to 1. None if not
            asked for.
        warning: what was wrong with the sentence, or what of it `text` lacks, or "".
    """

    text: str
    score: float
    log_probability: float
    source_words: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    alignment: NDArray[np.float32] | None = None
    warning: str = ""

    def checked(self, source: str, language: str, familiar: frozenset[str]) -> "Translation":
        """With a warning of what a translator of few words invents others for: numbers and addresses that it lacks, and
        words that the translator hardly met; and of words that it says again at once.

        Args:
            source: the text that was translated.
            language: of the translation.
            familiar: words in lower case that the translator met often enough; none if that is not known.
        """
        lacking = missing_details(source, self.text, language)
        missing = [each if len(each) <= _LONGEST else f"{each[:_LONGEST]}..." for each in lacking]
        rare = [each[:_LONGEST] for each in unfamiliar_words(source, self.text, familiar)] if familiar else []
        warnings = [
            self.warning,
            f"{LACKS} {first_few(missing)}" if missing else "",
            REPEATS if repeats_more(self.text, source) else "",
            f"{RARE} {first_few(rare)}" if rare else "",
        ]
        return replace(self, warning="; ".join(filter(None, warnings)))


@dataclass(frozen=True)
class Part:
    """A translated sentence of a text.

    Attributes:
        sentence: of the text.
        translation: of it alone.
        length: its pieces and the end; 0 where there was nothing to translate.
        endless: it did not end where every translation of such a sentence does, and was cut there.
    """

    sentence: Sentence
    translation: Translation
    length: int
    endless: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """Of the translation, with the mark before it and the tail behind."""
        return _between(self.sentence, self.translation.words)

    @property
    def source_words(self) -> tuple[str, ...]:
        """That were read, with the mark before them and the tail behind."""
        return _between(self.sentence, self.translation.source_words)

    @property
    def alignment(self) -> NDArray[np.float32] | None:
        """Of `words` and `source_words`; mark and tail come from mark and tail."""
        weights = self.translation.alignment
        if weights is None:
            return None
        marks, tails = [], []
        for words in (self.translation.words, self.translation.source_words):
            marks.append(len(_after(self.sentence.mark, words)) - len(words))
            tails.append(len(_between(self.sentence, words)) - len(words) - marks[-1])
        return _diagonal([np.eye(*marks, dtype=np.float32), weights, np.eye(*tails, dtype=np.float32)])


@dataclass(frozen=True)
class Reading:
    """A sentence as it is read.

    Attributes:
        sentence: of a text, in characters that the model knows.
        written: what stands in the text for the sentence's own.
        ids: of its pieces, as many as are read; none where it is all mark.
        stopped: a full stop was added, which its translation loses again.
        warning: what is wrong with the text.
    """

    sentence: Sentence
    written: str
    ids: Sequence[int]
    stopped: bool
    warning: str

    def part(self, hypothesis: Hypothesis, subwords: Subwords) -> Part:
        """What a hypothesis says."""
        tokens, source, end = list(hypothesis.tokens), subwords.pieces(self.ids), ""
        last = "".join(subwords.pieces(tokens[-1:]))
        if self.sentence.text.endswith(("!", "?")) and (last in STOPS or last[-1:].isalnum()):
            end = self.sentence.text[-1]  # captions hold too few of these to learn them from
        if last in STOPS and (self.stopped or end):
            tokens.pop()
        target, weights = [*subwords.pieces(tokens), *end], hypothesis.attention
        length = len(hypothesis.tokens) + 1
        translation = Translation(
            text=subwords.decode(tokens) + end,
            score=hypothesis.log_probability / length,
            log_probability=hypothesis.log_probability,
            source_words=self._words(subwords, source),
            words=_joined(target),
            alignment=None if weights is None else _by_words(weights.float().cpu().numpy(), target, source),
            warning=self.warning,
        )
        return Part(self.sentence, translation, length)

    def copied(self, *, alignment: bool) -> Part:
        """The mark alone."""
        weights = np.zeros((0, 0), np.float32) if alignment else None
        return Part(self.sentence, Translation("", 0.0, 0.0, alignment=weights, warning=self.warning), 0)

    def _words(self, subwords: Subwords, source: Sequence[str]) -> tuple[str, ...]:
        """The words that were read, as they are written: pieces do not tell unknown characters apart."""
        joined = _joined(source)
        for text in (self.written, self.sentence.text):
            words = subwords.normalise(text).split(" ")
            if len(words) == len(joined) or (len(words) > len(joined) and text == self.sentence.text):
                return tuple(words[: len(joined)])
        return joined


def put_together(sentences: Sequence[Sequence[Part]]) -> list[Translation]:
    """The translations of a text, best first, from those of its sentences; what stands before each of these stays.

    One of fewer translations than another gives its last one more often. No sentence has an empty translation.
    """
    if not sentences:
        return [Translation("", 0.0, 0.0)]
    several = max(map(len, sentences))
    return [_whole([parts[min(place, len(parts) - 1)] for parts in sentences]) for place in range(several)]


def _whole(parts: Sequence[Part]) -> Translation:
    alignments = [part.alignment for part in parts]
    known = [alignment for alignment in alignments if alignment is not None]
    log_probability = sum(part.translation.log_probability for part in parts)
    return Translation(
        text="".join(_written(part) for part in parts).strip(),
        score=log_probability / max(1, sum(part.length for part in parts)),
        log_probability=log_probability,
        source_words=tuple(word for part in parts for word in part.source_words),
        words=tuple(word for part in parts for word in part.words),
        alignment=_diagonal(known) if len(known) == len(parts) else None,
        warning="; ".join(filter(None, [parts[0].translation.warning, ENDLESS * any(part.endless for part in parts)])),
    )


def _written(part: Part) -> str:
    sentence = part.sentence
    return f"{sentence.gap}{sentence.mark}{part.translation.text}{sentence.tail}"


def _between(sentence: Sentence, words: tuple[str, ...]) -> tuple[str, ...]:
    """Words with a sentence's mark before them, and its tail behind."""
    words, tail = _after(sentence.mark, words), sentence.tail
    if words and tail and tail == tail.lstrip():
        glued, *others = tail.split()
        return (*words[:-1], words[-1] + glued, *others)
    return (*words, *tail.split())


def _after(mark: str, words: tuple[str, ...]) -> tuple[str, ...]:
    if words and mark and mark == mark.rstrip():
        *others, glued = mark.split()
        return (*others, glued + words[0], *words[1:])
    return (*mark.split(), *words)


def _diagonal(blocks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """One matrix with blocks along its diagonal, and 0 elsewhere."""
    heights, widths = (np.cumsum([0, *(block.shape[axis] for block in blocks)]) for axis in (0, 1))
    whole = np.zeros((heights[-1], widths[-1]), np.float32)
    for block, top, left in zip(blocks, heights, widths, strict=False):
        whole[top : top + block.shape[0], left : left + block.shape[1]] = block
    return whole


def _starts(pieces: Iterable[str]) -> list[int]:
    """The places at which words begin."""
    return [place for place, piece in enumerate(pieces) if piece.startswith(_SPACE) or place == 0]


def _joined(pieces: Sequence[str]) -> tuple[str, ...]:
    starts = [*_starts(pieces), len(pieces)]
    return tuple("".join(pieces[first:last]).removeprefix(_SPACE) for first, last in pairwise(starts))


def _by_words(weights: NDArray[np.float32], target: Sequence[str], source: Sequence[str]) -> NDArray[np.float32]:
    """Attention (pieces, source pieces, perhaps more of both) as (words, source words): summed over a source word's
    pieces, averaged over those of a word."""
    if not len(target):
        return np.zeros((0, len(_starts(source))), np.float32)
    starts = _starts(target)
    summed = np.add.reduceat(weights[: len(target), : len(source)], _starts(source), axis=1)
    counts = np.diff([*starts, len(target)])
    averaged: NDArray[np.float32] = np.add.reduceat(summed, starts, axis=0) / counts[:, None]
    return (averaged / averaged.sum(1, keepdims=True)).astype(np.float32)  # bfloat16 has rounded them
