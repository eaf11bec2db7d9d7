"""`captioner evaluate-lines`: score texts that were read, compare systems, and report."""

import json
import sys

from rich.console import Console

from captioner.data.line_results import MatchedLines, match_lines, read_line_results
from captioner.data.lines import LineSet
from captioner.errors import DataError
from captioner.metrics.line_scores import LineScores, confusions
from captioner.pipelines.evaluate_lines.options import EvaluateLinesOptions
from captioner.pipelines.evaluate_lines.report import Comparison, Report, signature
from captioner.pipelines.folder.reports import check_reports, write_report

_PIPE_WIDTH = 200  # so that a table in a file keeps its columns


def evaluate_lines(options: EvaluateLinesOptions) -> int:
    """Run the command; returns the exit status.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        DataError: truth or results cannot be used.
    """
    check_reports([options.html, options.json], [options.truth, options.results, options.compare])
    truth = LineSet.read_texts(options.truth)
    for problem in truth.problems:
        print(problem, file=sys.stderr)
    lines = match_lines(truth, read_line_results(options.results), options.results, allow_missing=options.allow_missing)
    report = _report(lines, truth, options)
    if options.html:
        write_report(options.html, report.as_html())
    if options.json == "-":
        print(json.dumps(report.as_json(), indent=2, ensure_ascii=False))
        return 0
    if options.json:
        write_report(options.json, json.dumps(report.as_json(), indent=2, ensure_ascii=False) + "\n")
    if not options.quiet:
        console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
        console.print(report.as_table())
        console.print(report.signature, style="dim", soft_wrap=True, markup=False)
    return 0


def _report(lines: MatchedLines, truth: LineSet, options: EvaluateLinesOptions) -> Report:
    scores = LineScores.of(lines.truths, lines.texts)
    comparison = None
    if options.compare is not None:
        other = match_lines(truth, read_line_results(options.compare), options.compare, allow_missing=True)
        if other.paths != lines.paths:
            raise DataError(f"{options.results} and {options.compare} have read other lines; compare the same ones.")
        theirs = LineScores.of(other.truths, other.texts)
        comparison = Comparison(str(options.compare), theirs.totals, scores.compare(theirs))
    return Report(
        source=str(options.results),
        lines=lines,
        scores=scores,
        intervals=scores.intervals(),
        confusions=confusions(lines.truths, lines.texts),
        signature=signature(lines),
        comparison=comparison,
    )
