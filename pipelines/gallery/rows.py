"""What a gallery's script reads of photos and clips that were captioned: captions, words' places and attention."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.gallery.thumbnails import Film, Thumbnail
from captioner.text.unicode_words import SPACE


class Said(Protocol):
    """A sentence and where each word was looked for, such as a `Caption`."""

    @property
    def text(self) -> str:
        """As people read it."""

    @property
    def tokens(self) -> Sequence[str]:
        """Its words."""

    @property
    def attention(self) -> NDArray[np.float32] | None:
        """(tokens, rows, columns), or None."""


def captions_of(record: Record) -> list[Mapping[str, Any]]:
    """The captions of a record with their scores, best first; none if it failed."""
    if record.error is not None:
        return []
    return list(record.fields.get("captions", [record.fields]))


def word_spans(text: str, tokens: Sequence[str]) -> list[tuple[int, int] | None]:
    """Where each token stands in the sentence made of them; None for one that is written otherwise, such as `-lrb-`."""
    spans: list[tuple[int, int] | None] = []
    lower, position = text.lower(), 0
    for token in (token.removeprefix(SPACE) or token for token in tokens):
        start = lower.find(token.lower(), position)
        if start < 0:
            spans.append(None)
        else:
            position = start + len(token)
            spans.append((start, position))
    return spans


def attention_bytes(attention: NDArray[np.float32]) -> str:
    """Attention (tokens, rows, columns) as base64 of one byte a cell, 255 for the greatest of each token."""
    scaled = attention / np.maximum(attention.max(axis=(1, 2), keepdims=True), 1e-12)
    return base64.b64encode((scaled * 255).round().astype(np.uint8).tobytes()).decode()


@dataclass(frozen=True)
class PhotoCard:
    """What a gallery shows of a photo besides its record: a thumbnail, and the captions with their attention."""

    thumbnail: Thumbnail
    captions: Sequence[Said]


def caption_row(record: Record) -> Mapping[str, Any]:
    """What the page's script reads of a photo or clip that was captioned."""
    row = record.as_json()
    if isinstance(record.picture, Film):
        row |= {"frames": record.picture.rows(), "height": record.picture.size[0], "width": record.picture.size[1]}
    elif record.picture is not None:
        picture: PhotoCard = record.picture
        row |= {
            "captions": [
                {**shown_fields, **_words(shown_fields["caption"], caption)}
                for shown_fields, caption in zip(captions_of(record), picture.captions, strict=True)
            ],
            "height": picture.thumbnail.size[0],
            "width": picture.thumbnail.size[1],
            "window": [round(edge, 4) for edge in picture.thumbnail.window],
            "image": base64.b64encode(picture.thumbnail.jpeg).decode(),
        }
        attention = picture.captions[0].attention
        if attention is not None:
            row["grid"] = attention.shape[1:]
    return row


def _words(shown: str, caption: Said) -> dict[str, Any]:
    """Where words are in a caption as it is shown, which may have something before it and no full stop."""
    begin = max(0, shown.lower().find(caption.text.rstrip(".。।").lower()))
    spans = {
        "spans": [span and (span[0] + begin, span[1] + begin) for span in word_spans(caption.text, caption.tokens)]
    }
    return spans if caption.attention is None else {**spans, "attention": attention_bytes(caption.attention)}
