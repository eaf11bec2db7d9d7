"""`captioner evaluate`: caption annotated photos if asked to, score captions, compare systems, and report."""

import contextlib
import hashlib
import json
import os
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from captioner import __version__
from captioner.applications import run_command
from captioner.data.ids import ImageId
from captioner.data.names import Names, below, first_few, parts_of
from captioner.data.results import Annotations, read_annotations, read_results, read_training, some
from captioner.errors import DataError, ImageError, UsageError
from captioner.metrics.diversity import diversity
from captioner.metrics.scores import Scorer
from captioner.metrics.significance import bootstrap, compare, interval
from captioner.pipelines.evaluate.options import EvaluateOptions
from captioner.pipelines.evaluate.report import Comparison, Report, signature
from captioner.pipelines.folder.inputs import find_inputs, identity
from captioner.pipelines.folder.made import locations
from captioner.pipelines.folder.reports import check_reports, write_report
from captioner.text.tokenization import PTB, TOKENIZATIONS, Tokenization

_PIPE_WIDTH = 200  # so that a table in a file keeps its columns


def evaluate(options: EvaluateOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        DataError: annotations or results cannot be used.
    """
    _check(options)
    references = read_annotations(options.annotations, options.split)
    photos = _find_photos(options.images, references) if options.images else {}
    if options.retrieval:
        return _retrieval(options, references, photos)
    source = options.results or options.output or Path(_default_output(options, references))
    if options.results:
        hypotheses = read_results(options.results, references)
    else:
        status = _caption(photos, references, source, options)
        if status == 130:
            return status
        hypotheses = _captions_in(source, photos)
    report = _report(hypotheses, source, references, options)
    if options.html:
        write_report(options.html, report.as_html(_thumbnails(report, photos)))
    if options.json == "-":
        print(json.dumps(report.as_json(), indent=2))
        return 0
    if options.json:
        write_report(options.json, json.dumps(report.as_json(), indent=2) + "\n")
    if not options.quiet:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
        console.print(report.as_table())
        console.print(report.signature, style="dim", soft_wrap=True)
    return 0


def _retrieval(options: EvaluateOptions, references: Annotations, photos: Mapping[int | str, str]) -> int:
    from captioner.pipelines.evaluate.retrieval import evaluate_retrieval, show, write

    _check_found(photos, references, options)
    report = evaluate_retrieval(options, references, photos, Console(stderr=True))
    if options.json:
        write(report, options.json)
    if not options.quiet and options.json != "-":
        show(report, Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH))
    return 0


def _check(options: EvaluateOptions) -> None:
    if options.retrieval:
        others = {
            "--results": options.results,
            "--output": options.output,
            "--html": options.html,
            "--compare": options.compare,
        }
        given = [name for name, value in others.items() if value is not None]
        if given or options.images is None:
            what = f"leave {given[0]} out" if given else "give their folder with --images"
            raise UsageError(f"--retrieval ranks the photos themselves; {what}.")
    if options.results is None and options.images is None:
        raise UsageError("give --results FILE to score captions, or --images FOLDER to caption the photos first.")
    if options.results is not None and options.output is not None:
        raise UsageError("--output keeps the captions of --images; with --results there are none to keep.")
    named = None if options.output is None else options.output.name.lower()
    if named is not None and (not named.endswith(".jsonl") or named == "metadata.jsonl"):
        raise UsageError(f"{options.output}: --output keeps rows; call it captions.jsonl or the like.")
    if options.tokens not in (None, *TOKENIZATIONS):
        raise UsageError(f"--tokens {options.tokens}: choose {', '.join(TOKENIZATIONS)}.")
    read = [options.annotations, options.results, options.compare, options.training, options.output]
    check_reports([options.html, options.json], read)


def _report(
    hypotheses: Mapping[ImageId, str], source: Path, references: Annotations, options: EvaluateOptions
) -> Report:
    """Score captions, and those of the other system on the same images."""
    chosen = references.matched(hypotheses, source, allow_missing=options.allow_missing)
    other: Mapping[ImageId, str] = {}
    if options.compare:
        other = read_results(options.compare, references)
        theirs = references.matched(other, options.compare, allow_missing=options.allow_missing)
        common = {image: caption for image, caption in hypotheses.items() if image in theirs.captions}
        if not common:
            raise DataError(f"{source} and {options.compare} have no image in common; there is nothing to compare.")
        hypotheses, other = common, {image: other[image] for image in common}
        chosen = references.matched(common, source, allow_missing=True)
    tokenization = _tokenization(options)
    scorer = Scorer(chosen.captions, [name.strip().lower() for name in options.metrics.split(",")], tokenization)
    scores = scorer.score(hypotheses)
    resampled = bootstrap(scores)
    comparison = None
    if options.compare:
        other_scores = scorer.score(other)
        comparison = Comparison(str(options.compare), other_scores.totals, compare(scores, other_scores))
    training = read_training(options.training) if options.training else references.training
    return Report(
        source=str(source),
        captions=hypotheses,
        references=chosen,
        scores=scores,
        intervals={name: interval(resampled[name]) for name in scores.totals if name in resampled},
        diversity=diversity(scores.lines, None if training is None else set(tokenization.tokenize_lines(training))),
        signature=signature(scores, chosen),
        comparison=comparison,
    )


def _tokenization(options: EvaluateOptions) -> Tokenization:
    """The tokens that are asked for; by default the official scorer's, or those of the model that captions."""
    from captioner.models.base import tokenization_of

    if options.tokens is not None:
        return TOKENIZATIONS[options.tokens]
    return PTB if options.results is not None else tokenization_of(options.model)


def _find_photos(folder: Path, references: Annotations) -> dict[ImageId, str]:
    """The annotated photos in a folder, by id: under the annotation's own path, or by name anywhere below.

    Raises:
        UsageError: there is no such folder, or none of the photos.
    """
    from captioner.vision.images import SUFFIXES

    if not folder.is_dir():
        raise UsageError(f"{folder}: there is no such folder of images.")
    wanted = {image: references.files[image] for image in references.captions}
    names = Names(wanted)
    places: defaultdict[ImageId, list[str]] = defaultdict(list)
    paths: list[str] = []
    with contextlib.suppress(UsageError):  # no photos at all is said below
        paths = find_inputs([str(folder)], SUFFIXES).paths
    for path in paths:
        inner = below(path, [str(folder)])
        images = names.find(identity(path), inner)
        if len(images) > 1:
            raise DataError(f"{path}: may be {wanted[images[0]]} or {wanted[images[1]]}; put it where its name says.")
        for image in images:
            places[image].append(path)
    found: dict[ImageId, str] = {}
    for image, name in wanted.items():
        parts = parts_of(name)
        exact = folder.joinpath(*parts)
        if ".." not in parts and not os.path.isabs(name) and exact.is_file():  # nothing from outside the folder
            found[image] = str(exact)
        elif len(places[image]) > 1:
            raise DataError(f"{name}: may be {places[image][0]} or {places[image][1]}; leave one of them out.")
        elif places[image]:
            found[image] = places[image][0]
    if not found:
        first = next(iter(wanted.values()))
        raise UsageError(f"{folder}: none of the {len(wanted)} annotated photos is here, such as {first}.")
    return found


def _caption(photos: Mapping[ImageId, str], references: Annotations, output: Path, options: EvaluateOptions) -> int:
    """Caption photos into a JSON Lines file, which an interrupted run continues; returns the exit status."""
    _check_found(photos, references, options)
    return run_command(
        "caption",
        inputs=list(photos.values()),
        outputs=[str(output)],
        model=options.model,
        device=options.device,
        lm=options.lm,
        lm_weight=options.lm_weight,
        quiet=options.quiet,
        overwrite=options.overwrite,
        retry=options.retry,
    )


def _check_found(photos: Mapping[int | str, str], references: Annotations, options: EvaluateOptions) -> None:
    """See that all annotated photos are there, unless some may be missing."""
    absent = [image for image in references.captions if image not in photos]
    if absent and not options.allow_missing:
        raise DataError(
            f"{options.images}: {some(absent)} of {len(references.captions)} not found, such as "
            f"{first_few([references.files[image] for image in absent])}; add them, or score what is there with "
            "--allow-missing."
        )


def _default_output(options: EvaluateOptions, references: Annotations) -> str:
    """Names annotations, split and models: captions of another model, or version, are never taken for this one's."""
    parts = [options.annotations.name.partition(".")[0], references.split, *_name_and_digest(options.model)]
    if options.lm is not None:
        parts += [*_name_and_digest(options.lm), "" if options.lm_weight is None else str(options.lm_weight)]
    return "-".join(filter(None, parts)) + ".jsonl"


def _name_and_digest(model: str) -> tuple[str, str]:
    from captioner.models.base import find

    digest = hashlib.sha256(__version__.encode())
    for file in sorted(find(model).iterdir()):
        if file.suffix in (".json", ".safetensors"):
            digest.update(file.read_bytes())
    return Path(model).name, digest.hexdigest()[:8]


def _captions_in(path: Path, photos: Mapping[ImageId, str]) -> dict[ImageId, str]:
    rows = [json.loads(line) for line in path.read_bytes().splitlines()]
    places = locations(str(path), [row["path"] for row in rows])
    captions = {place: row["caption"] for place, row in zip(places, rows, strict=True) if "caption" in row}
    return {image: captions[identity(photo)] for image, photo in photos.items() if identity(photo) in captions}


def _thumbnails(report: Report, photos: Mapping[ImageId, str]) -> dict[ImageId, bytes]:
    """Small copies of the photos that the report shows."""
    from captioner.pipelines.gallery.thumbnails import THUMBNAIL, thumbnail
    from captioner.vision.images import read

    pictures = {}
    for place in (*report.remarkable[0], *report.remarkable[1]):
        image = report.scores.ids[place]
        if image in photos:
            with contextlib.suppress(ImageError):  # a photo that cannot be read is shown without a picture
                pixels = read(photos[image], at_least=(THUMBNAIL, THUMBNAIL)).pixels
                pictures[image] = thumbnail(pixels, (0, 0, 1, 1)).jpeg
    return pictures
