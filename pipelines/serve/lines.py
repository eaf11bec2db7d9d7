"""Text lines of a request, read as the command line reads them."""

from typing import Any

from pydantic import Field

from captioner.decoding.ctc import Beam
from captioner.errors import ModelError
from captioner.models.spelling import Speller
from captioner.pipelines.read.options import ReadOptions
from captioner.pipelines.read.words import word_list
from captioner.pipelines.serve.models import Models
from captioner.pipelines.serve.parameters import MODEL, parameters
from captioner.pipelines.serve.problems import Problem

READ = parameters(
    "ReadOptions",
    ReadOptions,
    ("beam_size", "lm", "lm_weight"),
    {"beam_size": (1, 64), "lm_weight": (0.0, 10.0)},
    model=MODEL,
    words=(
        str | None,
        Field(None, max_length=1_000_000, description="The only words there are, with white space between them."),
    ),
)


def beam_of(chosen: Any, models: Models, name: str) -> Beam | None:
    """How to search; None where each column's likeliest character is taken.

    Raises:
        Problem: options contradict each other, no word can be read, or the language model predicts words.
    """
    if chosen.lm_weight is not None and chosen.lm is None:
        raise Problem(422, "lm_weight: is how much a language model has to say; name one with lm.")
    if chosen.beam_size == 1:
        if chosen.words is not None or chosen.lm is not None:
            raise Problem(422, "words and lm are for a search only; give beam_size, such as 8.")
        return None
    reader, beam = models.get(name), Beam(chosen.beam_size)
    if chosen.words is not None:
        beam.words = word_list([chosen.words], reader)
        if beam.words is None:
            raise Problem(422, f"words: none of them has only the characters that {name} knows.")
    if chosen.lm is not None:
        language = models.get(models.named(chosen.lm, ("language",), "read", option="lm"))
        try:
            beam.language = Speller(language, reader.alphabet)
        except ModelError as error:
            raise Problem(422, f"lm: {error}") from None
        beam.weight = beam.weight if chosen.lm_weight is None else chosen.lm_weight
    return beam
