"""`captioner gradients`: how far back in time the gradients of a trained model reach, or of fresh networks compared."""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from captioner.errors import UsageError
from captioner.models.base import find, kind_of, load, shipped
from captioner.models.caption import Captioner
from captioner.models.classify import VideoClassifier
from captioner.models.read import Reader
from captioner.pipelines.folder.reports import check_reports, write_report
from captioner.pipelines.gradients.curves import Curve, curves_of
from captioner.pipelines.gradients.options import GradientsOptions
from captioner.pipelines.gradients.sequences import (
    Sequences,
    fresh,
    of_captioner,
    of_classifier,
    of_language_model,
    of_reader,
)
from captioner.recurrent.units import UNITS

FIGURES = (".png", ".svg", ".pdf")
_READS = {"caption": "PHOTO...", "classify": "CLIP...", "language": "FILE.txt...", "read": "LINE..."}
_SHOWN_LAGS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)


def gradients(options: GradientsOptions) -> int:
    """Run the command; returns the exit status, 1 if an input could not be read.

    Raises:
        UsageError: something is wrong that can be said before any work is done.
        ModelError: the model cannot be used.
        DataError: there are more steps than memory allows.
    """
    _check(options)
    sequences, errors = _sequences(options)
    curves = [curve for each in sequences for curve in curves_of(each, options.clip, options.samples, options.seed)]
    kind = "spectral" if options.samples is None else "frobenius"
    if curves and options.json:
        text = json.dumps({"norm": kind, "clip": options.clip, "curves": [asdict(curve) for curve in curves]}, indent=2)
        if options.json == "-":
            print(text)
        else:
            write_report(options.json, text + "\n")
    if curves and options.json != "-":
        _show(curves, kind)
    if curves and options.output:
        from captioner.pipelines.gradients.figure import draw

        draw(curves, kind, options.clip, options.output)
    for error in errors:
        print(f"captioner: {error}", file=sys.stderr)
    return int(bool(errors))


def _check(options: GradientsOptions) -> None:
    if not options.clip > 0:
        raise UsageError(f"clip is {options.clip}; the longest gradient that it leaves must be above 0.")
    if options.output and options.output.suffix.lower() not in FIGURES:
        raise UsageError(f"{options.output}: a figure is {', '.join(FIGURES)}; numbers come with --json.")
    check_reports([options.output, options.json], options.what)


def _sequences(options: GradientsOptions) -> tuple[list[Sequences], list[str]]:
    first, *rest = options.what
    if first in UNITS:
        wrong = [name for name in rest if name not in UNITS]
        if wrong:
            raise UsageError(f"{wrong[0]}: no unit; compare {', '.join(UNITS)}, or name a model and what it reads.")
        return fresh(list(dict.fromkeys(options.what)), options.steps, options.seed), []
    if not (first in shipped() or ":" in first or Path(first).exists()):
        models = ", ".join(shipped())
        raise UsageError(
            f"{first}: neither a unit ({', '.join(UNITS)}) nor a model ({models}, a model folder, or "
            "hf-hub:owner/name)."
        )
    if not rest:
        reads = _READS.get(kind_of(find(first)), "INPUT...")
        raise UsageError(f"{first} needs something to read: captioner gradients {first} {reads}")
    model = load(first, options.device, tuple(_READS))
    if isinstance(model, Captioner):
        return of_captioner(model, rest)
    if isinstance(model, VideoClassifier):
        return of_classifier(model, rest)
    if isinstance(model, Reader):
        return of_reader(model, rest)
    return of_language_model(model, rest, options.steps)


def _show(curves: Sequence[Curve], kind: str) -> None:
    """Print a row for each curve, norms at some lags."""
    longest = max(len(values) for curve in curves for values in curve.norms.values())
    lags = [lag for lag in _SHOWN_LAGS if lag < longest]
    norm = f"{kind} norm of dh_t/dh_k (and dc_t/dc_k of an LSTM's cell), by lag t - k"
    table = Table("network", "state", "gamma_W", *(f"[right]{lag}" for lag in lags), "dE/dW", "clipped", caption=norm)
    for curve in curves:
        name = curve.label + (f", radius {curve.radius}" if curve.radius else "")
        name += "" if curve.radius else f", {curve.layer} ({curve.unit})"
        largest = max(curve.largest_singular_values.values(), default=0.0)
        for place, (state, values) in enumerate(curve.norms.items()):
            ends = ["", ""]
            if curve.gradient is not None and curve.shares and curve.clipped and not place:
                ends = [_short(curve.gradient), f"x {_short(_ratio(curve))}"]
            cells = [_short(values[lag]) if lag < len(values) else "" for lag in lags]
            table.add_row(*(["", state, ""] if place else [name, state, _short(largest)]), *cells, *ends)
    Console(highlight=False, width=None if sys.stdout.isatty() else 200).print(table)


def _ratio(curve: Curve) -> float:
    """By what clipping multiplies the gradient."""
    assert curve.shares is not None
    assert curve.clipped is not None
    return curve.clipped[0] / curve.shares[0] if curve.shares[0] else 1.0


def _short(value: float) -> str:
    return f"{value:.2g}"
