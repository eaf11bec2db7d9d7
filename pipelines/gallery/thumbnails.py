"""Small copies of photos and of clips' frames, as galleries and reports show them."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2

from captioner.vision.images import Pixels, resize
from captioner.vision.video import Frame

THUMBNAIL = 320  # pixels of the longer side
_QUALITY = 74  # of the thumbnails' JPEG, some 12 kB each
SHOWN = 4  # frames of a clip in the gallery
_FILM_HEIGHT = 120  # pixels of each
_FILM_QUALITY = 70


@dataclass(frozen=True)
class Thumbnail:
    """A small copy of a photo.

    Attributes:
        jpeg: the file.
        size: (height, width) of the photo itself.
        window: top, left, bottom, right of the part that the model saw, as shares of the photo.
    """

    jpeg: bytes
    size: tuple[int, int]
    window: tuple[float, float, float, float]


def thumbnail(pixels: Pixels, window: tuple[float, float, float, float]) -> Thumbnail:
    """A thumbnail of RGB pixels (height, width, 3)."""
    height, width = pixels.shape[:2]
    scale = min(1.0, THUMBNAIL / max(height, width))
    small = resize(pixels, max(1, round(height * scale)), max(1, round(width * scale)))
    _, jpeg = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return Thumbnail(jpeg.tobytes(), (height, width), window)


FilmFrame = tuple[bytes, float]
"""A small copy of a clip's frame as a JPEG file, and when it is shown, in seconds."""


@dataclass(frozen=True)
class Film:
    """What a gallery shows of a clip besides its record.

    Attributes:
        frames: a few.
        size: (height, width) of the clip.
    """

    frames: Sequence[FilmFrame]
    size: tuple[int, int]

    def rows(self) -> list[dict[str, Any]]:
        """The frames for a page's script."""
        return [{"image": base64.b64encode(jpeg).decode(), "time": round(time, 2)} for jpeg, time in self.frames]


def film_frame(frame: Frame) -> FilmFrame:
    """A small copy of a frame."""
    height, width = frame.pixels.shape[:2]
    small = resize(frame.pixels, _FILM_HEIGHT, max(1, round(width * _FILM_HEIGHT / height)))
    jpeg = cv2.imencode(".jpg", small[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _FILM_QUALITY])[1]
    return jpeg.tobytes(), frame.time


def evenly_spaced(frames: Sequence[FilmFrame], count: int = SHOWN) -> list[FilmFrame]:
    """Some of a clip's frames, evenly spread."""
    count = min(count, len(frames))
    return [frames[(2 * place + 1) * len(frames) // (2 * count)] for place in range(count)]
