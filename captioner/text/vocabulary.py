"""The words a network knows, numbered, and how they were made (`captioner.text.tokenization`)."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from captioner.errors import DataError, ModelError
from captioner.text.tokenization import PTB, Scheme, Tokenization

SPECIALS = ("<pad>", "<start>", "<end>", "<unk>")


class Vocabulary:
    """A fixed list of tokens; a token's id is its place in it.

    The first four are special and always there: `pad` (0) fills batches, `start` (1) is a decoder's first input,
    `end` (2) its last output, and `unk` (3) stands for every token not in the list.

    Args:
        tokens: all tokens in the order of their ids, the specials first.
        tokenization: how captions become these tokens.

    Raises:
        ModelError: the specials are not the first four, or a token occurs twice.
    """

    pad = 0
    start = 1
    end = 2
    unk = 3

    def __init__(self, tokens: Sequence[str], tokenization: Tokenization = PTB) -> None:
        if tuple(tokens[: len(SPECIALS)]) != SPECIALS:
            raise ModelError(
                f"A vocabulary begins with {', '.join(SPECIALS)}; this one begins with {list(tokens[:4])}."
            )
        self.tokens = tuple(tokens)
        self.tokenization = tokenization
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        if len(self._ids) < len(self.tokens):
            twice = [token for token, count in Counter(self.tokens).items() if count > 1]
            raise ModelError(f"A vocabulary holds each token once; these occur more often: {', '.join(twice[:5])}.")

    @classmethod
    def build(
        cls,
        captions: Iterable[Sequence[str]],
        min_count: int = 5,
        max_size: int | None = None,
        tokenization: Tokenization = PTB,
    ) -> "Vocabulary":
        """Number the words of tokenised captions, the most frequent first, equally frequent ones alphabetically.

        Args:
            captions: one sequence of tokens a caption.
            min_count: rarer words become `<unk>`.
            max_size: keep at most this many words; the specials are not counted.
            tokenization: how the captions were tokenised.

        Raises:
            DataError: no word is frequent enough.
        """
        counts = Counter(token for caption in captions for token in caption)
        words = [token for token, count in counts.items() if count >= min_count and token not in SPECIALS]
        words.sort(key=lambda token: (-counts[token], token))
        if not words:
            raise DataError(
                f"None of the captions' {len(counts)} different words occurs {min_count} times; "
                "lower min_count or give more captions."
            )
        return cls([*SPECIALS, *words[:max_size]], tokenization)

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._ids

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocabulary) and self.tokens == other.tokens and self.tokenization == other.tokenization

    def __hash__(self) -> int:
        return hash(self.tokens)

    def __repr__(self) -> str:
        return f"Vocabulary({len(self)} tokens)"

    def encode(self, tokens: Iterable[str]) -> list[int]:
        """The ids of tokens, `unk` for unknown ones; neither start nor end is added."""
        return [self._ids.get(token, self.unk) for token in tokens]

    def decode(self, ids: Iterable[int]) -> list[str]:
        """The tokens of ids up to the first `end`; specials, `<unk>` among them, are dropped."""
        tokens = []
        for index in ids:
            if index == self.end:
                break
            if index >= len(SPECIALS):
                tokens.append(self.tokens[index])
        return tokens

    def save(self, path: Path) -> None:
        """Write as JSON, one token a line; how they were made is said where it is not the way of English captions."""
        made = {} if self.tokenization == PTB else {"tokenization": asdict(self.tokenization)}
        content = {**made, "tokens": self.tokens}
        path.write_text(json.dumps(content, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> "Vocabulary":
        """Read what `save` wrote.

        Raises:
            ModelError: the file is missing, is not such JSON, lacks the specials, or holds a token twice.
        """
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise ModelError(
                f"{path}: cannot be read ({error.strerror}); copy the whole model folder again."
            ) from error
        except (ValueError, RecursionError) as error:
            raise ModelError(f"{path}: not JSON ({error}); copy the whole model folder again.") from error
        tokens = content.get("tokens") if isinstance(content, dict) else None
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise ModelError(f'{path}: not a vocabulary, which is {{"tokens": [...]}} with a list of strings.')
        try:
            return cls(tokens, _tokenization(content.get("tokenization", {})))
        except ModelError as error:
            raise ModelError(f"{path}: {error}") from None


def _tokenization(values: Any) -> Tokenization:
    """What a vocabulary's file says of its tokens; those written before there was a choice say nothing."""
    made = values if isinstance(values, dict) else {"": values}
    known = made.keys() <= {"scheme", "lower"} and made.get("scheme", "ptb") in get_args(Scheme)
    if not known or not isinstance(made.get("lower", True), bool):
        raise ModelError(f"tokenization is {values!r}, which this captioner does not know; update it.")
    return Tokenization(**made)
