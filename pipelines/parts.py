"""What a captioner looks at, one at a time: a photo, a clip, or a segment of one, read and resized by threads."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from captioner.errors import ImageError, VideoError
from captioner.vision.images import Pixels, Transform, read
from captioner.vision.scenes import Segment, segments
from captioner.vision.video import VIDEO_SUFFIXES, Frame, Video, shrinks_to

from .classify_outputs import few, film_frame
from .gallery import FilmFrame, Thumbnail, thumbnail
from .stages import in_threads, side_by_side

FRAMES = 4
"""Of a clip or a segment, for a model that was not trained on clips."""
_AHEAD = 2  # segments of a clip that wait for the CNN


@dataclass(frozen=True)
class ClipOptions:
    """How clips are captioned.

    Attributes:
        frames: of a clip, or of each of its segments.
        every: seconds of a segment; None for no such limit.
        scenes: whether segments begin where the scene changes.
    """

    frames: int = FRAMES
    every: float | None = None
    scenes: bool = False

    @property
    def segmented(self) -> bool:
        """Whether a clip gets a caption for each of its segments."""
        return self.scenes or self.every is not None


@dataclass(frozen=True)
class Part:
    """A photo, a clip or a segment of one, ready for the CNN, or the reason why it is not.

    Attributes:
        path: of the file.
        pixels: RGB (frames, height, width, 3); one frame of a photo.
        span: start and end in seconds; None for a photo.
        last: whether this is the file's last part.
        error: why the file cannot be read.
        warning: what is wrong with a file that can be read all the same.
        thumbnail: of a photo, for a gallery.
        film: a few frames of a clip, for a gallery.
        size: (height, width) of the clip.
    """

    path: str
    pixels: Pixels | None = None
    span: tuple[float, float] | None = None
    last: bool = True
    error: str | None = None
    warning: str | None = None
    thumbnail: Thumbnail | None = None
    film: Sequence[FilmFrame] = ()
    size: tuple[int, int] = (0, 0)


def is_clip(path: str) -> bool:
    """Whether a file is read as a clip, by its suffix."""
    return os.path.splitext(path)[1].lower() in VIDEO_SUFFIXES


def load_parts(
    paths: Sequence[str],
    transform: Transform,
    clips: ClipOptions,
    *,
    workers: int,
    waiting: int,
    max_pixels: int,
    pictures: bool,
) -> Iterator[Part]:
    """The parts of all files, in order.

    Args:
        paths: of photos and clips.
        transform: makes the CNN's input.
        clips: how clips are divided.
        workers: threads that decode, a file each.
        waiting: images that may wait for the CNN.
        max_pixels: larger photos are refused.
        pictures: also make what a gallery shows.
    """
    photo = partial(load_image, transform=transform, max_pixels=max_pixels, pictures=pictures)
    clip = partial(load_clip, transform=transform, clips=clips, pictures=pictures)

    def load(path: str) -> Iterator[Part]:
        return clip(path) if is_clip(path) else iter([photo(path)])

    if not any(map(is_clip, paths)):
        return in_threads(photo, paths, workers=workers, waiting=waiting)
    if clips.segmented:
        return side_by_side(load, paths, workers=workers, waiting=_AHEAD)
    return in_threads(lambda path: next(load(path)), paths, workers=workers, waiting=max(1, waiting // clips.frames))


def load_image(path: str, transform: Transform, max_pixels: int, pictures: bool) -> Part:
    """Read, decode and resize one photo; what is wrong with it becomes part of the result."""
    try:
        decoded = read(path, at_least=transform.at_least, max_pixels=max_pixels)
    except ImageError as error:
        return Part(path, error=str(error).removeprefix(f"{path}: "))
    except MemoryError:
        return Part(path, error="too large for this machine's memory")
    small = thumbnail(decoded.pixels, transform.window(*decoded.pixels.shape[:2])) if pictures else None
    return Part(path, transform(decoded.pixels)[None], warning=decoded.warning, thumbnail=small)


def load_clip(path: str, transform: Transform, clips: ClipOptions, pictures: bool) -> Iterator[Part]:
    """Read the parts of one clip; what is wrong with it becomes part of the result."""
    size = (0, 0)

    def see(frame: Frame) -> tuple[Pixels, FilmFrame | None]:
        nonlocal size
        size = (frame.pixels.shape[0], frame.pixels.shape[1])
        return transform(frame.pixels), film_frame(frame) if pictures else None

    def part(segment: Segment[tuple[Pixels, FilmFrame | None]], last: bool) -> Part:
        pixels = np.stack([seen for seen, _ in segment.frames])
        film = few([frame for _, frame in segment.frames if frame is not None])
        return Part(path, pixels, (segment.start, segment.end), last, warning=video.warning, film=film, size=size)

    try:
        # a gallery shows larger frames than the CNN sees
        with Video(path, size=None if pictures else shrinks_to(transform)) as video:
            before = None
            for segment in segments(video, see, clips.frames, every=clips.every, scenes=clips.scenes):
                if before is not None:
                    yield part(before, last=False)
                before = segment
            if before is not None:
                yield part(before, last=True)
    except VideoError as error:
        yield Part(path, error=str(error).removeprefix(f"{path}: "))
    except MemoryError:
        yield Part(path, error="too large for this machine's memory")
