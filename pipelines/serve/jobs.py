"""What a server can be asked for: each job is its room's own function, whose rows go to who waits for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, Field

from captioner.errors import UsageError, VideoError
from captioner.pipelines.classify.options import ClassifyOptions
from captioner.pipelines.classify.work import classify_clips
from captioner.pipelines.folder.outputs import Outputs, Record, Writer
from captioner.pipelines.folder.progress import Summary
from captioner.pipelines.media import is_clip, may_be_clip
from captioner.pipelines.read.work import read_folder
from captioner.pipelines.serve.batching import Item, silent_meter
from captioner.pipelines.serve.captions import CAPTION, caption_files, check_captions, clip_options
from captioner.pipelines.serve.labels import LABELS, labels_of, tell_labels
from captioner.pipelines.serve.lines import READ, beam_of
from captioner.pipelines.serve.models import Models
from captioner.pipelines.serve.options import ServeOptions
from captioner.pipelines.serve.parameters import EVERY, LIMITS, MODEL, given, parameters
from captioner.pipelines.serve.problems import Problem
from captioner.pipelines.serve.searches import LOOK, SEARCH, look_at, search_among
from captioner.pipelines.translate.documents import Place, Row
from captioner.pipelines.translate.options import TranslateOptions
from captioner.pipelines.translate.work import translate_rows
from captioner.vision.video import Video

Run = Callable[[Sequence[Any], Any, BaseModel, Outputs, "Worker"], None]


@dataclass(frozen=True)
class Job:
    """Something that a client can ask for.

    Attributes:
        name: the last part of its address, and what is done.
        summary: one sentence.
        kinds: of models that do it.
        schema: of its options.
        run: does it.
        texts: whether it is done with texts, not with files.
    """

    name: str
    summary: str
    kinds: tuple[str, ...]
    schema: type[BaseModel]
    run: Run
    texts: bool = False


@dataclass(frozen=True)
class Key:
    """What items must have in common to be done together."""

    job: str
    model: str
    options: BaseModel


class Worker:
    """Models and limits, and the work that threads do with them."""

    def __init__(self, models: Models, options: ServeOptions) -> None:
        self.models, self.options = models, options

    def work(self, items: Sequence[Item]) -> None:
        """Do items of one key and set their answers."""
        key: Key = items[0].key  # type: ignore[assignment]
        todo = [item for item in items if not self._refused(item)]
        if todo:
            model = self.models.get(key.model)
            search = getattr(model.config, "search", None)
            seeded = search is not None and search.method == "sample" and search.seed is not None
            # what is drawn depends on the place in a batch, and answers are not to depend on who else asks
            for batch in [[item] for item in todo] if seeded else [todo]:
                outputs = Outputs([Answers(batch)])
                JOBS[key.job].run([item.payload for item in batch], model, key.options, outputs, self)

    def key(self, job: Job, options: BaseModel) -> Key:
        """What a request's items have in common with others that can be done with them.

        Raises:
            Problem: there is no such model or language, or the options contradict each other.
        """
        chosen: Any = options
        if job.texts and chosen.to is not None:
            model = self._translator(chosen.model, chosen.to)
        elif job.name == "classify":
            model = self._classifier(chosen)
        else:
            model = self.models.named(chosen.model, job.kinds, job.name)
        if job.name == "caption":
            check_captions(chosen, self.models, model)
        if job.name == "read":
            beam_of(chosen, self.models, model)  # what contradicts itself is told now
        search = getattr(self.models.get(model).config, "search", None)
        if search is not None:
            try:
                replace(search, **given(options, *(name for name in LIMITS if hasattr(search, name))))
            except UsageError as error:
                raise Problem(422, str(error)) from None
        return Key(job.name, model, options)

    def _translator(self, model: str | None, language: str) -> str:
        """The name of the model that translates into a language; `model` if one is asked for."""
        targets = self.models.targets
        if model is not None and targets[self.models.named(model, ("translate",), "translate")] != language:
            detail = f"to: {model} translates into {targets[model]!r}, not {language!r}; leave one of the two out."
            raise Problem(422, detail)
        found = model or next((name for name, target in targets.items() if target == language), None)
        if found is None:
            raise self.models.no_language("to", language, targets.values())
        return found

    def _classifier(self, chosen: Any) -> str:
        """The name of the model that classifies: with labels, a captioner."""
        if chosen.labels is None and chosen.template is not None:
            raise Problem(422, "template: is a sentence for labels; give labels too.")
        model = self.models.named(chosen.model, ("classify",) if chosen.labels is None else ("caption",), "classify")
        if chosen.labels is not None:
            labels_of(chosen, self.models.get(model).vocabulary)
        return model

    def notes(self, key: Key) -> list[str] | None:
        """What whoever asks should know besides the rows, a sentence each; None where there is no such thing."""
        options: Any = key.options
        if key.job != "classify" or options.labels is None:
            return None
        return labels_of(options, self.models.get(key.model).vocabulary)[1]

    def _refused(self, item: Item) -> bool:
        """Whether an item is a clip that is too long, which is then its answer."""
        key: Key = item.key  # type: ignore[assignment]
        if not self._is_clip(key, item.payload):
            return False
        limit = self.options.max_seconds
        try:
            with Video(item.payload, max_pixels=self.options.max_pixels) as video:
                seconds = video.duration
        except VideoError:
            return False  # the job says so itself
        if seconds > limit:
            error = f"too long ({seconds:,.0f} s; the limit is {limit:,.0f} s); cut it, or send parts"
            item.answer.set_result(Record(item.payload, error=error))
        return seconds > limit


    def _is_clip(self, key: Key, payload: Any) -> bool:
        """Whether a payload is the path of a file that is seen as a clip."""
        if key.job not in ("caption", "classify", "look"):
            return False  # it may be a client's text, which is no path
        options: Any = key.options
        if key.job == "classify":
            return options.labels is None or (may_be_clip if options.every else is_clip)(payload)
        animations = key.job == "caption" and clip_options(options, self.models.get(key.model)).animations
        return may_be_clip(payload) if animations else is_clip(payload)


class Answers(Writer):
    """Gives each record to who waits for it; records come in the order of the items."""

    def __init__(self, items: Sequence[Item]) -> None:
        super().__init__()
        self._waiting = iter(items)

    def write(self, records: Sequence[Record]) -> None:
        """Set answers."""
        for record in records:
            next(self._waiting).answer.set_result(record)


def _caption(paths: Sequence[str], model: Any, options: Any, outputs: Outputs, server: Worker) -> None:
    caption_files(paths, model, options, outputs, server.models, server.options.max_pixels)


def _classify(paths: Sequence[str], model: Any, options: Any, outputs: Outputs, server: Worker) -> None:
    if options.labels is not None:
        tell_labels(paths, model, options, outputs, server.options.max_pixels)
        return
    top_k = min(options.top_k, len(model.config.labels))
    classify_clips(
        paths,
        model,
        outputs,
        silent_meter(),
        Summary(),
        top_k=top_k,
        every=options.every,
        workers=1,
        max_pixels=server.options.max_pixels,
    )


def _read(paths: Sequence[str], model: Any, options: Any, outputs: Outputs, server: Worker) -> None:
    beam = beam_of(options, server.models, server.models.named(options.model, ("read",), "read"))
    most = server.options.max_pixels
    read_folder(paths, model, outputs, silent_meter(), Summary(), beam=beam, workers=1, max_pixels=most)


def _translate(texts: Sequence[str], model: Any, options: Any, outputs: Outputs, server: Worker) -> None:
    rows = [Row(str(number), {"text": text}, [Place(("text",))]) for number, text in enumerate(texts)]
    search = replace(model.config.search, **given(options, "beam_size", "num_captions"))
    translate_rows(rows, model, outputs, search, silent_meter(), Summary())


_To = (str | None, Field(None, description="Language of the translations; by default that of the model."))

JOBS: Mapping[str, Job] = {
    job.name: job
    for job in (
        Job(
            "caption",
            "Caption photos and clips",
            ("caption", "video"),
            CAPTION,
            _caption,
        ),
        Job(
            "classify",
            "Classify clips; with labels, photos too",
            ("classify", "caption"),
            parameters(
                "ClassifyOptions",
                ClassifyOptions,
                ("top_k", "every"),
                {"top_k": (1, 1000), "every": EVERY},
                model=MODEL,
                **LABELS,
            ),
            _classify,
        ),
        Job("look", "Look at photos and clips, for searches among them", ("caption",), LOOK, look_at),
        Job("search", "Find photos and moments of clips by a sentence", ("caption",), SEARCH, search_among),
        Job(
            "read",
            "Read pictures of text lines",
            ("read",),
            READ,
            _read,
        ),
        Job(
            "translate",
            "Translate sentences",
            ("translate",),
            parameters(
                "TranslateOptions", TranslateOptions, ("beam_size", "num_captions"), LIMITS, model=MODEL, to=_To
            ),
            _translate,
            texts=True,
        ),
    )
}
"""By name."""
