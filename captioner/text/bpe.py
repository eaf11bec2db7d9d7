"""Byte-pair encoding (Sennrich et al., 2016): sentences of any language as pieces of words, and back without loss.

The vocabulary is the `tokenizers` library's, kept in its own JSON form, which also records how text is normalised
before it is cut: NFC, one kind of double and of single quotation mark, and single spaces.
"""

import itertools
import json
import random
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from captioner.errors import DataError, ModelError
from captioner.text.vocabulary import SPECIALS, Vocabulary

VARIANTS = 16  # segmentations drawn of each word with dropout: more than epochs in which a rare word is met


class Subwords:
    """A vocabulary of pieces of words; a piece's id is its place in it, and the first four are `SPECIALS`.

    Args:
        tokenizer: a byte-pair encoding of the `tokenizers` library.

    Raises:
        ModelError: it is no byte-pair encoding, or its first pieces are not the specials.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        content = json.loads(tokenizer.to_str())["model"]
        if content["type"] != "BPE":
            raise ModelError(f"a vocabulary of pieces is a byte-pair encoding (BPE), not {content['type']}.")
        self._ids: dict[str, int] = content["vocab"]
        if tuple(sorted(self._ids, key=lambda piece: self._ids[piece])[: len(SPECIALS)]) != SPECIALS:
            raise ModelError(f"a vocabulary begins with {', '.join(SPECIALS)}; this one does not.")
        self._ranks = {tuple(pair): rank for rank, pair in enumerate(content["merges"])}

    @classmethod
    def build(cls, lines: Iterable[str], size: int) -> "Subwords":
        """Learn a vocabulary of at most `size` pieces from text, all languages of a translator together.

        Raises:
            DataError: the text holds no words.
        """
        tokenizer = Tokenizer(models.BPE(unk_token=SPECIALS[Vocabulary.unk]))
        tokenizer.normalizer = normalizers.Sequence(
            [
                normalizers.NFC(),
                normalizers.Replace(Regex("[“”„‟«»]"), '"'),
                normalizers.Replace(Regex("[‘’‚‛´`]"), "'"),
                normalizers.Replace(Regex(r"\s+"), " "),
                normalizers.Strip(),
            ]
        )
        # a word keeps the space before it as its first character, so that pieces say how they are joined again
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Metaspace(), pre_tokenizers.Punctuation(), pre_tokenizers.Digits(individual_digits=True)]
        )
        tokenizer.decoder = decoders.Metaspace()
        trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=list(SPECIALS), show_progress=False)
        tokenizer.train_from_iterator(lines, trainer)
        if tokenizer.get_vocab_size() == len(SPECIALS):
            raise DataError("there are no words to learn a vocabulary from.")
        return cls(tokenizer)

    def __len__(self) -> int:
        return len(self._ids)

    def __contains__(self, character: object) -> bool:
        """Whether a character is a piece, as all are that longer pieces are made of."""
        return character in self._ids

    def normalise(self, text: str) -> str:
        """The text as it is read: NFC, plain quotation marks, single spaces."""
        return str(self._tokenizer.normalizer.normalize_str(whole_characters(text)))

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """The ids of each line's pieces; neither start nor end is added."""
        encodings = self._tokenizer.encode_batch([whole_characters(line) for line in lines], add_special_tokens=False)
        return [encoding.ids for encoding in encodings]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids, less the specials."""
        return str(self._tokenizer.decode([index for index in ids if index >= len(SPECIALS)]))

    def pieces(self, ids: Iterable[int]) -> list[str]:
        """The pieces as they stand in the vocabulary; `▁` is the space before a word."""
        return [str(self._tokenizer.id_to_token(index)) for index in ids]

    def words(self, line: str) -> list[str]:
        """The words and marks between which no pieces are joined, with `▁` for the space before them."""
        return [word for word, _ in self._tokenizer.pre_tokenizer.pre_tokenize_str(self.normalise(line))]

    def sampler(self, dropout: float, seed: int) -> "SubwordSampler":
        """Cuts words at random, for training."""
        return SubwordSampler(self._ids, self._ranks, dropout, seed)

    def save(self, path: Path) -> None:
        """Write as JSON, in the `tokenizers` library's form."""
        path.write_text(self._tokenizer.to_str(pretty=True) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Subwords":
        """Read what `save` wrote.

        Raises:
            ModelError: the file is missing or damaged.
        """
        try:
            return cls(Tokenizer.from_str(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read ({error.strerror}); copy the whole model folder again."
            ) from error
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None
        except Exception as error:  # the library raises nothing narrower
            raise ModelError(f"{path}: not a vocabulary of pieces ({error}); copy the whole model folder.") from error


def whole_characters(text: str) -> str:
    """Text whose halves of characters, which JSON may hold and the library refuses, are replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class SubwordSampler:
    """BPE dropout (Provilkov et al., 2020): each merge is left out with some probability, so that words are cut anew.

    Each word has `VARIANTS` segmentations, which the seed and the word decide, so that a training that continues
    meets the same ones, and drawing one costs no more than a look-up.

    Args:
        ids: of the pieces.
        ranks: of the merges, the first learnt first.
        dropout: probability of leaving out a merge.
        seed: of the draws.
    """

    def __init__(self, ids: dict[str, int], ranks: dict[tuple[str, ...], int], dropout: float, seed: int) -> None:
        self._ids = ids
        self._ranks = ranks
        self.dropout = dropout
        self.seed = seed
        self._variants = lru_cache(maxsize=None)(self._draw)

    def encode(self, words: Sequence[str], draw: random.Random) -> list[int]:
        """The ids of words as `Subwords.words` gives them, each cut in one of its ways."""
        return [index for word in words for index in self._variants(word)[draw.randrange(VARIANTS)]]

    def _draw(self, word: str) -> list[list[int]]:
        draw = random.Random(f"{self.seed}/{word}")
        return [[self._ids.get(piece, Vocabulary.unk) for piece in self._cut(word, draw)] for _ in range(VARIANTS)]

    def _cut(self, word: str, draw: random.Random) -> list[str]:
        pieces = list(word)
        while True:
            merges = [
                (rank, place)
                for place, pair in enumerate(itertools.pairwise(pieces))
                if (rank := self._ranks.get(pair)) is not None and draw.random() >= self.dropout
            ]
            if not merges:
                return pieces
            _, place = min(merges)
            pieces[place : place + 2] = [pieces[place] + pieces[place + 1]]
