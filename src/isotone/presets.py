"""Several settings behind one scanner's name: found by how its images deviate, each with a curve of its own."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isotone.brightness import Brightness
from isotone.curves import ToneCurve
from isotone.data.sample import Sample
from isotone.deviation import Deviation
from isotone.scanner import ScannerFit, ScannerSettings, fit_scanner
from isotone.views import Described

Floats = NDArray[np.float64]

MOST = 3
"""Presets that are looked for."""
RESAMPLES = 20
"""Of the reference's residuals: none of them may look as much like several presets as the source does."""
FEWEST = 10
"""Images that a preset must have for a curve of its own."""
ROUNDS = 3


def find_presets(
    source: Described, reference: Described, scanner: ScannerFit, level: Brightness, seed: int
) -> list[ToneCurve]:
    """The curves of a scanner's presets; its one curve where there is nothing to tell them by.

    A mixture of Gaussians must explain the deviations of the source's images better than it explains any resample of
    the reference's as large. Then each group of images gets a curve, each image the curve that leaves it nearest to
    what its structure lets expect, and so on until no image changes. Where the source differs from the reference in
    more than tone, or shows less of the body, structure is no measure of that, and there is one curve.

    Parameters
    ----------
    source, reference : Described
    scanner : ScannerFit
        Of all images.
    level : Brightness
        Of the reference.
    seed : int

    Returns
    -------
    list of ToneCurve
    """
    if scanner.notes["mismatch"] > scanner.notes["mismatch_limit"] or scanner.notes["window"] < 1:
        return [scanner.curve]
    views = source.views_with(reference.air)
    deviation = Deviation.fit(level, views, scanner.curve(views.quantiles), reference.air)
    rng = np.random.default_rng(seed)
    group, gain = _split(deviation.white(deviation.of(views, scanner.curve(views.quantiles))), seed)
    by_chance = (
        _split(deviation.white(level.residuals[rng.integers(0, len(reference), len(views))]), seed)[1]
        for _ in range(RESAMPLES)
    )
    if gain <= 0 or any(gain <= other for other in by_chance):
        return [scanner.curve]
    curves = [scanner.curve]
    for _ in range(ROUNDS):
        members = [np.flatnonzero(group == k).tolist() for k in np.unique(group)]
        members = [m for m in members if len(m) >= FEWEST]
        if len(members) < 2:
            return [scanner.curve]
        curves = [_curve([source[i] for i in m], reference, level, seed) for m in members]
        before, group = group, deviation.nearest(views, curves)
        if np.array_equal(before, group):
            break
    return curves


def _curve(source: Sequence[Sample], reference: Sequence[Sample], level: Brightness, seed: int) -> ToneCurve:
    settings = ScannerSettings(resamples=0)
    return fit_scanner(source, reference, level=level, labels=False, settings=settings, seed=seed).curve


def _split(points: Floats, seed: int) -> tuple[NDArray[np.intp], float]:
    """The groups of the likeliest mixture, and how much less its Bayesian information criterion is than of no groups'.

    Parameters
    ----------
    points : float64 array of shape (n, k)
        Whitened by the reference.
    """
    from sklearn.mixture import GaussianMixture

    fits = [
        GaussianMixture(count, covariance_type="tied", reg_covar=0.05, random_state=seed).fit(points)
        for count in range(1, min(MOST, len(points) // FEWEST) + 1)
    ]
    if not fits:
        return np.zeros(len(points), np.intp), 0.0
    criteria = [fit.bic(points) for fit in fits]
    best = int(np.argmin(criteria))
    return np.asarray(fits[best].predict(points), np.intp), float(criteria[0] - criteria[best])
