"""Several settings behind one scanner's name: found by how its images deviate, each with a curve of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import Described
from isotone.estimation.class_prior import mixed
from isotone.estimation.matching import FrozenClassifier
from isotone.estimation.scanner_curve import ScannerFit, ScannerSettings, fit_scanner
from isotone.estimation.tone_model import Brightness
from isotone.estimation.tone_residual import Deviation
from isotone.estimation.variance_ratio import Excess, usual

Floats = NDArray[np.float64]

MOST = 3
"""Presets that are looked for."""
RESAMPLES = 20
"""Of the reference's residuals: none of them may look as much like several presets as the source does."""
FEWEST = 10
"""Patients that a preset must have for a curve of its own; fewer are odd ones."""
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
    level : Brightness
        Of the reference.
    """

    fits: list[ScannerFit]
    deviation: Deviation
    images: list[int]
    mapped: Floats
    excess: Excess
    level: Brightness

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
    level: Brightness | None,
    classifier: FrozenClassifier | None,
    settings: ScannerSettings,
    seed: int,
) -> Presets | None:
    """The fits of a scanner's presets; its one fit where there is nothing to tell them by.

    They are looked for along the directions in which the images vary more than the reference's, beyond chance. There a
    mixture of Gaussians must explain the deviations of the source's images better, by more for each further preset,
    than it explains any resample of the reference's as large. Then each group of images gets a curve, each image the
    curve that leaves it nearest to what its structure lets expect, and so on until no image changes. No label of the
    source is needed, but its class mix is: where that is unknown, groups may be diagnoses, and are not looked for.

    Parameters
    ----------
    source, reference : Described
    scanner : ScannerFit
        Of all images.
    level : Brightness or None
        Of the reference; without it there is nothing to tell presets by, and the answer is None.
    classifier : Classifier or None
        As of `fit_scanner`.
    settings : ScannerSettings
    seed : int
    """
    if level is None:
        return None
    views = source.views_with(reference.air)
    start = Deviation.fit(level, views, scanner.curve(views.quantiles), reference.air)
    # Behind its own curve an image deviates as the reference's do; behind one curve for all of them the mean does not.
    start = replace(start, offset=np.average(level.residuals, axis=0, weights=_mixed(reference, scanner)))
    fits = [scanner]
    if scanner.notes["variance"] > 1 and scanner.notes["mix_from"] != "none":
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
    """Deal the images to the curves; `start` tells which of them are of use at all."""
    views = source.views_with(reference.air)
    fits = [fits[k] for k in np.unique(start.nearest(views, [fit.curve for fit in fits]))]
    curves = [fit.curve for fit in fits]
    deviation = Deviation.fit(level, views, start.behind(views, curves), reference.air)
    group, mapped = deviation.nearest(views, curves), deviation.behind(views, curves)
    free = np.stack([fits[k].transport(q) for k, q in zip(group, views.quantiles, strict=True)])
    patients = reference.views.patients, views.patients
    excess = Excess.fit(level.residuals, deviation.of(views, free), _mixed(reference, scanner), patients)
    return Presets(fits, deviation, np.bincount(group, minlength=len(fits)).tolist(), mapped, excess, level)


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
    mix_from, classes = scanner.notes["mix_from"], {s.label for s in reference}

    def fitted(settings: ScannerSettings, classifier: FrozenClassifier | None) -> list[ScannerFit]:
        members = [[source[i] for i in np.flatnonzero(group == k)] for k in np.unique(group)]
        return [
            fit_scanner(
                own,
                reference,
                classifier=classifier,
                level=level,
                labels=mix_from == "labels" and any(s.label and s.label in classes for s in own),
                mix=scanner.notes["mix"] if mix_from == "stated" else None,
                settings=settings,
                seed=seed,
            )
            for own in members
            if len({s.patient for s in own}) >= FEWEST
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


def _mixed(reference: Described, scanner: ScannerFit) -> Floats:
    """Weights of the reference's images, so that its classes are mixed as the source's are."""
    return mixed(reference.views.labels, scanner.notes["mix"] or {})


def _groups(
    source: Described, reference: Described, scanner: ScannerFit, start: Deviation, level: Brightness, seed: int
) -> NDArray[np.intp]:
    """Of each image, by how it deviates: one, where a mixture explains no more than it would by chance."""
    ours, theirs = source.views_with(reference.air), reference.views
    deviations = start.of(ours, scanner.transport(ours.quantiles))
    weights = _mixed(reference, scanner)
    excess = Excess.fit(level.residuals, deviations, weights, (theirs.patients, ours.patients))
    axes = excess.axes[:, excess.ratios > 1]
    alone = np.zeros(len(ours), np.intp)
    if not axes.size:
        return alone
    groups, gains = _split(deviations @ axes, ours.patients, seed)
    # Patients are drawn, in the source's class mix, each with as many images as one of the source's has; as long as
    # there are enough, none twice, for twins look like a preset, and so do odd images beside the others.
    rng, counts = np.random.default_rng(seed), np.bincount(ours.patients)
    weights = weights * usual(level.residuals @ excess.axes, weights)
    images = [np.flatnonzero((theirs.patients == p) & (weights > 0)) for p in range(theirs.patients.max() + 1)]
    share = np.bincount(theirs.patients, weights=weights) / weights.sum()
    chance, short = 0.0, len(counts) > int(np.count_nonzero(share))
    for _ in range(RESAMPLES):
        drawn = rng.choice(len(images), len(counts), short, share)
        several = [rng.choice(images[p], n, n > len(images[p])) for p, n in zip(drawn, counts, strict=True)]
        chosen = np.concatenate(several)
        found = _split(level.residuals[chosen] @ axes, np.repeat(np.arange(len(counts)), counts), seed)[1]
        chance = max(chance, *found)
        if chance >= max(gains):
            return alone
    return groups[int(np.argmax(gains - chance * np.arange(len(gains))))]


def _split(points: Floats, patients: NDArray[np.intp], seed: int) -> tuple[list[NDArray[np.intp]], list[float]]:
    """Groups of the likeliest mixtures of one, two … and how much their Bayesian information criteria save on one's.

    Parameters
    ----------
    points : float64 array of shape (n, k)
        Of unit variance on the reference.
    patients : integer array of shape (n,)
        From 0.
    """
    from sklearn.mixture import GaussianMixture

    counts = range(1, max(1, min(MOST, (patients.max() + 1) // FEWEST)) + 1)
    fits = [
        GaussianMixture(count, covariance_type="full", reg_covar=0.05, random_state=seed).fit(points)
        for count in counts
    ]
    groups = [np.asarray(fit.predict(points), np.intp) for fit in fits]
    plain = fits[0].bic(points)
    gains = [
        float(plain - fit.bic(points))
        if min(len(np.unique(patients[group == k])) for k in range(count)) >= FEWEST
        else 0.0
        for count, fit, group in zip(counts, fits, groups, strict=True)
    ]
    return groups, gains
