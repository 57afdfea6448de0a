"""Several settings behind one scanner's name: found by how its images deviate, each with a curve of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isotone.brightness import Brightness
from isotone.curves import ToneCurve
from isotone.deviation import Deviation
from isotone.excess import Excess
from isotone.matching import FrozenClassifier
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
    fits : list of ScannerFit
        One for each setting; one, unless the scanner was run with several.
    deviation : Deviation
        Tells which curve an image gets.
    images : list of int
        That each curve is for.
    mapped : float64 array of shape (n, q)
        Quantiles of the source's images, each behind its curve.
    excess : Excess
        How much further the images vary there than the reference's.
    """

    fits: list[ScannerFit]
    deviation: Deviation
    images: list[int]
    mapped: Floats
    excess: Excess

    @property
    def curves(self) -> list[ToneCurve]:
        """Source domain → reference domain."""
        return [fit.curve for fit in self.fits]

    @property
    def variance(self) -> float:
        """The most that the images vary, as a multiple of what the reference's do; 1 by chance."""
        return float(self.excess.ratios.max())


def find_presets(
    source: Described,
    reference: Described,
    scanner: ScannerFit,
    level: Brightness,
    classifier: FrozenClassifier | None,
    settings: ScannerSettings,
    seed: int,
) -> Presets:
    """The fits of a scanner's presets; its one fit where there is nothing to tell them by.

    They are looked for along the directions in which the images vary more than the reference's, beyond chance. There a
    mixture of Gaussians must explain the deviations of the source's images better than it explains any resample of the
    reference's as large. Then each group of images gets a curve, each image the curve that leaves it nearest to what
    its structure lets expect, and so on until no image changes. No label of the source is needed.

    Parameters
    ----------
    source, reference : Described
    scanner : ScannerFit
        Of all images.
    level : Brightness
        Of the reference.
    classifier : Classifier or None
        As of `fit_scanner`.
    settings : ScannerSettings
    seed : int
    """
    views = source.views_with(reference.air)
    start = Deviation.fit(level, views, scanner.curve(views.quantiles), reference.air)
    fits = [scanner]
    if scanner.notes["variance"] > 1:
        fits = _fits(source, reference, scanner, start, level, classifier, settings, seed)
    return deal(source, reference, scanner, level, fits, start)


def deal(
    source: Described,
    reference: Described,
    scanner: ScannerFit,
    level: Brightness,
    fits: Sequence[ScannerFit],
    start: Deviation,
) -> Presets:
    """Deal the images to the curves; `start` tells which leaves each nearest to what its structure lets expect."""
    views = source.views_with(reference.air)
    curves = [fit.curve for fit in fits]
    group = start.nearest(views, curves)
    mapped = np.stack([curves[k](q) for k, q in zip(group, views.quantiles, strict=True)])
    deviation = Deviation.fit(level, views, mapped, reference.air)
    excess = Excess.fit(level.residuals, deviation.of(views, mapped), _mixed(reference, scanner))
    return Presets(list(fits), deviation, np.bincount(group, minlength=len(fits)).tolist(), mapped, excess)


def _fits(
    source: Described,
    reference: Described,
    scanner: ScannerFit,
    start: Deviation,
    level: Brightness,
    classifier: FrozenClassifier | None,
    settings: ScannerSettings,
    seed: int,
) -> list[ScannerFit]:
    views = source.views_with(reference.air)
    group = _groups(source, reference, scanner, start, level, seed)
    stated = scanner.notes["mix"] if scanner.notes["mix_from"] == "stated" else None

    def fitted(settings: ScannerSettings, classifier: FrozenClassifier | None) -> list[ScannerFit]:
        members = [[source[i] for i in np.flatnonzero(group == k)] for k in np.unique(group)]
        return [
            fit_scanner(own, reference, classifier=classifier, level=level, mix=stated, settings=settings, seed=seed)
            for own in members
            if len(own) >= FEWEST
        ]

    for _ in range(ROUNDS):
        quick = fitted(settings.model_copy(update={"resamples": 0}), None)
        if len(quick) < 2:
            return [scanner]
        before, group = group, start.nearest(views, [fit.curve for fit in quick])
        if np.array_equal(before, group):
            break
    fits = fitted(settings, classifier)
    return fits if len(fits) > 1 else [scanner]


def _groups(
    source: Described, reference: Described, scanner: ScannerFit, start: Deviation, level: Brightness, seed: int
) -> NDArray[np.intp]:
    """Of each image, by how it deviates: one, where a mixture explains no more than it would by chance."""
    views = source.views_with(reference.air)
    deviations = start.of(views, scanner.curve(views.quantiles))
    excess = Excess.fit(level.residuals, deviations, _mixed(reference, scanner))
    axes, rng = excess.axes[:, excess.ratios > 1], np.random.default_rng(seed)
    alone = np.zeros(len(views), np.intp)
    if not axes.size:
        return alone
    group, gain = _split(deviations @ axes, seed)
    by_chance = (
        _split(level.residuals[rng.integers(0, len(reference), len(views))] @ axes, seed)[1] for _ in range(RESAMPLES)
    )
    return group if all(gain > other for other in by_chance) else alone


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
