"""What a captioner looks at, one at a time: a photo, a clip, or a segment of one, read and resized."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from captioner.errors import ImageError, VideoError
from captioner.pipelines.folder.made import Stamp, stamp_of
from captioner.pipelines.folder.photos import read_photo
from captioner.pipelines.gallery.thumbnails import FilmFrame, Thumbnail, evenly_spaced, film_frame, thumbnail
from captioner.vision.frame_files import is_frames
from captioner.vision.images import Pixels, Transform
from captioner.vision.scenes import Segment, segments
from captioner.vision.video import CLIP_SUFFIXES, VIDEO_SUFFIXES, Frame, Video, shrinks_to

FRAMES = 4
"""Of a clip or a segment, for a model that was not trained on clips."""


@dataclass(frozen=True)
class ClipOptions:
    """How clips are captioned.

    Attributes:
        frames: of a clip, or of each of its segments.
        every: seconds of a segment; None for no such limit.
        scenes: whether segments begin where the scene changes.
        animations: whether GIFs are clips, not photos.
    """

    frames: int = FRAMES
    every: float | None = None
    scenes: bool = False
    animations: bool = False

    @classmethod
    def of(
        cls, frames: int | None, every: float | None, scenes: bool, *, usual: int = FRAMES, video: bool = False
    ) -> "ClipOptions":
        """What is asked for; a GIF is a clip where anything is asked of clips, or the model captions clips.

        Args:
            frames: of a clip or segment; None for as many as the model takes.
            every: seconds of a segment; None for no such limit.
            scenes: whether segments begin where the scene changes.
            usual: how many frames the model takes.
            video: whether the model captions clips.
        """
        return cls(frames or usual, every, scenes, animations=bool(frames or every or scenes) or video)

    @property
    def segmented(self) -> bool:
        """Whether a clip gets a caption for each of its segments."""
        return self.scenes or self.every is not None


@dataclass(frozen=True)
class MediaItem:
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
        stamp: of the file before it was read.
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
    stamp: Stamp | None = None


def is_clip(path: str) -> bool:
    """Whether a path is read as a clip: a video file by its suffix, or numbered frames."""
    return os.path.splitext(path)[1].lower() in VIDEO_SUFFIXES or is_frames(path)


def may_be_clip(path: str) -> bool:
    """Whether a path is read as a clip where clips are asked for."""
    return is_clip(path) or os.path.splitext(path)[1].lower() in CLIP_SUFFIXES


def load_media(
    path: str, transform: Transform, clips: ClipOptions, *, max_pixels: int, pictures: bool
) -> Iterator[MediaItem]:
    """The parts of a file, in order.

    Args:
        path: of a photo or a clip.
        transform: makes the CNN's input.
        clips: how a clip is divided.
        max_pixels: larger photos, and clips with larger frames, are refused.
        pictures: also make what a gallery shows.
    """
    stamp = stamp_of(path)
    if is_clip(path) or (clips.animations and may_be_clip(path)):
        items = load_clip(path, transform, clips, max_pixels, pictures)
    else:
        items = iter([load_photo(path, transform, max_pixels, pictures)])
    for item in items:
        yield replace(item, stamp=stamp)


def load_photo(path: str, transform: Transform, max_pixels: int, pictures: bool) -> MediaItem:
    """Read, decode and resize one photo; what is wrong with it becomes part of the result."""
    try:
        decoded = read_photo(path, at_least=transform.at_least, max_pixels=max_pixels)
    except ImageError as error:
        return MediaItem(path, error=str(error).removeprefix(f"{path}: "))
    except MemoryError:
        return MediaItem(path, error="too large for this machine's memory")
    small = thumbnail(decoded.pixels, transform.window(*decoded.pixels.shape[:2])) if pictures else None
    return MediaItem(path, transform(decoded.pixels)[None], warning=decoded.warning, thumbnail=small)


def load_clip(
    path: str, transform: Transform, clips: ClipOptions, max_pixels: int, pictures: bool
) -> Iterator[MediaItem]:
    """Read the parts of one clip; what is wrong with it becomes part of the result."""
    size = (0, 0)
    transform = transform.of_frames

    def see(frame: Frame) -> tuple[Pixels, FilmFrame | None]:
        nonlocal size
        size = (frame.pixels.shape[0], frame.pixels.shape[1])
        return transform(frame.pixels), film_frame(frame) if pictures else None

    def part(segment: Segment[tuple[Pixels, FilmFrame | None]], last: bool) -> MediaItem:
        pixels = np.stack([seen for seen, _ in segment.frames])
        film = evenly_spaced([frame for _, frame in segment.frames if frame is not None])
        return MediaItem(path, pixels, (segment.start, segment.end), last, warning=video.warning, film=film, size=size)

    try:
        # a gallery shows larger frames than the CNN sees
        with Video(path, size=None if pictures else shrinks_to(transform), max_pixels=max_pixels) as video:
            before = None
            for segment in segments(video, see, clips.frames, every=clips.every, scenes=clips.scenes):
                if before is not None:
                    yield part(before, last=False)
                before = segment
            if before is not None:
                yield part(before, last=True)
    except VideoError as error:
        yield MediaItem(path, error=str(error).removeprefix(f"{path}: "))
    except MemoryError:
        yield MediaItem(path, error="too large for this machine's memory")
