"""The gallery of lines that were read: each picture with its text, and where each character stands."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2

from captioner.pipelines.folder.outputs import Record
from captioner.pipelines.gallery.pages import Gallery
from captioner.vision.images import Pixels, resize

if TYPE_CHECKING:  # importing it takes seconds
    from captioner.models.text_lines import TextLine

_HEIGHT = 64  # pixels of a line in the gallery
_QUALITY = 70


@dataclass(frozen=True)
class LineCard:
    """What a gallery shows of a line besides its record.

    Attributes:
        jpeg: a small copy of the picture.
        size: (height, width) of the picture itself.
        text: what was read, once it has been.
    """

    jpeg: bytes
    size: tuple[int, int]
    text: "TextLine | None" = None

    def with_text(self, text: "TextLine") -> "LineCard":
        """The same line with what was read in it."""
        return replace(self, text=text)


def line_card(pixels: Pixels) -> LineCard:
    """The card of an RGB picture (height, width, 3)."""
    height, width = pixels.shape[:2]
    scale = min(1.0, _HEIGHT / height)
    small = resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
    _, jpeg = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return LineCard(jpeg.tobytes(), (height, width))


class LineGallery(Gallery):
    """Writes `name.html`: for each line its picture, its text, and the columns that show each character."""

    kind = "lines"

    def row(self, record: Record) -> Mapping[str, Any]:
        """The record with its picture, and of each character its probability and its place."""
        row = record.as_json()
        card: LineCard | None = record.picture
        if card is not None and card.text is not None:
            row |= {
                "image": base64.b64encode(card.jpeg).decode(),
                "height": card.size[0],
                "width": card.size[1],
                "characters": [
                    [each.text, round(each.score, 3), round(each.start, 4), round(each.end, 4)]
                    for each in card.text.characters
                ],
            }
        return row
