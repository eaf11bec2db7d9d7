"""An evaluation for programs (JSON), for terminals (a table) and for people who want to see the captions (HTML)."""

import base64
import html
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from captioner import __version__
from captioner.data.ids import ImageId
from captioner.data.results import Annotations
from captioner.metrics.diversity import Diversity
from captioner.metrics.ngrams import Floats
from captioner.metrics.scores import Scores
from captioner.metrics.significance import Difference
from captioner.pipelines.folder.inputs import shown
from captioner.text.tokenization import PTB, without_spaces

SHOWN = 12  # best and worst images on a page
_BINS = 25
_RANKING = ("CIDEr", "ROUGE_L", "Bleu_4", "METEOR", "SPICE")  # images are best and worst by the first there is
_TEMPLATE = "report.html"
_DIVERSITY = {
    "vocabulary": "different words",
    "mean_length": "words a caption",
    "distinct_captions": "captions that are unlike all others",
    "distinct_1": "different words of all words",
    "distinct_2": "different word pairs of all pairs",
    "in_training": "captions that are in the training set",
}


@dataclass(frozen=True)
class Comparison:
    """Another system on the same images.

    Attributes:
        source: its results file.
        totals: its scores.
        differences: this system's less its, by metric.
    """

    source: str
    totals: Mapping[str, float]
    differences: Mapping[str, Difference]


def signature(scores: Scores, references: Annotations) -> str:
    """The protocol behind scores in one line, after sacrebleu's manner (Post, 2018)."""
    names = list(scores.totals)
    if "Bleu_4" in names:
        names = ["BLEU-4", *(name for name in names if not name.startswith("Bleu_"))]
    number = sum(map(len, references.captions.values()))
    fields = {
        "tok": str(scores.tokenization),
        "ref": "closest" if "BLEU-4" in names else None,
        "images": len(scores.ids),
        "refs": f"{number / len(scores.ids):.1f}",
        "split": references.split,
        "missing": references.missing or None,
        "v": __version__,
    }
    return "|".join(["+".join(names), *(f"{key}:{value}" for key, value in fields.items() if value is not None)])


