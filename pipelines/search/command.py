"""`captioner search`: the index is brought up to date, and queries are answered from it.

What is not needed is not imported: an index that is up to date is searched without PyTorch.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from captioner.data.tables import lines_of, read_texts
from captioner.errors import DataError, ModelError, UsageError
from captioner.models.base import find, read_json
from captioner.models.searcher import Searcher
from captioner.pipelines.folder.inputs import Inputs, find_inputs, identity, shown
from captioner.pipelines.folder.made import Stamp
from captioner.pipelines.folder.options import check_every
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.search.find import Hit, find_described, find_similar
from captioner.pipelines.search.index import Index
from captioner.pipelines.search.options import SearchOptions
from captioner.pipelines.search.outputs import Answer, check_outputs, print_answer, write_answers
from captioner.pipelines.search.query import Query, parse_query
from captioner.pipelines.search.update import bring_up_to_date, look_at
from captioner.pipelines.search.work import KIND
from captioner.vision.images import SUFFIXES, Transform
from captioner.vision.video import VIDEO_SUFFIXES


def search(options: SearchOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        ModelError: the model cannot be used.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # every worker has one thread; idle ones are not to spin
    check_every(options.every)
    check_outputs(options.outputs or [], options.overwrite)
    searcher = Searcher.load(find(options.model))
    asked, inputs = _asked(options)
    parse = partial(parse_query, vocabulary=searcher.vocabulary, translator=options.translator)
    queries, refused = _parsed(asked or [], parse)
    if options.like is not None and not os.path.isfile(options.like):
        raise UsageError(f"--like {shown(options.like)}: there is no such photo.")
    if options.like is not None and searcher.config is None:
        raise ModelError(f"{options.model}: has no search.json, without which photos cannot be compared; use photos.")
    found, told = _find(options, inputs)
    errors = Console(stderr=True)
    piped = not sys.stdout.isatty() or bool(options.outputs)
    index, status = bring_up_to_date(options, found, told, searcher, errors)
    with closing(index):
        if status == 130:
            return status
        for sentence in refused:
            errors.print(sentence, style="red", highlight=False, markup=False, soft_wrap=True)
        session = _Session(options, index, searcher, found, errors)
        console = errors if piped else Console()
        answers = []
        if options.like is not None:
            answers.append(session.similar(options.like))
        for query in queries:
            answers.append(session.described(query))
        for answer in answers if not options.outputs else ():
            print_answer(answer, console, len(answers) > 1)
        if asked is None and options.like is None:
            answers = session.converse(console, parse)
        for path in options.outputs or []:
            transform = Transform(**_transform(options.model))
            write_answers(path, answers, index.shape, transform, options.every)
    return max(status, int(bool(refused)))


def _find(options: SearchOptions, inputs: Sequence[str]) -> tuple[Inputs, dict[str, Stamp]]:
    """The inputs, and on a cluster stamps of those at other addresses.

    Raises:
        UsageError: one does not exist, or there is nothing to do.
    """
    if options.cluster is not None:
        from captioner.pipelines.search.everywhere import find_everywhere

        return find_everywhere(options, inputs)
    if options.shards is not None:
        raise UsageError("--shards is where a cluster's workers leave what they saw; give --cluster as well.")
    exclude = options.exclude or ()
    return find_inputs(inputs, SUFFIXES | VIDEO_SUFFIXES, kind=KIND, exclude=exclude, packed=SUFFIXES), {}


def _parsed(asked: Sequence[str], parse: Callable[[str], Query]) -> tuple[list[Query], list[str]]:
    """The queries that can be answered, and a sentence about each of the others.

    Raises:
        UsageError: none can be.
    """
    queries, refused = [], []
    for text in asked:
        try:
            queries.append(parse(text))
        except UsageError as error:
            refused.append(f"captioner: {error}")
            if len(asked) == 1:
                raise
    if refused and not queries:
        raise UsageError(f"none of the {len(asked)} queries can be answered: {refused[0].removeprefix('captioner: ')}")
    return queries, refused


def _asked(options: SearchOptions) -> tuple[list[str] | None, list[str]]:
    """The queries, None where they come one by one on standard input, and the inputs.

    Raises:
        UsageError: there is none, or there are several ways of asking.
    """
    given = list(options.inputs)
    if options.like is not None and options.queries is not None:
        raise UsageError("--like and --queries are two ways of asking; take one.")
    if options.like is not None:
        return [], given
    if options.queries is None:
        if len(given) < 2:
            raise UsageError('give a sentence and where to search: captioner search "a dog on the beach" PHOTOS.')
        return [given[0]], given[1:]
    if options.queries == "-":
        if "-" in given:
            raise UsageError("standard input cannot give both queries and paths.")
        return None, given
    try:
        lines = lines_of(read_texts(Path(options.queries)))
    except DataError as error:
        raise UsageError(f"--queries {error}") from error
    queries = [line.strip() for line in lines if line.strip()]
    if not queries:
        raise UsageError(f"--queries {shown(options.queries)}: holds no query, which are sentences, one a line.")
    return queries, given


def _transform(model: str) -> dict[str, Any]:
    """How the CNN's input is made, as `config.json` says it."""
    values: dict[str, Any] = read_json(find(model) / "config.json")["encoder"]["transform"]
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


