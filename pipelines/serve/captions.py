"""Captions of a request's photos and clips, chosen as the command line chooses them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from pydantic import Field

from captioner.models.concepts import NO_CONCEPTS
from captioner.models.video_caption import VideoCaptioner
from captioner.pipelines.caption.options import LM_WEIGHT, CaptionOptions
from captioner.pipelines.caption.wording import Wording
from captioner.pipelines.caption.work import caption_folder
from captioner.pipelines.folder.outputs import Outputs
from captioner.pipelines.folder.progress import Summary
from captioner.pipelines.media import FRAMES, ClipOptions
from captioner.pipelines.serve.batching import silent_meter
from captioner.pipelines.serve.models import Models
from captioner.pipelines.serve.parameters import LIMITS, MODEL, given, parameters
from captioner.pipelines.serve.problems import Problem

CAPTION = parameters(
    "CaptionOptions",
    CaptionOptions,
    (
        *("language", "beam_size", "num_captions", "max_length", "frames", "every", "scenes", "concepts"),
        *("prefix", "suffix", "style", "lm", "lm_weight"),
    ),
    {**LIMITS, "lm_weight": (0.0, 10.0)},
    model=MODEL,
    pictures=(
        bool,
        Field(False, description="Add a small copy, where the model looked for words, and concept words."),
    ),
)


def check_captions(chosen: Any, models: Models, name: str) -> None:
    """See that a model can do what a request asks of it.

    Raises:
        Problem: it cannot, or options contradict each other.
    """
    if chosen.language not in ("en", *models.languages):
        raise models.no_language("language", chosen.language, models.languages)
    if chosen.concepts and getattr(models.get(name), "concept_words", None) is None:
        raise Problem(422, f"concepts: {name}: {NO_CONCEPTS}")
    if chosen.lm is None and chosen.lm_weight is not None:
        raise Problem(422, "lm_weight: is how much a language model has to say; name one with lm.")
    if chosen.lm is not None:
        models.get(models.named(chosen.lm, ("language",), "fuse", option="lm"))


def clip_options(options: Any, model: Any) -> ClipOptions:
    """How a request's clips are captioned."""
    usual, video = getattr(model.config, "frames", FRAMES), isinstance(model, VideoCaptioner)
    return ClipOptions.of(options.frames, options.every, options.scenes, usual=usual, video=video)


def caption_files(
    paths: Sequence[str], model: Any, options: Any, outputs: Outputs, models: Models, max_pixels: int
) -> None:
    """The rows of `captioner caption`."""
    translator = None if options.language == "en" else models.get(models.languages[options.language])
    if options.lm is not None:
        model = model.fused(models.get(options.lm), LM_WEIGHT if options.lm_weight is None else options.lm_weight)
    caption_folder(
        paths,
        model,
        outputs,
        replace(model.config.search, **given(options, "beam_size", "num_captions", "max_length")),
        silent_meter(),
        Summary(),
        clips=clip_options(options, model),
        workers=1,
        max_pixels=max_pixels,
        pictures=options.pictures,
        concepts=options.concepts or (options.pictures and getattr(model, "concept_words", None) is not None),
        translator=translator,
        wording=Wording(options.prefix, options.suffix, options.style),
    )
