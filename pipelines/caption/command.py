"""`captioner caption`: inputs, outputs and the model come together here."""

import os
import sys
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from typing import Any

from rich.console import Console

from captioner.errors import UsageError
from captioner.pipelines.caption.embedding import Embedded
from captioner.pipelines.caption.live import add_motion_clips, leave_out_live_clips
from captioner.pipelines.caption.options import LM_WEIGHT, CaptionOptions
from captioner.pipelines.caption.outputs import CaptionTable, CocoResults, MetadataRows
from captioner.pipelines.caption.sidecars import sidecar_writer
from captioner.pipelines.caption.subtitles import SUFFIXES as SUBTITLES
from captioner.pipelines.caption.subtitles import Subtitles
from captioner.pipelines.caption.wording import Wording
from captioner.pipelines.cluster.job import Work
from captioner.pipelines.folder.command import run_folder_command
from captioner.pipelines.folder.inputs import Inputs, find_inputs, shown
from captioner.pipelines.folder.made import asked_of, made_by
from captioner.pipelines.folder.options import check_every
from captioner.pipelines.folder.outputs import CsvRows, JsonRows, JsonStream, Outputs, Writer, writers_of
from captioner.pipelines.folder.parquet import ParquetRows
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.tables import WindowRows
from captioner.pipelines.gallery.pages import Gallery
from captioner.pipelines.media import FRAMES, ClipOptions, is_clip
from captioner.vision.images import SUFFIXES
from captioner.vision.video import VIDEO_SUFFIXES

SUBTITLE_SECONDS = 5.0  # that a subtitle stays, unless the scene changes, where nothing else is asked for