class _Session:
    """Answers queries from an index that is up to date.

    Args:
        options: of the command.
        index: what is searched.
        searcher: what ranks.
        found: the inputs.
        console: for what people should know.
    """

    def __init__(
        self, options: SearchOptions, index: Index, searcher: Searcher, found: Inputs, console: Console
    ) -> None:
        self.options, self.index, self.searcher, self.console = options, index, searcher, console
        self.moments = index.moments(found.paths)

    def described(self, query: Query) -> Answer:
        """What a sentence describes."""
        for note in query.notes:
            self.console.print(note, style="yellow", highlight=False, markup=False, soft_wrap=True)
        hits = find_described(query, self.moments, self.index, self.searcher, self.options.top)
        return Answer(query, query.text, hits, self._captions(hits))

    def similar(self, photo: str) -> Answer:
        """What resembles a photo, which itself is not named."""
        hits = find_similar(self._vector(photo), self.moments.without(identity(photo)), self.options.top)
        return Answer(None, photo, hits, self._captions(hits))

    def converse(self, console: Console, parse: Callable[[str], Query]) -> list[Answer]:
        """Answer the sentences on standard input as they come; what is wrong with one is said, and the next is read."""
        answers = []
        for line in _lines():
            try:
                answer = self.described(parse(line))
            except UsageError as error:
                self.console.print(f"captioner: {error}", style="red", highlight=False, markup=False, soft_wrap=True)
                continue
            answers.append(answer)
            if not self.options.outputs:
                print_answer(answer, console, True)
        return answers

    def _vector(self, photo: str) -> NDArray[np.float32]:
        """The vector of a photo or the mean of a clip's; the photo is looked at if the index lacks it as it is now."""
        if self.index.holds(photo) is not False:
            with Meter(1, "images", self.console, quiet=True) as meter:
                look_at([photo], meter, Summary(), options=self.options, index=self.index)
        known = self.index.moments([photo])
        if not len(known):
            raise UsageError(f"--like {shown(photo)}: cannot be read as a photo.")
        mean: NDArray[np.float32] = known.vectors.mean(0)
        return mean / max(float(np.linalg.norm(mean)), 1e-12)

    def _captions(self, hits: Sequence[Hit]) -> list[str]:
        """Captions of what was found; those that nobody has asked for before are written and kept."""
        known = dict(zip([hit.moment for hit in hits], self.index.captions([hit.moment for hit in hits]), strict=True))
        lacking = [moment for moment, caption in known.items() if caption is None]
        if lacking and self.index.shape is not None:
            written = self.searcher.write(self.index.shape, self.index.packed(lacking))
            new = dict(zip(lacking, written, strict=True))
            self.index.keep_captions(new)
            known |= new
        return [known[hit.moment] or "" for hit in hits]


def _lines() -> Iterator[str]:
    """Lines of standard input that hold something."""
    for line in sys.stdin:
        if line.strip():
            yield line.strip()
