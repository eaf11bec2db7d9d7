"""The figure of `captioner gradients`: norms against lag above, shares of dE_t/dW with and without clipping below."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from captioner.pipelines.gradients.curves import Curve

_COLOURS = {"mlp": "tab:gray", "tanh": "tab:red", "lstm": "tab:blue", "gru": "tab:green"}
_SMALLEST = 1e-16  # what is below is nothing beside the gradient of the last step, even in float64
_NORMS = {
    "spectral": r"$\Vert \partial h_t / \partial h_k \Vert$",
    "frobenius": r"$\Vert \partial h_t / \partial h_k \Vert_F$",
}


def draw(curves: Sequence[Curve], kind: str, clip: float, path: Path) -> None:
    """Draw and save; fresh networks have a column for each spectral radius.

    Args:
        curves: what to draw.
        kind: of the norms, `spectral` or `frobenius`.
        clip: longest gradient that clipping leaves.
        path: whose suffix picks the format.
    """
    from matplotlib.figure import Figure

    radii = list(dict.fromkeys(curve.radius for curve in curves))
    figure = Figure(figsize=(4.2 * max(len(radii), 1.6), 7.2), layout="constrained")
    rows = figure.subplots(2, len(radii), sharex=True, sharey="row", squeeze=False)
    for column, radius in enumerate(radii):
        upper, lower = rows[0, column], rows[1, column]
        here = [curve for curve in curves if curve.radius == radius]
        for place, curve in enumerate(here):
            colour = _COLOURS[curve.unit] if radius else f"C{place}"
            _draw_norms(upper, curve, colour)
            _draw_shares(lower, curve, colour)
        upper.set(yscale="log", title=here[0].label if radius is None else f"spectral radius {radius}")
        lower.set(yscale="log", xlabel="lag t - k")
        for axes in (upper, lower):
            axes.grid(alpha=0.25)
    _limit(rows[0, 0], [value for curve in curves for norms in curve.norms.values() for value in norms])
    _limit(rows[1, 0], [value for curve in curves for value in [*(curve.shares or []), *(curve.clipped or [])]])
    rows[0, 0].set_ylabel(f"{_NORMS[kind]}")
    rows[1, 0].set_ylabel(r"part of $\Vert \partial E_t / \partial W_{hh} \Vert$ from step k")
    rows[0, 0].legend(frameon=False, fontsize=8, loc="upper right" if radii[0] else "best")
    rows[1, 0].plot([], [], color="black", linestyle="--", label=f"clipped at {clip:g}")
    rows[1, 0].legend(handles=rows[1, 0].get_lines()[-1:], frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def _draw_norms(axes: Any, curve: Curve, colour: str) -> None:
    name = curve.label if curve.radius else f"{curve.layer} ({curve.unit})"
    for state, values in curve.norms.items():
        style = {"color": colour, "linestyle": "-" if state == "h" else "--"}
        label = name if len(curve.norms) == 1 else f"{name}, {state}"
        if curve.unit == "mlp":
            label += ": 0 at every lag"
        axes.plot(_positive(values), **style, label=label)
        if curve.radius is None and len(curve.each[state]) > 1:
            for row in curve.each[state]:
                axes.plot(_positive(row), **style, linewidth=0.5, alpha=0.4)
    if curve.bound:
        bound = r"$(\gamma_W \gamma_\varphi)^{t-k}$"
        axes.plot(_positive(curve.bound), color="black", linestyle=":", linewidth=1, label=bound)


def _draw_shares(axes: Any, curve: Curve, colour: str) -> None:
    if curve.shares and curve.clipped:
        axes.plot(_positive(curve.shares), color=colour)
        axes.plot(_positive(curve.clipped), color=colour, linestyle="--", linewidth=1)


def _positive(values: Sequence[float | None]) -> list[float]:
    """Zeros, which a logarithm does not show, as gaps."""
    return [value if value else math.nan for value in values]


def _limit(axes: Any, values: Sequence[float]) -> None:
    """Show all values but the smallest, whatever the bound does."""
    positive = [value for value in values if 0 < value < math.inf] or [1.0]
    axes.set_ylim(max(min(positive), _SMALLEST) / 3, max(positive) * 3)
