"""All scores of a set of captions at once, as the official COCO scorer gives them."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field

from captioner.errors import DataError, UsageError
from captioner.metrics.bleu import Bleu, bleu
from captioner.metrics.cider import CiderD
from captioner.metrics.ngrams import MAX_ORDER, Floats, References
from captioner.metrics.rouge import rouge_l
from captioner.text import ptb

METRICS = ("bleu", "rouge", "cider")


@dataclass(frozen=True)
class Scores:
    """Scores of N images.

    Attributes:
        ids: the images, in the order of all arrays.
        totals: the scores of the whole set, by the official names: Bleu_1 to Bleu_4, ROUGE_L, CIDEr.
        per_image: (N,) scores by the same names.
        bleu_statistics: (N, 10), or None without BLEU; see `Bleu.statistics`.
    """

    ids: list[Hashable]
    totals: dict[str, float] = field(default_factory=dict)
    per_image: dict[str, Floats] = field(default_factory=dict)
    bleu_statistics: Floats | None = None


def score(
    hypotheses: Mapping[Hashable, str],
    references: Mapping[Hashable, Sequence[str]],
    metrics: Sequence[str] = METRICS,
) -> Scores:
    """Score one caption an image against its references.

    Args:
        hypotheses: the caption of each image, ordinary text.
        references: the references of the same images; images without a hypothesis are an error, never skipped.
        metrics: any of "bleu", "rouge", "cider".

    Raises:
        DataError: the two mappings hold different images.
        UsageError: an unknown metric.
    """
    unknown = [name for name in metrics if name not in METRICS]
    if unknown:
        raise UsageError(f"unknown metric {unknown[0]!r}; choose from {', '.join(METRICS)}.")
    if hypotheses.keys() != references.keys():
        odd = sorted(map(str, hypotheses.keys() ^ references.keys()))
        raise DataError(f"{len(odd)} images have either no caption or no references (first: {', '.join(odd[:3])}).")
    ids = list(references)
    lines = [ptb.tokenize_line(hypotheses[image]) for image in ids]
    reference_lines = [[ptb.tokenize_line(text) for text in references[image]] for image in ids]
    words = [line.split() for line in lines]
    scores = Scores(ids)
    if "bleu" in metrics or "cider" in metrics:
        prepared = References(
            {image: [line.split() for line in texts] for image, texts in zip(ids, reference_lines, strict=True)}
        )
    if "bleu" in metrics:
        statistics = Bleu(prepared).statistics(ids, words)
        scores = Scores(ids, bleu_statistics=statistics)
        names = [f"Bleu_{order + 1}" for order in range(MAX_ORDER)]
        scores.totals.update(zip(names, bleu(statistics.sum(axis=0)).tolist(), strict=True))
        scores.per_image.update(zip(names, bleu(statistics).T, strict=True))
    # ROUGE-L's official words are split at single spaces only: an empty line has one, "1 1/2" with a fixed space too
    if "rouge" in metrics:
        scores.per_image["ROUGE_L"] = rouge_l(
            [line.split(" ") for line in lines], [[line.split(" ") for line in texts] for texts in reference_lines]
        )
    if "cider" in metrics:
        scores.per_image["CIDEr"] = CiderD(prepared).scores(ids, words)
    for name in ("ROUGE_L", "CIDEr"):
        if name in scores.per_image:
            scores.totals[name] = float(scores.per_image[name].mean())
    return scores
