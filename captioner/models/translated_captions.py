"""Captions in another language, as if the captioner had written them: with the places each word was said of."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from captioner.models.caption_writer import Caption
from captioner.models.translate import Translator
from captioner.models.translation import Translation


def translate_captions(captions: Sequence[Sequence[Caption]], translator: Translator) -> list[list[Caption]]:
    """Translate the captions of several images.

    Args:
        captions: of each image.
        translator: from the captions' language into another.

    Returns:
        the same captions with their text and tokens translated. Scores stay the captioner's own: how sure it is of what
        it saw. A word's attention is that of the words it was translated from.
    """
    flat = [caption for several in captions for caption in several]
    wanted = any(caption.attention is not None for caption in flat)
    found = iter(translator.translate([caption.text for caption in flat], alignment=wanted))
    return [[_translated(caption, next(found)) for caption in several] for several in captions]


def _translated(caption: Caption, translation: Translation) -> Caption:
    attention = None
    if caption.attention is not None and translation.alignment is not None:
        attention = _through(translation.alignment, _by_word(caption))
    return replace(
        caption, text=translation.text, tokens=translation.words, attention=attention, warning=translation.warning
    )


def _by_word(caption: Caption) -> NDArray[np.float32]:
    """Attention (words of the text, rows, columns), averaged over the tokens of each word."""
    assert caption.attention is not None
    text, position, word = caption.text.lower(), 0, 0
    words = np.zeros((caption.text.count(" ") + 1, *caption.attention.shape[1:]), np.float32)
    counts = np.zeros(len(words), np.float32)
    for token, weights in zip(caption.tokens, caption.attention, strict=True):
        start = text.find(token.lower(), position)
        if start >= 0:  # else it is written otherwise than it was said, and belongs to the word before
            position = start + len(token)
            word = text.count(" ", 0, start)
        words[word] += weights
        counts[word] += 1
    averaged: NDArray[np.float32] = (words / np.maximum(counts, 1)[:, None, None]).astype(np.float32)
    return averaged


def _through(alignment: NDArray[np.float32], words: NDArray[np.float32]) -> NDArray[np.float32]:
    """Attention of translated words, each of which sums to 1."""
    read = min(alignment.shape[1], len(words))
    mixed = np.tensordot(alignment[:, :read], words[:read], 1) + 1e-12
    normalised: NDArray[np.float32] = mixed / mixed.sum(axis=(1, 2), keepdims=True)
    return normalised.astype(np.float32)
