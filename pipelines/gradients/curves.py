"""The numbers of `captioner gradients`: norms, bound and shares of each layer, by lag."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from captioner.pipelines.gradients.sequences import Sequences
from captioner.recurrent.gradients import (
    Layer,
    bound,
    gradient_norms,
    largest_singular_values,
    layers_of,
    reverse,
    split_gradient,
)


@dataclass(frozen=True)
class Curve:
    """Gradients of one layer against lag t - k; means over sequences, at each lag of those that are longer.

    Attributes:
        label: the model, or the unit of a fresh network.
        radius: spectral radius of a fresh network's recurrent weights.
        unit: of the network.
        layer: its place.
        largest_singular_values: of each gate's recurrent weight.
        norms: by state `h` or `c`, geometric means of the norm of dh_t/dh_k.
        each: norms of the single sequences, (sequences, lags), None beyond their first step.
        bound: (gamma_W gamma_phi)^lag, for a tanh network; None where it is too large for a number.
        shares: norm of the part of dE_t/dW_hh that comes from step k, by lag; of the last layer only.
        gradient: norm of dE_t/dW_hh, the mean over sequences.
        clipped: what clipping makes of `shares`: every lag shrinks by the same factor.
    """

    label: str
    radius: float | None
    unit: str
    layer: str
    largest_singular_values: dict[str, float]
    norms: dict[str, list[float]]
    each: dict[str, list[list[float | None]]]
    bound: list[float | None] | None = None
    shares: list[float] | None = None
    gradient: float | None = None
    clipped: list[float] | None = None


def curves_of(sequences: Sequences, clip: float, samples: int | None, seed: int) -> Iterator[Curve]:
    """Measure every layer of a network.

    Args:
        sequences: the network with what it reads.
        clip: longest gradient that clipping leaves.
        samples: random vectors for an estimate of Frobenius norms; None for exact spectral norms.
        seed: of the random vectors.

    Raises:
        DataError: more steps than memory allows.
    """
    layers = layers_of(sequences.network, sequences.inputs, lengths=sequences.lengths)
    generator = torch.Generator().manual_seed(seed)
    halves = list(sequences.of_outputs.split(sequences.network.hidden_size, dim=-1))
    if len(halves) == 2:
        halves[1] = reverse(halves[1], layers[-1].lengths)
    last = len(layers) - len(halves)
    for place, layer in enumerate(layers):
        found = gradient_norms(layer, samples, generator)
        norms = found.spectral or found.frobenius
        limit = bound(layer)
        curve = Curve(
            label=sequences.label,
            radius=sequences.radius,
            unit=sequences.network.unit,
            layer=layer.name,
            largest_singular_values=largest_singular_values(layer),
            norms={name: value.log().nanmean(0).exp().tolist() for name, value in norms.items()},
            each={name: [_finite(row) for row in value.tolist()] for name, value in norms.items()},
            bound=None if limit is None else _finite(limit.tolist()),
        )
        if place >= last:
            shares = _shares(layer, halves[place - last])
            whole = shares["gradient"]
            factor = (clip / whole).clamp(max=1)
            curve = replace(
                curve,
                shares=shares["lags"].nanmean(0).tolist(),
                gradient=float(whole.mean()),
                clipped=(shares["lags"] * factor[:, None]).nanmean(0).tolist(),
            )
        yield curve


def _shares(layer: Layer, of_outputs: Tensor) -> dict[str, Tensor]:
    """Norms of each sequence's dE_t/dW_hh (sequences,) and of its parts by lag (sequences, steps), NaN beyond."""
    batch, steps = layer.inputs.shape[:2]
    weight = "0.weight" if layer.network.unit == "mlp" else "weight_hh_l0"
    lags, gradient = torch.full((batch, steps), torch.nan, dtype=torch.float64), torch.zeros(batch, dtype=torch.float64)
    for row, length in enumerate(layer.lengths.tolist()):
        alone = replace(
            layer,
            inputs=layer.inputs[row : row + 1, :length],
            lengths=layer.lengths[row : row + 1],
            begin={name: value[row : row + 1] for name, value in layer.begin.items()},
        )
        total = torch.zeros((), dtype=torch.float64)
        for lag, share in enumerate(split_gradient(alone, of_outputs[row : row + 1, :length].double())):
            lags[row, lag] = share[weight].norm()
            total = total + share[weight]
        gradient[row] = total.norm()
    return {"lags": lags, "gradient": gradient}


def _finite(row: list[float]) -> list[float | None]:
    """None for what JSON has no number for: lags beyond a sequence, and bounds beyond all numbers."""
    return [value if math.isfinite(value) else None for value in row]
