"""`captioner evaluate-text`: BLEU and chrF of translations by sacrebleu, with intervals and paired tests."""

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from captioner.data.pair_checks import find_slip
from captioner.data.parallel import read_lines
from captioner.errors import DataError, UsageError
from captioner.pipelines.evaluate.options import EvaluateTextOptions
from captioner.pipelines.folder.inputs import shown
from captioner.pipelines.folder.reports import check_reports, write_report

_TIMES = re.compile(r"(\d+:)?\d+:\d\d[.,]\d+\s*-->")  # of a subtitle
TOKENIZERS = ("13a", "intl", "char", "none")


@dataclass(frozen=True)
class Score:
    """A metric's value for one system.

    Attributes:
        metric: its name.
        score: from 0 to 100.
        half_width: of the 95 % interval, by bootstrap resampling (Koehn, 2004).
        signature: sacrebleu's, with which others can repeat the number.
        p_value: of the paired bootstrap test against the first system; None for that one.
    """

    metric: str
    score: float
    half_width: float
    signature: str
    p_value: float | None = None

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        compared = {} if self.p_value is None else {"p_value": self.p_value}
        return {"score": self.score, "half_width": self.half_width, "signature": self.signature, **compared}


def evaluate_text(options: EvaluateTextOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: an option has no such value, or the JSON file cannot be written.
        DataError: a file cannot be read, or two have different numbers of lines.
    """
    if options.tokenize not in TOKENIZERS:
        raise UsageError(f"--tokenize is {options.tokenize!r}; choose one of {', '.join(TOKENIZERS)}.")
    check_reports([options.json], [options.reference, options.hypothesis, options.compare])
    reference = _read(options.reference)
    systems: dict[str, Sequence[str]] = {}
    for path in filter(None, [options.hypothesis, options.compare]):
        lines = _read(path)
        if len(lines) != len(reference):
            raise DataError(
                f"{path}: has {len(lines)} lines, but {options.reference} has {len(reference)}; each line is the "
                "translation of one sentence, and an empty one stays in its place."
            )
        systems[str(path)] = lines
    if options.compare is not None and len(systems) == 1:
        raise UsageError(f"--compare is {options.compare}, the hypothesis itself; name another system's output.")
    if options.compare is not None and len(reference) == 1:
        raise DataError(f"{options.reference}: has one line, but a paired test draws among several.")
    _remark(options.reference, reference, systems)
    scores = score_systems(systems, reference, options.lowercase, options.tokenize, options.samples)
    report = {name: {each.metric: each.as_json() for each in several} for name, several in scores.items()}
    text = json.dumps(report, indent=2, ensure_ascii=False)
    if options.json == "-":
        print(text)
        return 0
    if options.json:
        write_report(options.json, text + "\n")
    _show(scores)
    return 0


def _read(path: Path) -> list[str]:
    """The lines of a text.

    Raises:
        DataError: it cannot be read, or is rows or subtitles, of which more than the sentences would be scored.
    """
    lines = read_lines(path)
    filled = [line for line in lines if line]
    rows = all(line.startswith("{") and line.endswith("}") for line in filled)
    if rows or any(map(_TIMES.match, filled[:3])):
        raise DataError(
            f"{path}: is rows or subtitles, not a sentence a line; captioner translate -o FILE.txt writes such lines."
        )
    return lines


def _remark(path: Path, reference: Sequence[str], systems: dict[str, Sequence[str]]) -> None:
    """Say on standard error what makes scores say less than they seem to."""
    empty = sum(not line for line in reference)
    if empty:
        print(f"{path}: {empty} of {len(reference)} lines are empty; nothing can be right there.", file=sys.stderr)
    for name, lines in systems.items():
        if slip := find_slip(reference, lines, f"{path} and {name}"):
            print(slip, file=sys.stderr)


def score_systems(
    systems: dict[str, Sequence[str]], reference: Sequence[str], lowercase: bool, tokenize: str, samples: int
) -> dict[str, list[Score]]:
    """BLEU and chrF of each system, the second compared with the first where there are two."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.significance import PairedTest

    references = [list(reference)]
    metrics = {
        "BLEU": BLEU(lowercase=lowercase, tokenize=tokenize, references=references),
        "chrF": CHRF(lowercase=lowercase, references=references),
    }
    # a single system goes the same way: corpus_score's own interval fails where some samples have no n-gram in common
    named: list[tuple[str, Sequence[str]]] = [(name, list(lines)) for name, lines in systems.items()]
    signatures, tested = PairedTest(named, metrics, None, test_type="bs", n_samples=samples)()
    results: Any = tested
    compared = {}
    for place, (name, lines) in enumerate(named):
        compared[name] = [
            Score(
                metric.rstrip("2"),  # which sacrebleu puts behind chrF for its beta
                float(results[metric][place].score),
                float(results[metric][place].ci),
                str(signature),
                _p_value(results[metric][place], equal=list(lines) == list(named[0][1])),
            )
            for metric, signature in signatures.items()
        ]
    return compared


def _p_value(result: Any, *, equal: bool) -> float | None:
    """Sacrebleu's, but for equal texts, of which it would say that they differ."""
    return 1.0 if equal and result.p_value is not None else result.p_value


def _show(scores: dict[str, list[Score]]) -> None:
    table = Table("text", *(f"[right]{each.metric}" for each in next(iter(scores.values()))))
    for name, several in scores.items():
        cells = [
            f"{each.score:.2f} ± {each.half_width:.2f}" + ("" if each.p_value is None else f" (p = {each.p_value:.4f})")
            for each in several
        ]
        table.add_row(Text(shown(name)), *cells)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 200)
    console.print(table)
    for each in next(iter(scores.values())):
        console.print(f"{each.metric}: {each.signature}", style="dim", soft_wrap=True)
