"""Searches among the photos and clips of a client, who keeps what was seen of them: the server keeps nothing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, Field

from captioner.errors import CaptionerError, DataError
from captioner.models.packed import PackedShape
from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.progress import Summary
from captioner.pipelines.gallery.rows import attention_bytes, word_spans
from captioner.pipelines.search.find import Hit, find_described
from captioner.pipelines.search.held import HeldIndex, Text, Texts
from captioner.pipelines.search.moments import Seen
from captioner.pipelines.search.options import SearchOptions
from captioner.pipelines.search.outputs import Answer
from captioner.pipelines.search.query import Query, parse_query
from captioner.pipelines.search.work import index_files
from captioner.pipelines.serve.batching import silent_meter
from captioner.pipelines.serve.models import Models
from captioner.pipelines.serve.parameters import MODEL, parameters
from captioner.pipelines.serve.problems import Problem
from captioner.text.english import to_sentence

if TYPE_CHECKING:
    from captioner.pipelines.serve.jobs import Worker

File = tuple[str, Sequence[Seen]]
_LIMITS = {"every": (0.1, 3600.0), "top": (1, 100)}
LOOK = parameters("LookOptions", SearchOptions, ("every",), _LIMITS, model=MODEL)
SEARCH = parameters(
    "SearchOptions",
    SearchOptions,
    ("top", "every"),
    _LIMITS,
    model=MODEL,
    query=(str, Field(max_length=1000, description="A sentence.")),
    pictures=(bool, Field(False, description="Add where the sentence's words fit each photo.")),
    looked=(
        dict[str, str],
        Field({}, description="What /v1/look saw of files before: by names, its rows' `looked`. JSON only."),
    ),
)


@dataclass(frozen=True)
class Asked:
    """A query and what to search.

    Attributes:
        query: the sentence.
        files: by the client's names, what was seen of each.
        top: how many photos and moments are wanted.
        pictures: whether to say where words fit.
    """

    query: Query
    files: Sequence[File]
    top: int
    pictures: bool

    def among(self, files: Sequence[File]) -> "Asked":
        """The same, with these files too."""
        return replace(self, files=[*self.files, *files])


def looks_of(chosen: Any) -> BaseModel:
    """The options by which a search's files are looked at."""
    return LOOK(every=chosen.every, model=chosen.model)


def asked_of(chosen: Any, models: Models, name: str) -> Asked:
    """What a request asks of a model.

    Raises:
        Problem: the sentence has no word that the model knows, or what was looked at before is of another model.
    """
    text = _text(models, name)
    translator = next((models.sources[each] for each, target in models.targets.items() if target == "en"), None)
    files = []
    for path, looked in chosen.looked.items():
        try:
            files.append((path, text.read(looked)))
        except DataError as error:
            raise Problem(422, f"looked.{path[:255]}: {error}; ask /v1/look anew.") from None
    try:
        vocabulary = models.searcher(name).vocabulary
        query = parse_query(chosen.query, vocabulary, translator, advice="ask in English")  # clients have no options
    except CaptionerError as error:
        raise Problem(422, f"query: {error}") from None
    return Asked(query, files, chosen.top, chosen.pictures)


def look_at(paths: Sequence[str], model: Any, options: Any, outputs: Outputs, server: "Worker") -> None:
    """Look at files: `looked` of a row is what a search needs."""
    text = _text(server.models, server.models.named(options.model, ("caption",), "look"))
    index_files(
        paths,
        model.finder,
        Outputs([Texts(outputs, text)]),
        silent_meter(),
        Summary(),
        every=options.every,
        workers=1,
        max_pixels=server.options.max_pixels,
    )


def search_among(several: Sequence[Asked], model: Any, options: Any, outputs: Outputs, server: "Worker") -> None:
    """Answer queries; of each the rows of `captioner search`, and what to know of its words."""
    searcher = server.models.searcher(server.models.named(options.model, ("caption",), "search"))
    for asked in several:
        # numbered, since several files may have one name, and moments of two clips are not to be joined
        index = HeldIndex(model.finder.shape, [(str(place), seen) for place, (_, seen) in enumerate(asked.files)])
        found = find_described(asked.query, index.moments, index, searcher, asked.top)
        hits = [replace(hit, path=asked.files[int(hit.path)][0]) for hit in found]
        captions = searcher.write(model.finder.shape, index.packed([hit.moment for hit in hits])) if hits else []
        rows = Answer(asked.query, asked.query.text, hits, captions).rows()
        if asked.pictures:
            rows = [{**row, **_fit(asked.query, hit, model.finder.shape)} for row, hit in zip(rows, hits, strict=True)]
        outputs.write([Record("", {"rows": rows, "notes": asked.query.notes})])


def _text(models: Models, name: str) -> Text:
    finder = models.get(name).finder
    return Text(models.digest(name), finder.shape, 0 if finder.config is None else finder.config.size)


def _fit(query: Query, hit: Hit, shape: PackedShape) -> Mapping[str, Any]:
    """The words of a query, and where each fits."""
    text = to_sentence(query.tokens)
    words = {"words": text, "spans": word_spans(text, query.tokens)}
    if hit.attention is None:
        return words
    looked = attention_bytes(hit.attention.reshape(-1, shape.rows, shape.columns))
    return {**words, "attention": looked, "grid": (shape.rows, shape.columns)}
