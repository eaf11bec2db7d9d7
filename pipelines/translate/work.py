"""Translate rows, those of about the same length together, and write them in their order."""

import base64
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from captioner.decoding.search import DecodingConfig
from captioner.models.translate import Translator
from captioner.models.translation import COPIED, ENDLESS, LACKS, RARE, REPEATS, UNKNOWN, Translation
from captioner.pipelines.folder.outputs import Outputs, Record
from captioner.pipelines.folder.progress import Meter, Summary
from captioner.pipelines.folder.stages import defer_sigint
from captioner.pipelines.translate.documents import Row
from captioner.pipelines.translate.made import stamp_of_row

FIRST = 64
TOGETHER = 1024
"""Rows that are sorted by length together and then written; fewer at first, so that who waits soon sees some."""


def translate_rows(
    rows: Sequence[Row],
    model: Translator,
    outputs: Outputs,
    options: DecodingConfig,
    meter: Meter,
    summary: Summary,
    *,
    alignment: bool = False,
) -> None:
    """Translate all sentences of rows and write a record of each row, in order.

    Args:
        rows: to translate.
        model: the translator.
        outputs: where records go.
        options: how to search; more than one caption become `translations`.
        meter: is told of every batch.
        summary: counts what has been written, also when this is interrupted.
        alignment: add to the records what a page shows besides: words and their alignment.

    Raises:
        WriteError: an output can no longer be written.
    """
    started = time.monotonic()
    try:
        for group in _groups(rows):
            sentences = [text for row in group for text in row.sentences]
            found = iter(model.generate(sentences, options, alignment=alignment))
            records = [_record(row, list(islice(found, len(row.places))), options.num_captions) for row in group]
            with defer_sigint():
                outputs.write(records)
                meter.advance(len(records), summary.add(records))
    finally:
        summary.seconds = time.monotonic() - started


def _groups(rows: Sequence[Row]) -> Iterator[Sequence[Row]]:
    first, size = 0, FIRST
    while first < len(rows):
        yield rows[first : first + size]
        first, size = first + size, TOGETHER


def _record(row: Row, found: Sequence[Sequence[Translation]], wanted: int) -> Record:
    if wanted == 1:
        fields = row.with_added(several[0].text for several in found)
    else:
        fields = row.with_added((_several(translations) for translations in found), several=True)
    # what was said of the row stays, but not of a translation that is replaced
    before = str(fields.pop("warning", None) or "").split("; ")
    before = [each for each in before if each and not each.startswith((COPIED, ENDLESS, LACKS, RARE, REPEATS, UNKNOWN))]
    warnings = dict.fromkeys([*before, *(several[0].warning for several in found if several[0].warning)])
    pairs = [_pair(several[0]) for several in found if several[0].alignment is not None]
    warning = "; ".join(warnings) or None
    return Record(row.name, fields, error=row.error, warning=warning, picture=pairs, stamp=stamp_of_row(row))


def _several(translations: Sequence[Translation]) -> list[dict[str, Any]]:
    return [{"translation": each.text, "score": round(each.score, 4)} for each in translations]


def _pair(translation: Translation) -> Mapping[str, Any]:
    """Words and, as base64 of one byte a pair of words, row by row, how much each owes to each that was read."""
    assert translation.alignment is not None
    cells = (translation.alignment * 255).round().clip(0, 255).astype(np.uint8)
    return {
        "source": translation.source_words,
        "target": translation.words,
        "weights": base64.b64encode(cells.tobytes()).decode(),
        "score": round(translation.score, 4),
    }