def caption(options: CaptionOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        ModelError: the model cannot be used.
    """
    # every worker has one thread, so nothing waits for anything; the idle ones are not to spin
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if options.lm is None and options.lm_weight is not None:
        raise UsageError("--lm-weight is how much a language model has to say; name one with --lm, such as captions.")
    if options.append and not options.sidecar:
        raise UsageError("--append adds to the texts beside images, which --sidecar writes; give both.")
    if any(end in options.prefix + options.suffix for end in "\r\n"):
        raise UsageError("--prefix and --suffix stand in one line with the caption; leave line breaks out.")
    check_every(options.every)
    if options.language != "en":
        from captioner.models.base import translator_to

        translator_to(options.language)  # a language without a model is an error before any work
    if options.cluster is not None:
        return _caption_on_cluster(options)
    found = _find(options, options.inputs, SUFFIXES | VIDEO_SUFFIXES, packed=SUFFIXES)
    console = Console(stderr=bool(options.outputs or options.sidecar or options.embed) or not sys.stdout.isatty())
    outputs = Outputs(_writers(options, found.paths, console))

    def work(todo: Sequence[str], meter: Meter, summary: Summary) -> None:
        prepare(options)(todo, outputs, meter, summary)

    clips = sum(map(is_clip, found.paths))
    kind = "images" if not clips else "clips" if clips == len(found.paths) else "images and clips"
    return run_folder_command(found, outputs, work, console, kind=kind, verb="captioning", quiet=options.quiet)


def _find(
    options: CaptionOptions, arguments: Sequence[str], suffixes: Collection[str], packed: Collection[str] = ()
) -> Inputs:
    found = find_inputs(arguments, suffixes, kind="images or clips", exclude=options.exclude or (), packed=packed)
    if options.live:
        add_motion_clips(found)
    else:
        leave_out_live_clips(found, arguments)
    return found


def prepare(options: CaptionOptions) -> Work:
    """Load the models; returns what captions files and writes their records."""
    import torch  # takes longer than all that is above

    from captioner.models.base import load, translator_to
    from captioner.models.caption import Captioner
    from captioner.models.video_caption import VideoCaptioner
    from captioner.pipelines.caption.work import caption_folder

    model: Captioner | VideoCaptioner = load(options.model, options.device, ("caption", "video"))
    if options.lm is not None:
        model.fuse(
            load(options.lm, options.device, ("language",)),
            LM_WEIGHT if options.lm_weight is None else options.lm_weight,
        )
    translator = None
    if options.language != "en":
        translator = load(translator_to(options.language), options.device, ("translate",))
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if model.device.type == "cpu":
        torch.set_num_threads(1)
    else:
        cores = min(8, cores)  # they take turns on the GPU
    search = model.config.search.but(
        beam_size=options.beam_size, num_captions=options.num_captions, max_length=options.max_length
    )
    pictures = any(_suffix(path) == ".html" for path in options.outputs or [])

    clips = _clip_options(options, getattr(model.config, "frames", FRAMES), video=isinstance(model, VideoCaptioner))

    def work(todo: Sequence[str], outputs: Outputs, meter: Meter, summary: Summary) -> None:
        caption_folder(
            todo,
            model,
            outputs,
            search,
            meter,
            summary,
            clips=clips,
            batch_size=options.batch_size,
            workers=options.workers or cores,
            max_pixels=options.max_pixels,
            pictures=pictures,
            concepts=options.concepts,
            translator=translator,
            wording=Wording(options.prefix, options.suffix, options.style),
        )

    return work


def _caption_on_cluster(options: CaptionOptions) -> int:
    from captioner.pipelines.cluster.command import run_on_cluster
    from captioner.pipelines.cluster.job import Job, everywhere

    if options.sidecar or options.embed or options.annotations is not None:
        raise UsageError("--sidecar, --embed and --annotations do not go with --cluster, which writes shards.")
    job = Job(
        replace(options, model=everywhere(options.model), lm=everywhere(options.lm)),
        prepare,
        rows_made_by,
        _find,
        frozenset(SUFFIXES | VIDEO_SUFFIXES),
        row_columns(options),
        text="caption",
        kind="images and clips",
        verb="captioning",
        shard_format=options.shard_format,
    )
    return run_on_cluster(job)


def row_columns(options: CaptionOptions) -> dict[str, Any]:
    """Names and types of what a row holds besides its path."""
    one: dict[str, Any] = {"caption": str, "score": float}
    columns = one if options.num_captions == 1 else {"captions": one}
    if _clip_options(options).segmented:
        columns = {**columns, "segments": {"start": float, "end": float, **one}}
    if options.concepts:
        columns = {**columns, "concepts": {"concept": str, "probability": float}}
    return columns


def _clip_options(options: CaptionOptions, frames: int = FRAMES, *, video: bool = False) -> ClipOptions:
    """How clips are seen, by default as `frames`; subtitles need segments."""
    asked = ClipOptions.of(options.frames, options.every, options.scenes, usual=frames, video=video)
    subtitles = any(name.lower().endswith(SUBTITLES) for name in [*(options.outputs or []), *(options.sidecar or [])])
    if not subtitles:
        return asked
    if asked.segmented:
        return replace(asked, animations=True)
    return replace(asked, every=SUBTITLE_SECONDS, scenes=True, animations=True)


def _writers(options: CaptionOptions, paths: Sequence[str], console: Console) -> list[Writer]:
    columns = ["caption", "score"] + [
        f"{name}_{place}" for place in range(2, options.num_captions + 1) for name in ("caption", "score")
    ]
    if options.concepts:
        from captioner.models.concepts import MOST

        numbers = ["", *(f"_{place}" for place in range(2, MOST + 1))]
        columns += [f"{name}{number}" for number in numbers for name in ("concept", "probability")]
    rows: dict[str, Any] = {"overwrite": options.overwrite, "retry": options.retry}
    if options.outputs:
        rows["made_by"] = rows_made_by(options)

    def choices(path: str) -> dict[str, Callable[[], Writer]]:
        def table() -> Writer:
            if _clip_options(options).segmented:
                return WindowRows(path, columns, bom=options.bom, **rows)
            return CsvRows(path, ["path", *columns], bom=options.bom, **rows)

        def lines() -> Writer:
            named = os.path.basename(path).lower() == "metadata.jsonl"
            return MetadataRows(path, paths, **rows) if named else JsonRows(path, **rows)

        def parquet() -> Writer:
            return ParquetRows(path, {"path": str, **row_columns(options)}, **rows)

        def subtitles() -> Writer:
            return Subtitles(path, paths, overwrite=options.overwrite, made_by=rows["made_by"])

        return {
            ".jsonl": lines,
            ".csv": table,
            ".parquet": parquet,
            ".json": lambda: CocoResults(path, paths, options.annotations, folders=options.inputs, **rows),
            ".html": lambda: Gallery(path, _title(options), **rows),
            **dict.fromkeys(SUBTITLES, subtitles),
        }

    writers: list[Writer] = []
    if options.embed:  # first, since rows tell what the photos' files are like
        writers.append(Embedded(paths, overwrite=options.overwrite, language=options.language))
    writers += writers_of(options.outputs, choices)
    for form in options.sidecar or []:
        writers.append(
            sidecar_writer(
                paths, form, overwrite=options.overwrite, append=options.append, language=options.language
            )
        )
    if not writers:
        writers.append(JsonStream() if console.stderr else CaptionTable(console, paths))
    return writers


def rows_made_by(options: CaptionOptions) -> dict[str, Any]:
    """What decides about captions; options that only say again what the model does anyway do not count."""
    from captioner.models.base import translator_to

    lm_weight = LM_WEIGHT if options.lm_weight is None else options.lm_weight
    translator = None if options.language == "en" else translator_to(options.language)
    usual = asked_of(options.model, "search")
    clips = _clip_options(options)
    wording = Wording(options.prefix, options.suffix, options.style)
    return made_by(
        {"model": options.model, "lm": options.lm, "translator": translator},
        lm_weight=lm_weight if options.lm is not None else None,
        beam_size=options.beam_size or usual.get("beam_size"),
        max_length=options.max_length or usual.get("max_length"),
        num_captions=options.num_captions,
        frames=options.frames,
        every=clips.every,
        scenes=clips.scenes,
        **({"concepts": True} if options.concepts else {}),
        **{name: value for name, value in asdict(wording).items() if value != getattr(Wording(), name)},
    )


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower()


def _title(options: CaptionOptions) -> str:
    title = ", ".join(shown(os.path.basename(os.path.abspath(name))) for name in options.inputs if name != "-")
    return title or "Captions"
