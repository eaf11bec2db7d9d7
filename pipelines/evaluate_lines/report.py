"""An evaluation of lines for programs (JSON), for terminals (a table) and for people who want to see them (HTML)."""

import base64
import contextlib
import html
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from typing import Any

from rapidfuzz.distance import Levenshtein
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from captioner import __version__
from captioner.data.line_results import MatchedLines
from captioner.errors import ImageError
from captioner.metrics.line_scores import METRICS, Confusion, LineScores
from captioner.metrics.significance import Difference

SHOWN = 40  # of the worst lines on a page
_TOLD = 10  # confusions on a terminal


@dataclass(frozen=True)
class Comparison:
    """Another system on the same lines.

    Attributes:
        source: its results file.
        totals: its scores.
        differences: this system's less its, by metric.
    """

    source: str
    totals: Mapping[str, float]
    differences: Mapping[str, Difference]


def signature(lines: MatchedLines) -> str:
    """The protocol behind scores in one line, after sacrebleu's manner (Post, 2018)."""
    fields = {
        "norm": f"NFC-{unicodedata.unidata_version}+spaces",
        "lines": len(lines.truths),
        "characters": sum(map(len, lines.truths)),
        "unreadable": lines.failed or None,
        "missing": lines.missing or None,
        "v": __version__,
    }
    return "|".join(["+".join(METRICS), *(f"{key}:{value}" for key, value in fields.items() if value is not None)])


@dataclass(frozen=True)
class Report:
    """All that an evaluation found.

    Attributes:
        source: the results file.
        lines: truth and text of each.
        scores: totals, and counts of lines.
        intervals: of the totals, 95 %.
        confusions: the most frequent first.
        signature: the protocol.
        comparison: with another system, or None.
    """

    source: str
    lines: MatchedLines
    scores: LineScores
    intervals: Mapping[str, tuple[float, float]]
    confusions: Sequence[Confusion]
    signature: str
    comparison: Comparison | None = None

    def as_json(self) -> dict[str, Any]:
        """The report for programs."""
        found: dict[str, Any] = {
            "results": self.source,
            "scores": self.scores.totals,
            "intervals": {name: list(each) for name, each in self.intervals.items()},
            "confusions": [asdict(each) for each in self.confusions],
            "signature": self.signature,
        }
        if self.comparison is not None:
            found["comparison"] = asdict(self.comparison)
        return found

    def as_table(self) -> RenderableType:
        """The report for a terminal."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        table.add_column("")
        table.add_column("score", justify="right")
        table.add_column("95 % interval", justify="right")
        if self.comparison is not None:
            for title in ("other", "difference", "p"):
                table.add_column(title, justify="right")
        for name, total in self.scores.totals.items():
            low, high = self.intervals[name]
            cells = [METRICS[name], f"{total:.4f}", f"{low:.4f} to {high:.4f}"]
            if self.comparison is not None:
                difference = self.comparison.differences[name]
                cells += [f"{self.comparison.totals[name]:.4f}", f"{difference.difference:+.4f}"]
                cells.append(f"{difference.p_value:.3f}")
            table.add_row(*cells)
        told = ", ".join(_tell(each) for each in self.confusions[:_TOLD])
        return Group(table, Text(f"\nmost frequent: {told or 'no mistakes'}\n"))

    def as_html(self) -> str:
        """A page that opens offline, with the worst lines and their pictures."""
        parts = {
            "TITLE": html.escape(f"{len(self.lines.truths)} lines of {self.source}"),
            "SIGNATURE": html.escape(self.signature),
            "SCORES": self._scores(),
            "CONFUSIONS": "".join(
                f"<tr><td>{html.escape(_name(each.truth))}</td><td>{html.escape(_name(each.text))}</td>"
                f"<td>{each.count}</td></tr>"
                for each in self.confusions
            ),
            "WORST": "".join(self._card(place) for place in self._worst()),
        }
        page = files("captioner.pipelines.evaluate_lines").joinpath("report.html").read_text(encoding="utf-8")
        for name, part in parts.items():
            page = page.replace(f"<!--{name}-->", part)
        return page

    def _worst(self) -> list[int]:
        """Lines with mistakes, those with most first."""
        edits = self.scores.counts[:, 0]
        order = sorted(range(len(edits)), key=lambda place: -edits[place])
        return [place for place in order[:SHOWN] if edits[place]]

    def _scores(self) -> str:
        other = "<th>other</th><th>difference</th><th>p</th>" if self.comparison else ""
        rows = [f"<tr><th></th><th>score</th><th>95 % interval</th>{other}</tr>"]
        for name, total in self.scores.totals.items():
            low, high = self.intervals[name]
            cells = [METRICS[name], f"{total:.4f}", f"{low:.4f} to {high:.4f}"]
            if self.comparison is not None:
                difference = self.comparison.differences[name]
                cells += [f"{self.comparison.totals[name]:.4f}", f"{difference.difference:+.4f}"]
                cells.append(f"{difference.p_value:.3f}")
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        return "".join(rows)

    def _card(self, place: int) -> str:
        truth, text, path = self.lines.truths[place], self.lines.texts[place], self.lines.paths[place]
        image = _image(path)
        picture = f'<img src="data:image/jpeg;base64,{image}" alt="">' if image else ""
        marked = _marked(truth, text)
        return f"<article>{picture}<p>{marked[0]}</p><p>{marked[1]}</p><code>{html.escape(path)}</code></article>"


def _marked(truth: str, text: str) -> tuple[str, str]:
    """Truth and text in HTML, with what differs in `<del>` and `<ins>`."""
    before, after = "", ""
    for part in Levenshtein.opcodes(truth, text):
        left = html.escape(truth[part.src_start : part.src_end])
        right = html.escape(text[part.dest_start : part.dest_end])
        before += left if part.tag == "equal" else f"<del>{left}</del>"
        after += right if part.tag == "equal" else f"<ins>{right}</ins>"
    return before, after


def _image(path: str) -> str | None:
    """A small copy of a line's picture as base64, None where it cannot be read."""
    import cv2

    from captioner.vision.images import read, resize

    with contextlib.suppress(ImageError):
        pixels = read(path).pixels
        height = min(64, pixels.shape[0])
        small = resize(pixels, height, max(1, round(pixels.shape[1] * height / pixels.shape[0])))
        return base64.b64encode(cv2.imencode(".jpg", small[:, :, ::-1])[1].tobytes()).decode()
    return None


def _tell(confusion: Confusion) -> str:
    return f"{_name(confusion.truth)} as {_name(confusion.text)} {confusion.count}"


def _name(character: str) -> str:
    """A character for people."""
    if not character:
        return "nothing"
    if character == " " or not character.isprintable():
        return unicodedata.name(character, repr(character)).lower()
    return f"◌{character}" if unicodedata.combining(character) else character
