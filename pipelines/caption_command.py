"""`captioner caption`: inputs, outputs and the model come together here."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from rich.console import Console

from captioner.errors import UsageError
from captioner.vision.images import MAX_PIXELS, SUFFIXES
from captioner.vision.video import VIDEO_SUFFIXES

from .caption_outputs import CocoResults, Sidecars, TerminalTable
from .classify_outputs import WindowRows
from .folder_command import run_folder_command
from .gallery import Gallery
from .inputs import find_inputs, identity, shown
from .outputs import CsvRows, JsonRows, JsonStream, Outputs, Writer, writer_of
from .parts import FRAMES, ClipOptions, is_clip
from .progress import Meter, Summary
from .subtitles import SUFFIXES as SUBTITLES
from .subtitles import Subtitles

SUBTITLE_SECONDS = 5.0  # that a subtitle stays, unless the scene changes, where nothing else is asked for
LM_WEIGHT = 0.1  # on Flickr8k's validation photos `captions` helped a little at 0.05 and 0.1, and harmed from 0.2 on


@dataclass(frozen=True)
class Options:
    """The options of `captioner caption`, as its help describes them."""

    inputs: Sequence[str]
    outputs: Sequence[str] = ()
    sidecar: bool = False
    annotations: str | None = None
    model: str = "photos"
    device: str = "auto"
    batch_size: int | None = None
    workers: int | None = None
    beam_size: int | None = None
    num_captions: int = 1
    max_length: int | None = None
    frames: int | None = None
    every: float | None = None
    scenes: bool = False
    lm: str | None = None
    lm_weight: float | None = None
    max_pixels: int = MAX_PIXELS
    overwrite: bool = False
    quiet: bool = False

    def clips(self, frames: int = FRAMES) -> ClipOptions:
        """How clips are seen, by default as `frames`; subtitles need segments."""
        count = self.frames or frames
        if self.every is None and not self.scenes and any(_suffix(path) in SUBTITLES for path in self.outputs):
            return ClipOptions(count, SUBTITLE_SECONDS, scenes=True)
        return ClipOptions(count, self.every, self.scenes)


def caption(options: Options) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        ModelError: the model cannot be used.
    """
    if options.lm is None and options.lm_weight is not None:
        raise UsageError("--lm-weight is how much a language model has to say; name one with --lm, such as captions.")
    if options.every is not None and not options.every > 0:
        raise UsageError(f"--every is {options.every:g}; give a positive number of seconds.")
    found = find_inputs(options.inputs, SUFFIXES | VIDEO_SUFFIXES, kind="images or clips")
    console = Console(stderr=bool(options.outputs) or options.sidecar or not sys.stdout.isatty())
    outputs = Outputs(_writers(options, found.paths, console))
    work = partial(_caption, outputs=outputs, options=options)
    clips = sum(map(is_clip, found.paths))
    kind = "images" if not clips else "clips" if clips == len(found.paths) else "images and clips"
    return run_folder_command(found, outputs, work, console, kind=kind, verb="captioning", quiet=options.quiet)


def _caption(todo: Sequence[str], meter: Meter, summary: Summary, *, outputs: Outputs, options: Options) -> None:
    # every worker has one thread, so nothing waits for anything; the idle ones are not to spin
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch  # takes longer than all that is above

    from captioner.models.base import load
    from captioner.models.caption import Captioner
    from captioner.models.video_caption import VideoCaptioner

    from .caption_folder import caption_folder

    model: Captioner | VideoCaptioner = load(options.model, options.device, ("caption", "video"))
    if options.lm is not None:
        model.fuse(
            load(options.lm, options.device, ("language",)),
            LM_WEIGHT if options.lm_weight is None else options.lm_weight,
        )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if model.device.type == "cpu":
        torch.set_num_threads(1)
    else:
        cores = min(8, cores)  # they take turns on the GPU
    wanted: dict[str, Any] = {
        "beam_size": options.beam_size,
        "num_captions": options.num_captions,
        "max_length": options.max_length,
    }
    caption_folder(
        todo,
        model,
        outputs,
        replace(model.config.search, **{name: value for name, value in wanted.items() if value is not None}),
        meter,
        summary,
        clips=options.clips(getattr(model.config, "frames", FRAMES)),
        batch_size=options.batch_size,
        workers=options.workers or cores,
        max_pixels=options.max_pixels,
        pictures=any(_suffix(path) == ".html" for path in options.outputs),
    )


def _writers(options: Options, paths: Sequence[str], console: Console) -> list[Writer]:
    keys = [identity(path) for path in options.outputs]
    if len(set(keys)) < len(keys):
        raise UsageError("two outputs are the same file; name each once.")
    columns = ["caption", "score"] + [
        f"{name}_{place}" for place in range(2, options.num_captions + 1) for name in ("caption", "score")
    ]

    def choices(path: str) -> dict[str, Callable[[], Writer]]:
        def table() -> Writer:
            if options.clips().segmented:
                return WindowRows(path, columns, overwrite=options.overwrite)
            return CsvRows(path, ["path", *columns], overwrite=options.overwrite)

        return {
            ".jsonl": lambda: JsonRows(path, overwrite=options.overwrite),
            ".csv": table,
            ".json": lambda: CocoResults(path, paths, options.annotations, overwrite=options.overwrite),
            ".html": lambda: _gallery(path, options),
            **{suffix: lambda: Subtitles(path, paths, overwrite=options.overwrite) for suffix in SUBTITLES},
        }

    writers = [writer_of(path, choices(path)) for path in options.outputs]
    if options.sidecar:
        writers.append(Sidecars(paths, overwrite=options.overwrite))
    if not writers:
        writers.append(JsonStream() if console.stderr else TerminalTable(console, paths))
    return writers


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _gallery(path: str, options: Options) -> Writer:
    title = ", ".join(shown(os.path.basename(os.path.abspath(name))) for name in options.inputs if name != "-")
    return Gallery(path, title or "Captions", overwrite=options.overwrite)
