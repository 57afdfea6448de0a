"""Several settings behind one scanner's name: found by how its images deviate, each with a curve of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isotone.brightness import Brightness
from isotone.curves import ToneCurve
from isotone.data.sample import Sample
from isotone.deviation import Deviation
from isotone.excess import Excess
from isotone.mix import mixed
from isotone.scanner import ScannerFit, ScannerSettings, fit_scanner
from isotone.views import Described

Floats = NDArray[np.float64]

MOST = 3
"""Presets that are looked for."""
RESAMPLES = 20
"""Of the reference's residuals: none of them may look as much like several presets as the source does."""
FEWEST = 10
"""Images that a preset must have for a curve of its own; fewer are odd ones."""
ROUNDS = 3


@dataclass(frozen=True)
class Presets:
    """A scanner's curves, one for each setting, and how its images deviate behind them.

    Attributes
    ----------
    curves : list of ToneCurve
        Source domain → reference domain; one, unless the scanner was run with several settings.
    deviation : Deviation
        Tells which curve an image gets.
    images : list of int
        That each curve is for.
    mapped : float64 array of shape (n, q)
        Quantiles of the source's images, each behind its curve.
    excess : Excess
        How much further the images vary there than the reference's.
    """

    curves: list[ToneCurve]
    deviation: Deviation
    images: list[int]
    mapped: Floats
    excess: Excess

    @property
    def variance(self) -> float:
        """The most that the images vary, as a multiple of what the reference's do; 1 by chance."""
        return float(self.excess.ratios.max())


def find_presets(
    source: Described,
    reference: Described,
    scanner: ScannerFit,
    level: Brightness,
    settings: ScannerSettings,
    seed: int,
) -> Presets:
    """The curves of a scanner's presets; its one curve where there is nothing to tell them by.

    They are looked for along the directions in which the images vary more than the reference's, beyond chance. There a
    mixture of Gaussians must explain the deviations of the source's images better than it explains any resample of the
    reference's as large. Then each group of images gets a curve, each image the curve that leaves it nearest to what
    its structure lets expect, and so on until no image changes. No label of the source is read.

    Parameters
    ----------
    source, reference : Described
    scanner : ScannerFit
        Of all images.
    level : Brightness
        Of the reference.
    settings : ScannerSettings
    seed : int
    """
    views = source.views_with(reference.air)
    start = Deviation.fit(level, views, scanner.curve(views.quantiles), reference.air)
    curves = [scanner.curve]
    if scanner.notes["variance"] > 1:
        curves = _curves(source, reference, scanner, start, level, settings, seed)
    return deal(source, reference, scanner, level, curves, start)


def deal(
    source: Described,
    reference: Described,
    scanner: ScannerFit,
    level: Brightness,
    curves: Sequence[ToneCurve],
    start: Deviation,
) -> Presets:
    """Deal the images to the curves; `start` tells which leaves each nearest to what its structure lets expect."""
    views = source.views_with(reference.air)
    group = start.nearest(views, curves)
    mapped = np.stack([curves[k](q) for k, q in zip(group, views.quantiles, strict=True)])
    deviation = Deviation.fit(level, views, mapped, reference.air)
    excess = Excess.fit(level.residuals, deviation.of(views, mapped), _mixed(reference, scanner))
    return Presets(list(curves), deviation, np.bincount(group, minlength=len(curves)).tolist(), mapped, excess)


def _curves(
    source: Described,
    reference: Described,
    scanner: ScannerFit,
    start: Deviation,
    level: Brightness,
    settings: ScannerSettings,
    seed: int,
) -> list[ToneCurve]:
    views = source.views_with(reference.air)
    deviations = start.of(views, scanner.curve(views.quantiles))
    excess = Excess.fit(level.residuals, deviations, _mixed(reference, scanner))
    axes, rng = excess.axes[:, excess.ratios > 1], np.random.default_rng(seed)
    if not axes.size:
        return [scanner.curve]
    group, gain = _split(deviations @ axes, seed)
    by_chance = (
        _split(level.residuals[rng.integers(0, len(reference), len(views))] @ axes, seed)[1] for _ in range(RESAMPLES)
    )
    if any(gain <= other for other in by_chance):
        return [scanner.curve]
    curves, quick = [scanner.curve], settings.model_copy(update={"resamples": 0})
    for _ in range(ROUNDS):
        members = [np.flatnonzero(group == k).tolist() for k in np.unique(group)]
        members = [m for m in members if len(m) >= FEWEST]
        if len(members) < 2:
            return [scanner.curve]
        curves = [_curve([source[i] for i in m], reference, level, quick, seed) for m in members]
        before, group = group, start.nearest(views, curves)
        if np.array_equal(before, group):
            break
    return [curves[k] for k in np.unique(group)]


def _curve(
    source: Sequence[Sample], reference: Sequence[Sample], level: Brightness, settings: ScannerSettings, seed: int
) -> ToneCurve:
    return fit_scanner(source, reference, level=level, labels=False, settings=settings, seed=seed).curve


def _mixed(reference: Described, scanner: ScannerFit) -> Floats:
    """Weights of the reference's images, so that its classes are mixed as the source's are."""
    return mixed(reference.views.labels, scanner.notes["mix"] or {})


def _split(points: Floats, seed: int) -> tuple[NDArray[np.intp], float]:
    """The groups of the likeliest mixture, and how much less its Bayesian information criterion is than of no groups'.

    Parameters
    ----------
    points : float64 array of shape (n, k)
        Of unit variance on the reference.
    """
    from sklearn.mixture import GaussianMixture

    counts = range(1, max(1, min(MOST, len(points) // FEWEST)) + 1)
    fits = [
        GaussianMixture(count, covariance_type="tied", reg_covar=0.05, random_state=seed).fit(points)
        for count in counts
    ]
    groups = [np.asarray(fit.predict(points), np.intp) for fit in fits]
    plain = fits[0].bic(points)
    gains = [
        float(plain - fit.bic(points)) if np.bincount(group, minlength=count).min() >= FEWEST else 0.0
        for count, fit, group in zip(counts, fits, groups, strict=True)
    ]
    best = int(np.argmax(gains))
    return groups[best], gains[best]
