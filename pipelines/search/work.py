"""Look at every photo and moment of some files for an index."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from captioner.models.base import find
from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.media import ClipOptions, MediaItem
from captioner.pipelines.media_work import work_through
from captioner.pipelines.search.moments import Seen
from captioner.pipelines.search.options import SearchOptions
from captioner.vision.images import MAX_PIXELS

if TYPE_CHECKING:
    from torch import Tensor

    from captioner.models.search import Finder

FRAMES = 2
"""Of a moment, whose features are averaged."""
KIND = "images or clips"
VERB = "looking at"


def load_finder(options: SearchOptions) -> "Finder":
    """The model that looks; on a CPU each worker has one thread."""
    import torch  # takes longer than a search

    from captioner.models.base import load
    from captioner.models.search import Finder

    captioner = load(options.model, options.device, ("caption",))
    if captioner.device.type == "cpu":
        torch.set_num_threads(1)
    return Finder.load(find(options.model), captioner)


def index_files(
    paths: Sequence[str],
    finder: "Finder",
    outputs: Outputs,
    meter: Meter,
    summary: Summary,
    *,
    every: float,
    batch_size: int | None = None,
    workers: int = 2,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Look at photos and clips and write a record of each, in order; see `work_through`.

    Args:
        paths: of the files.
        finder: what looks.
        outputs: the index.
        meter: is told of every batch.
        summary: counts what has been written.
        every: seconds of a clip's moments.
        batch_size: photos and moments at a time.
        workers: threads.
        max_pixels: of a photo, or of a clip's frames.

    Raises:
        WriteError: the index can no longer be written.
    """

    def look(grids: "Tensor") -> list[tuple[bytes, bytes]]:
        vectors, packed = finder.pack(grids)
        return [(vector.tobytes(), photo) for vector, photo in zip(vectors, packed, strict=True)]

    work_through(
        paths,
        finder.captioner,
        look,
        _record,
        outputs,
        meter,
        summary,
        clips=ClipOptions(FRAMES, every),
        batch_size=batch_size,
        workers=workers,
        max_pixels=max_pixels,
    )


def _record(looked: Sequence[tuple[MediaItem, tuple[bytes, bytes]]]) -> Record:
    """All that was seen of a file."""
    seen = []
    for item, (vector, packed) in looked:
        start, end = item.span or (None, None)
        seen.append(Seen(start, end, vector, packed))
    return Record(looked[0][0].path, picture=seen)
