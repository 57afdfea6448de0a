"""Least squares of a tone curve's stages through points, with the derivatives that the stages' chain rule gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares
from scipy.special import expit, logit

from isotone.curves.stages import Affine, InverseStep, Stage, Step

Floats = NDArray[np.float64]

LARGEST = 0.999
"""Largest |α| that a fit uses: 1 itself is flat at one end and has no inverse."""
POINTS = 256
"""More points than this are averaged in groups of neighbours first."""
STARTS = (0.2, -0.2)
"""How far each start leans from the identity, which is a saddle for pairs of a step and its inverse."""
RIDGE = 1e-3
"""What a parameter of 1 adds to the root mean square error: it ends the search where further steps only fight each
other, and costs less than 0.001 on every curve of tests/curves/test_least_squares.py."""


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
    if not (np.isfinite([x, y]).all() and np.min([x, y]) >= 0 and np.max([x, y]) <= 1):
        raise ValueError("x and y lie in [0, 1]")
    span = float(x.min()), float(x.max())
    x, y, weight = _grouped(x, y, np.ones_like(x) if weights is None else weights)
    root = np.sqrt(weight / weight.sum())
    chain = _Chain(x, num_iterations, bidirectional, affine, span)
    ridge = RIDGE / np.sqrt(num_iterations) * np.eye(num_iterations, num_iterations + 2 * affine)

    def residuals(p: Floats) -> Floats:
        return np.concatenate([(chain.value(p) - y) * root, ridge @ p])

    def jacobian(p: Floats) -> Floats:
        return np.concatenate([chain.jacobian(p) * root[:, None], ridge])

    results = [
        least_squares(residuals, chain.start(lean), jac=jacobian, ftol=3e-3, xtol=1e-4, max_nfev=100) for lean in STARTS
    ]
    return chain.stages(min(results, key=lambda r: float(r.cost)).x)


def _grouped(x: Floats, y: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """At most `POINTS` points: weighted means over neighbours in x."""
    if len(x) <= POINTS:
        return x, y, weights
    order = np.argsort(x, kind="stable")
    starts = np.linspace(0, len(x), POINTS, endpoint=False).astype(int)
    total = np.maximum(np.add.reduceat(weights[order], starts), 1e-300)
    mean_x, mean_y = (np.add.reduceat((v * weights)[order], starts) / total for v in (x, y))
    return np.clip(mean_x, 0, 1), np.clip(mean_y, 0, 1), total


class _Chain:
    """The curve at fixed points, a function of unconstrained parameters: α = 0.999 tanh p, then the affine stage."""

    def __init__(
        self, x: Floats, num_iterations: int, bidirectional: bool, affine: bool, span: tuple[float, float]
    ) -> None:
        self.x = x
        self.n = num_iterations
        self.inverse = np.arange(num_iterations) % 2 == (1 if bidirectional else 2)
        self.affine = affine
        # The affine stage sends low − σ(p) to 0 and high + σ(q) to 1: it clips none of the points, and can lift a black
        # or lower a white as well as undo that.
        self.low, self.high = span

    def start(self, lean: float) -> Floats:
        signs = np.where(self.inverse, -1.0, 1.0)
        margins = logit(0.1 * np.array([self.low, 1 - self.high]) + 1e-3)
        return np.concatenate([lean * signs, margins if self.affine else []])

    def _ends(self, p: Floats) -> tuple[float, float, Floats]:
        margins = expit(p[self.n :])
        return self.low - margins[0], self.high + margins[1], margins * (1 - margins)

    def stages(self, p: Floats) -> list[Stage]:
        alphas = LARGEST * np.tanh(p[: self.n])
        steps: list[Stage] = [
            InverseStep(float(a)) if inverse else Step(float(a))
            for a, inverse in zip(alphas, self.inverse, strict=True)
        ]
        if not self.affine:
            return steps
        a, b, _ = self._ends(p)
        return [Affine(float(1 / (b - a)), float(-a / (b - a))), *steps]

    def value(self, p: Floats) -> Floats:
        y = self.x
        for stage in self.stages(p):
            y = stage(y)
        return y

    def jacobian(self, p: Floats) -> Floats:
        """Shape (points, parameters): each stage's own derivative times the slopes of all later ones."""
        columns = np.empty((len(self.x), len(p)))
        slope = np.ones_like(self.x)
        outs = [self.x]
        stages = self.stages(p)
        for stage in stages:
            outs.append(stage(outs[-1]))
        steps = stages[1:] if self.affine else stages
        for n in reversed(range(self.n)):
            before, after = outs[n + self.affine], outs[n + self.affine + 1]
            stage = steps[n]
            alpha = stage.alpha if isinstance(stage, Step | InverseStep) else 0.0
            at = after if self.inverse[n] else before  # the argument of the forward step
            own, local = at * (1 - at), 1 + alpha * (1 - 2 * at)
            if self.inverse[n]:
                own, local = -own / local, 1 / local
            columns[:, n] = slope * own * LARGEST / np.cosh(p[n]) ** 2
            slope = slope * local
        if self.affine:
            a, b, (da, db) = self._ends(p)
            t = (self.x - a) / (b - a)
            columns[:, self.n] = slope * (1 - t) / (b - a) * da
            columns[:, self.n + 1] = -slope * t / (b - a) * db
        return columns
