"""Least squares of a tone curve's stages through points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from isotone.curves import Affine, InverseStep, Stage, Step, ToneCurve

Floats = NDArray[np.float64]

LARGEST = 0.995
"""Largest |α| that a fit uses: 1 itself is flat at one end and has no inverse."""


def fit_stages(
    x: Floats, y: Floats, num_iterations: int, bidirectional: bool, affine: bool, weights: Floats | None
) -> list[Stage]:
    """The stages of `ToneCurve.fit`, whose parameters these are.

    Raises
    ------
    ValueError
        Not points of [0, 1], or none.
    """
    if x.ndim != 1 or x.shape != y.shape or len(x) == 0:
        raise ValueError("x and y are one-dimensional and of one length")
    if not (np.isfinite(x).all() and np.isfinite(y).all() and (np.minimum(x, y) >= 0).all() and (np.maximum(x, y) <= 1).all()):
        raise ValueError("x and y lie in [0, 1]")
    root = np.ones_like(x) if weights is None else np.sqrt(weights / weights.mean())

    def build(p: Floats) -> list[Stage]:
        kinds: list[type[Step] | type[InverseStep]] = [Step, InverseStep] if bidirectional else [Step]
        alphas = LARGEST * np.tanh(p[:num_iterations])
        steps: list[Stage] = [kinds[n % len(kinds)](float(a)) for n, a in enumerate(alphas)]
        return [_affine(p[num_iterations:]), *steps] if affine else steps

    def residuals(p: Floats) -> Floats:
        return np.asarray((ToneCurve(build(p))(x) - y) * root)

    # The identity is a saddle for pairs of a step and its inverse, so each start leans to one side.
    lean = np.where(np.arange(num_iterations) % 2 == 0, 1.0, -1.0 if bidirectional else 1.0)
    span = [np.quantile(x, 0.001), max(np.quantile(x, 0.999), np.quantile(x, 0.001) + 1e-3)]
    stage = [np.log(1 / (span[1] - span[0])), -span[0] / (span[1] - span[0])] if affine else []
    starts = [np.concatenate([size * lean, stage]) for size in (0.2, -0.2, 0.7, -0.7)]
    results = [least_squares(residuals, start, method="trf", max_nfev=400) for start in starts]
    return build(min(results, key=lambda r: r.cost).x)


def _affine(p: Floats) -> Affine:
    return Affine(float(np.exp(np.clip(p[0], -8, 8))), float(p[1]))
