"""Labels in free words that nobody trained: how well a sentence with each fits a photo, told by a captioner.

Each label is put into one or several sentences, and both parts of a search say how well these fit, without looking for
anything. The same sentences without a label say what a photo is worth to any label, which tells photos that none fits.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from captioner.errors import UsageError
from captioner.models.rank import Prepared, log_probs
from captioner.models.search import Finder
from captioner.models.search_config import SHARE
from captioner.text.known import known_labels
from captioner.vision.encoder import Features

TEMPLATES = ("{}", "a photo of {}")
COSINE_WEIGHT = 10.0
"""What a cosine counts beside a log-probability, where sentences are as short as labels."""
NEEDED = 3.0
"""By which a label must fit better than none. Of 411 COCO photos of one of twenty nouns (benchmarks/labels.py) it keeps
0.98 where their noun is among the labels, and refuses 0.91 where it is not."""
_UNCOUNTED = """
a an the some any no one two three four five six seven eight nine ten several many few both all nobody somebody
everybody nothing something people men women children sheep fish water grass snow food my your his her their its this
that these those in on at by with
"""
_NO_ARTICLE = frozenset(_UNCOUNTED.split())


@dataclass(frozen=True)
class Labelled:
    """What fits a photo.

    Attributes:
        probabilities: of the labels, which sum to 1.
        margin: by how much the best label fits better than no label, less `NEEDED`; below 0 none fits.
    """

    probabilities: NDArray[np.float32]
    margin: float


class Labeller:
    """A captioner that tells labels.

    Args:
        finder: the captioner with its quick part, if it has one.
        labels: what to tell; those of which the captioner knows no word are left out.
        templates: sentences with `{}` where a label goes.

    Raises:
        UsageError: a template has no place for a label, or no label is left.

    Attributes:
        labels: those that are left.
    """

    def __init__(self, finder: Finder, labels: Sequence[str], templates: Sequence[str] = TEMPLATES) -> None:
        self.finder, self.templates = finder, templates
        vocabulary = finder.captioner.vocabulary
        for template in templates:
            if template.count("{}") != 1:
                raise UsageError(f"--template {template!r}: has no place for a label, which is written {{}}.")
        self.labels, notes = known_labels(labels, vocabulary)
        if not self.labels:
            raise UsageError(f"no label is left: {'; '.join(notes)}.")
        words = (*map(with_article, self.labels), "")
        texts = [template.replace("{}", word) for word in words for template in templates]
        self._ids = [vocabulary.encode(vocabulary.tokenization.tokenize(text)) for text in texts]
        self._prior = log_probs(finder.captioner.searched_decoder, None, self._ids)
        self._vectors = None if finder.network is None else finder.read(self._ids)

    @torch.inference_mode()
    def judge(self, grids: Tensor) -> list[Labelled]:
        """Tell the labels of photos.

        Args:
            grids: (photos, regions, channels), as `Captioner.encode` gives them.
        """
        captioner = self.finder.captioner
        features = Features.of(grids.to(captioner.device))
        photos = Prepared.of(captioner.searched_decoder, features)
        fits = log_probs(captioner.searched_decoder, photos, self._ids) - SHARE * self._prior
        if self.finder.network is not None and self._vectors is not None:
            fits += COSINE_WEIGHT * self.finder.network.look(features.pooled).cpu() @ self._vectors.T
        scores = fits.unflatten(1, (len(self.labels) + 1, len(self.templates))).mean(2)
        margins = scores[:, :-1].amax(1) - scores[:, -1] - NEEDED
        probabilities = scores[:, :-1].softmax(1).numpy()
        return [Labelled(row, float(margin)) for row, margin in zip(probabilities, margins, strict=True)]


def with_article(label: str) -> str:
    """A label as a sentence has it: `cat` becomes `a cat`; what is counted, done or has an article stays."""
    words = label.split()
    first, last = words[0].lower(), words[-1].lower()
    plural = last.endswith("s") and not last.endswith(("ss", "us"))
    if first in _NO_ARTICLE or last in _NO_ARTICLE or plural or any(word.endswith("ing") for word in words):
        return label
    return f"{'an' if first[0] in 'aeiou' else 'a'} {label}"
