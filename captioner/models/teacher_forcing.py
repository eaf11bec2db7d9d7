"""What a decoder says of captions that are there already: it reads them and scores each next word (teacher forcing)."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from captioner.decoding.search import Hypothesis
from captioner.models.caption_network import CaptionDecoder
from captioner.text.vocabulary import Vocabulary
from captioner.vision.encoder import Features


def teacher_forced(
    decoder: CaptionDecoder, features: Features, captions: Sequence[Sequence[int]]
) -> list[tuple[float, ...]]:
    """Log-probabilities of each image's caption, word by word, and of its end.

    Args:
        decoder: that scores.
        features: of the images.
        captions: the ids of one caption an image.
    """
    tokens = [torch.tensor([Vocabulary.start, *ids, Vocabulary.end]) for ids in captions]
    padded = nn.utils.rnn.pad_sequence(tokens, batch_first=True).to(decoder.bias.device)
    logits = decoder.logits(decoder(features, padded[:, None, :-1]).squeeze(1)).float()
    log_probs = logits.gather(-1, padded[:, 1:, None]).squeeze(-1) - logits.logsumexp(-1)
    return [tuple(row[: len(ids) + 1]) for row, ids in zip(log_probs.tolist(), captions, strict=True)]


def with_own_scores(
    found: Sequence[Sequence[Hypothesis]], decoder: CaptionDecoder, features: Features
) -> list[list[Hypothesis]]:
    """The same hypotheses with the decoder's own log-probabilities, where a search has gone by others.

    Args:
        found: hypotheses of each image.
        decoder: that scores.
        features: of the images.
    """
    rows = [image for image, several in enumerate(found) for _ in several]
    captions = [hypothesis.tokens for several in found for hypothesis in several]
    log_probs = iter(teacher_forced(decoder, features[rows], captions))
    return [
        [
            replace(hypothesis, log_probability=sum(own), token_log_probabilities=own)
            for hypothesis, own in zip(several, log_probs, strict=False)
        ]
        for several in found
    ]
