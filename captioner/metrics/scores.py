"""All scores of a set of captions at once, as the official COCO scorer gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from captioner.errors import DataError, UsageError
from captioner.metrics import java
from captioner.metrics.bleu import bleu, statistics
from captioner.metrics.cider import CiderD
from captioner.metrics.ngrams import MAX_ORDER, Floats, References
from captioner.metrics.rouge import rouge_l
from captioner.text.tokenization import PTB, Tokenization

METRICS = ("bleu", "rouge", "cider")
JAVA_METRICS = ("meteor", "spice")
_BLEU = [f"Bleu_{order + 1}" for order in range(MAX_ORDER)]


@dataclass(frozen=True)
class Scores:
    """Scores of N images.

    Attributes:
        ids: the images, in the order of all sequences here.
        lines: the tokens of each caption, as one line.
        totals: scores of the whole set by their official names: Bleu_1 to Bleu_4, ROUGE_L, CIDEr, METEOR, SPICE.
        per_image: (N,) scores by the same names.
        bleu_statistics: (N, 10), what BLEU is computed from, or None without BLEU; see `bleu.statistics`.
        tokenization: of the captions and their references.
    """

    ids: list[Any]
    lines: list[str]
    totals: dict[str, float]
    per_image: dict[str, Floats]
    bleu_statistics: Floats | None
    tokenization: Tokenization = PTB


class Scorer:
    """Scores captions against references, which are tokenised and counted once.

    Args:
        references: the references of each image, as text. Their order is that of the official scorer's file, on which
            a few tokens depend (see `ptb.tokenize_line`).
        metrics: any of bleu, rouge, cider, and, with Java, meteor and spice, which are for English alone.
        tokenization: of the captions; the official scorer's by default.

    Raises:
        DataError: there are no images, or an image has no reference.
        UsageError: an unknown metric, or one that needs what is not installed or other tokens.
    """

    def __init__(
        self,
        references: Mapping[Any, Sequence[str]],
        metrics: Sequence[str] = METRICS,
        tokenization: Tokenization = PTB,
    ) -> None:
        for name in metrics:
            if name not in METRICS + JAVA_METRICS:
                raise UsageError(f"unknown metric {name!r}; choose from {', '.join(METRICS + JAVA_METRICS)}.")
            if name in JAVA_METRICS:
                if tokenization != PTB:
                    raise UsageError(f"{name} reads English tokens, not {tokenization}; leave it out of --metrics.")
                java.check(name)
        self.metrics, self.tokenization = metrics, tokenization
        self.ids = list(references)
        lines = iter(tokenization.tokenize_lines([text for texts in references.values() for text in texts]))
        self._lines = [[next(lines) for _ in texts] for texts in references.values()]
        self._words = [[line.split() for line in texts] for texts in self._lines]
        self.references = References(dict(zip(self.ids, self._words, strict=True)))
        self._cider = CiderD(self.references) if "cider" in metrics else None

    def score(self, hypotheses: Mapping[Any, str]) -> Scores:
        """Score one caption an image.

        Args:
            hypotheses: the caption of each image, as text, in any order.

        Raises:
            DataError: the images are not those of the references; none is ever passed over in silence.
        """
        strangers = self.references.ids ^ hypotheses.keys()
        if strangers:
            odd = ", ".join(map(str, list(strangers)[:3]))
            raise DataError(f"{len(strangers)} images have either no caption or no references (first: {odd}).")
        lines = self.tokenization.tokenize_lines([hypotheses[image] for image in self.ids])
        words = [line.split() for line in lines]
        counted = self.references.count(self.ids, words)
        totals: dict[str, float] = {}
        per_image: dict[str, Floats] = {}
        table = None
        if "bleu" in self.metrics:
            table = statistics(self.references, counted)
            totals.update(zip(_BLEU, bleu(table.sum(axis=0)).tolist(), strict=True))
            per_image.update(zip(_BLEU, bleu(table).T, strict=True))
        if "rouge" in self.metrics:
            references = map(_cut, self._lines, self._words)
            per_image["ROUGE_L"] = rouge_l(_cut(lines, words), references)
            totals["ROUGE_L"] = float(per_image["ROUGE_L"].mean())
        if self._cider is not None:
            per_image["CIDEr"] = self._cider.scores_of(counted)
            totals["CIDEr"] = float(per_image["CIDEr"].mean())
        for name in JAVA_METRICS:
            if name in self.metrics:
                total, scores = java.score(name, lines, self._lines)
                totals[name.upper()], per_image[name.upper()] = total, scores
        return Scores(self.ids, lines, totals, per_image, table, self.tokenization)


def _cut(lines: Sequence[str], words: Sequence[list[str]]) -> list[list[str]]:
    """Words as the official ROUGE-L has them, cut at single spaces: an empty line has one, and so has "1 1/2"."""
    return [
        found if line and "\u00a0" not in line else line.split(" ") for line, found in zip(lines, words, strict=True)
    ]


def score(
    hypotheses: Mapping[Any, str],
    references: Mapping[Any, Sequence[str]],
    metrics: Sequence[str] = METRICS,
    tokenization: Tokenization = PTB,
) -> Scores:
    """Score one caption an image against its references; see `Scorer`, which keeps the references for more."""
    return Scorer(references, metrics, tokenization).score(hypotheses)