@dataclass(frozen=True)
class Report:
    """All that an evaluation found.

    Attributes:
        source: the results file.
        captions: the caption of each image.
        references: of the same images.
        scores: totals and scores of images.
        intervals: 95 % bootstrap intervals by metric.
        diversity: of the captions.
        signature: the protocol.
        comparison: with another system, or None.
    """

    source: str
    captions: Mapping[ImageId, str]
    references: Annotations
    scores: Scores
    intervals: Mapping[str, tuple[float, float]]
    diversity: Diversity
    signature: str
    comparison: Comparison | None = None

    def as_json(self) -> dict[str, Any]:
        """The report but for its images, in JSON's types."""
        report: dict[str, Any] = {
            **self.scores.totals,
            "images": len(self.scores.ids),
            "signature": self.signature,
            "intervals": {name: list(each) for name, each in self.intervals.items()},
            "diversity": {name: value for name, value in asdict(self.diversity).items() if value is not None},
        }
        if self.remarks:
            report["remarks"] = self.remarks
        if self.references.missing:
            report["missing"] = self.references.missing
        if self.comparison is not None:
            report["compare"] = {
                "results": self.comparison.source,
                "totals": dict(self.comparison.totals),
                "differences": {name: asdict(each) for name, each in self.comparison.differences.items()},
            }
        return _without_nan(report)

    def as_table(self) -> RenderableType:
        """The report for a terminal, but for its signature."""
        header, rows = self._score_rows()
        table = Table(*(escape(shown(each)) for each in header), box=None, header_style="bold", pad_edge=False)
        for column in table.columns[1:]:
            column.justify = "right"
        for row in rows:
            table.add_row(*row)
        spread = Table(box=None, show_header=False, pad_edge=False)
        for label, value in self._diversity_rows():
            spread.add_row(Text(label, style="dim"), value)
        return Group(table, Text(), spread, *(Text(remark, style="yellow") for remark in self.remarks), Text())

    def as_html(self, pictures: Mapping[ImageId, bytes]) -> str:
        """The report as a page in one file.

        Args:
            pictures: JPEG thumbnails of some images, those of `remarkable` above all.
        """
        best, worst = self.remarkable
        header, rows = self._score_rows()
        parts = {
            "TITLE": html.escape(f"{self.source} against {self.references.source}"),
            "SIGNATURE": html.escape(self.signature),
            "SCORES": _table(rows, header),
            "DIVERSITY": _table(self._diversity_rows()),
            "HISTOGRAMS": "\n".join(_histogram(name, self.scores.per_image[name]) for name in self._shown_metrics),
            "RANKED": html.escape(self._ranking),
            "BEST": "\n".join(self._card(place, pictures) for place in best),
            "WORST": "\n".join(self._card(place, pictures) for place in worst),
            "COLUMNS": _json(self._shown_metrics),
            "ROWS": ",\n".join(map(_json, self._image_rows())),
        }
        page = files("captioner.pipelines.evaluate").joinpath(_TEMPLATE).read_text(encoding="utf-8")
        pieces = page.split("<!--")  # each begins with a part's name, so that parts cannot be taken for names
        filled = [parts[name] + rest for name, _, rest in (piece.partition("-->") for piece in pieces[1:])]
        return "".join([pieces[0], *filled])

    @cached_property
    def remarks(self) -> list[str]:
        """Why a score is 0 by its definition, whatever the captions say; the official scorer gives 0 too."""
        remarks = []
        if len(self.captions) == 1 and "CIDEr" in self.scores.totals:
            remarks.append(
                "CIDEr of one image is 0 by definition: it weighs words by how few images have them, and here all do."
            )
        if "Bleu_4" in self.scores.totals:
            longest = max((len(line.split()) for line in self.scores.lines), default=0)
            if longest < 4:
                remarks.append(f"BLEU-{longest + 1} and above are 0: no caption has more than {longest} words.")
        references = (text for texts in self.references.captions.values() for text in texts)
        if self.scores.tokenization == PTB and without_spaces(references) is not None:
            remarks.append("Captions without spaces between words are one token each; --tokens unicode cuts them.")
        return remarks

    @cached_property
    def remarkable(self) -> tuple[Sequence[int], Sequence[int]]:
        """Places in `scores.ids` of the best and of the worst images, most remarkable first; no image twice."""
        order = np.argsort(-self.scores.per_image[self._ranking], kind="stable").tolist()
        shown = min(SHOWN, len(order) // 2)
        return order[:shown] if shown else order, order[: -shown - 1 : -1] if shown else []

    @property
    def _shown_metrics(self) -> list[str]:
        return [name for name in self.scores.per_image if name not in ("Bleu_1", "Bleu_2", "Bleu_3")]

    @property
    def _ranking(self) -> str:
        return next(name for name in _RANKING if name in self.scores.per_image)

    def _score_rows(self) -> tuple[list[str], list[list[str]]]:
        header = ["", "score", "95 % interval"]
        if self.comparison is not None:
            header += [self.comparison.source, "difference", "95 % interval", "p"]
        rows = []
        for name, total in self.scores.totals.items():
            row = [name, f"{total:.4f}", _interval(self.intervals.get(name))]
            if self.comparison is not None:
                row.append(f"{self.comparison.totals[name]:.4f}")
                found = self.comparison.differences.get(name)
                row += [f"{total - self.comparison.totals[name]:+.4f}", _interval(found.interval if found else None)]
                row.append("" if found is None else f"{found.p_value:.3f}")
            rows.append(row)
        return header, rows

    def _diversity_rows(self) -> list[list[str]]:
        values = asdict(self.diversity)
        shares = {name: f"{value:.1%}" for name, value in values.items() if value is not None}
        shares |= {"vocabulary": str(values["vocabulary"]), "mean_length": f"{values['mean_length']:.2f}"}
        return [[label, shares[name]] for name, label in _DIVERSITY.items() if name in shares]

    def _image_rows(self) -> list[list[Any]]:
        """Id, file, caption, references and scores of each image."""
        columns = [self.scores.per_image[name].round(4).tolist() for name in self._shown_metrics]
        return [
            [image, self.references.files[image], self.captions[image], list(self.references.captions[image]), *values]
            for image, *values in zip(self.scores.ids, *columns, strict=True)
        ]

    def _card(self, place: int, pictures: Mapping[ImageId, bytes]) -> str:
        image = self.scores.ids[place]
        jpeg = pictures.get(image)
        picture = "" if jpeg is None else f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'
        scores = " · ".join(f"{name} {self.scores.per_image[name][place]:.3f}" for name in self._shown_metrics)
        references = "".join(f'<li dir="auto">{html.escape(text)}</li>' for text in self.references.captions[image])
        caption = html.escape(self.captions[image]) or "<i>no words</i>"
        name = html.escape(f"{self.references.files[image]}, image {image}")
        return (
            f'<article>{picture}<h3 dir="auto">{caption}</h3><ul>{references}</ul>'
            f"<footer>{scores}<br>{name}</footer></article>"
        )


def _interval(bounds: tuple[float, float] | None) -> str:
    return "" if bounds is None else f"{bounds[0]:.4f} to {bounds[1]:.4f}"


def _table(rows: Sequence[Sequence[str]], header: Sequence[str] = ()) -> str:
    head = "".join(f"<th>{html.escape(cell)}</th>" for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return "<table>" + (f"<thead><tr>{head}</tr></thead>" if head else "") + f"<tbody>{body}</tbody></table>"


def _histogram(name: str, values: Floats) -> str:
    """Bars that count images by score, as SVG."""
    top = max(float(np.nanmax(values, initial=0)), 1e-9)
    counts, edges = np.histogram(values[~np.isnan(values)], bins=_BINS, range=(0, top))
    height = 100 / max(int(counts.max()), 1)
    bars = "".join(
        f'<rect x="{10 * place + 1}" y="{100 - count * height:.1f}" width="8" height="{count * height:.1f}">'
        f"<title>{low:.3f} to {high:.3f}: {count} images</title></rect>"
        for place, (count, low, high) in enumerate(zip(counts.tolist(), edges, edges[1:], strict=False))
    )
    return (
        f'<figure><figcaption>{html.escape(name)}</figcaption><svg viewBox="0 0 {10 * _BINS} 100" role="img" '
        f'aria-label="Histogram of {html.escape(name)}" preserveAspectRatio="none">{bars}</svg>'
        f"<div><span>0</span><span>{top:.2f}</span></div></figure>"
    )


def _json(value: Any) -> str:
    """JSON that cannot close the element it stands in."""
    return json.dumps(_without_nan(value), ensure_ascii=False).replace("<", "\\u003c")


def _without_nan(value: Any) -> Any:
    """A value with null for NaN, which is no JSON: SPICE has none for a caption it finds nothing in."""
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_without_nan(each) for each in value]
    return None if isinstance(value, float) and math.isnan(value) else value
