"""Scores of a captioner in training: CIDEr-D and BLEU-4 of its captions, or its perplexity before it sees pictures."""

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from captioner.data.captions import CaptionedImage
from captioner.metrics.scores import score
from captioner.models.caption import Captioner
from captioner.text.vocabulary import Vocabulary
from captioner.training.batches import TextItems
from captioner.training.caption.content import CrossEntropyOfText
from captioner.training.loop import Scores
from captioner.vision.encoder import Features

if TYPE_CHECKING:
    from captioner.models.video_caption import VideoCaptioner

BATCH = 64
KEPT = ("Bleu_4", "CIDEr")


def caption_scores(
    model: "Captioner | VideoCaptioner",
    sets: Mapping[str, Sequence[CaptionedImage]],
    read: Callable[[Sequence[str]], Features],
) -> tuple[float, Scores]:
    """Caption each set's photos as the model's own search does, and score them.

    Args:
        model: with the weights to validate.
        sets: captioned photos by the name of their data set.
        read: gives the features of photos by name.

    Returns:
        the mean CIDEr-D over all photos, and each set's scores.
    """
    scores: Scores = {}
    total = count = 0.0
    for name, images in sets.items():
        hypotheses: dict[Hashable, str] = {}
        for first in range(0, len(images), BATCH):
            names = [image.file_name for image in images[first : first + BATCH]]
            found = model.generate(read(names))
            hypotheses.update((each, captions[0].text) for each, captions in zip(names, found, strict=True))
        references = {image.file_name: image.captions for image in images}
        totals = score(hypotheses, references, ("bleu", "cider"), model.vocabulary.tokenization).totals
        scores[name] = {metric: totals[metric] for metric in KEPT}
        total += totals["CIDEr"] * len(images)
        count += len(images)
    return total / count, scores


@torch.inference_mode()
def language_scores(
    objective: CrossEntropyOfText, vocabulary: Vocabulary, sets: Mapping[str, Sequence[CaptionedImage]], max_length: int
) -> tuple[float, Scores]:
    """Perplexity of each set's captions read without pictures; the score is minus the mean log-perplexity a word."""
    torch.manual_seed(0)  # contents are corrupted in the same way each time
    device = objective.content_words.device
    scores: Scores = {}
    total = count = 0.0
    for name, images in sets.items():
        items = TextItems([tokens for image in images for tokens in image.tokens], vocabulary, max_length)
        items.captions.sort(key=len)
        loss = words = 0.0
        for first in range(0, len(items), 8 * BATCH):
            batch = items.collate(items.captions[first : first + 8 * BATCH])
            mean, numbers = objective(batch.to(device))
            loss += float(mean) * numbers["words"]
            words += numbers["words"]
        scores[name] = {"perplexity": float(np.exp(loss / words))}
        total += loss
        count += words
    return -total / count, scores
