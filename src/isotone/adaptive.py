"""How much of each image's own deviation to take back: as much as validation says it earns, often nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone.brightness import Brightness
from isotone.curves import ToneCurve
from isotone.data.sample import Sample
from isotone.deviation import Deviation
from isotone.foreground import regions
from isotone.matching import FrozenClassifier
from isotone.views import Views, shows_air, take_views

Floats = NDArray[np.float64]

COMPONENTS = 6
"""Directions in which an image may deviate."""
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
FOLDS = 5
FEWEST = 20
"""Labelled source images below which the reference's held-out images validate instead."""
WIDEST = 3.0
"""Deviations beyond this many standard deviations of the source's are cut to it."""


def fit_adaptive(
    source: Sequence[Sample],
    reference: Sequence[Sample],
    scanner: ToneCurve,
    classifier: FrozenClassifier,
    *,
    seed: int = 0,
) -> tuple[Deviation, dict[str, Any]]:
    """Choose the share of the per-image deviations to take back, by nested validation over patients.

    The frozen classifier's log-loss decides: on the labelled images of the source, or, without labels, on held-out
    images of the reference, each made to deviate as much further as the source's images do. A share above 0 is kept
    only where, on patients who had no say in its choice, it beats the scanner's curve alone by more than a standard
    error.

    Parameters
    ----------
    source, reference : sequence of Sample
        With the classifier's input; source labels where they may be read.
    scanner : ToneCurve
        Source domain → reference domain.
    classifier : FrozenClassifier
    seed : int

    Returns
    -------
    Deviation
        Of strength 0 where the deviations do not earn their place.
    dict
        Ready for JSON: strength, gain in log-loss and its standard error, how many images of which side validated,
        and the variance of the source's deviations as a multiple of the reference's.
    """
    parts = [regions(s) for s in reference]
    air = shows_air(parts)
    theirs, ours = take_views(reference, parts, air), take_views(source, [regions(s) for s in source], air)
    mapped = scanner(ours.quantiles)
    model, residuals, deviations = _describe(theirs, ours, mapped, air, seed)
    classes = list(classifier.config.classes)
    labelled = [i for i, s in enumerate(source) if s.label in classes]
    if len(labelled) >= FEWEST and len({source[i].label for i in labelled}) > 1:
        kept, origin, samples, views = labelled, "source", source, ours
        start, before, found = scanner, mapped, deviations
        added = np.zeros_like(found)
    else:
        kept = [i for i, s in enumerate(reference) if s.label in classes and s.split != "train"]
        kept = kept or [i for i, s in enumerate(reference) if s.label in classes]
        origin, samples, views = "reference", reference, theirs
        start, before, found = ToneCurve(), theirs.quantiles, residuals
        added = np.random.default_rng(seed).standard_normal(found.shape) @ _excess(residuals, deviations)
    curves = [
        [start.then(model.correction(before[i], share * (found[i] + added[i]) - added[i])) for i in kept]
        for share in STRENGTHS
    ]
    chosen = [samples[i] for i in kept]
    losses = np.stack([_losses(chosen, row, classifier) for row in curves], 1)
    strength, gain, error = _nested(losses, views.patients[kept], seed)
    notes = {
        "strength": strength,
        "gain": gain,
        "standard_error": error,
        "validated_on": origin,
        "validation_images": len(kept),
        "variance_ratio": float(deviations.var(0).sum() / residuals.var(0).sum()),
    }
    return replace(model, strength=strength), notes


def _describe(theirs: Views, ours: Views, mapped: Floats, air: bool, seed: int) -> tuple[Deviation, Floats, Floats]:
    """The model, and the deviations of the reference's images (each from other patients' alone) and the source's."""
    level = Brightness(theirs, COMPONENTS, seed)
    found = level.scores(mapped) - level.expect(ours.structure)
    model = Deviation(
        air, level.mean, level.axes, level.weights, level.offset + found.mean(0), WIDEST * found.std(0), strength=0.0
    )
    return model, level.scores(theirs.quantiles) - level.expected, model.of(ours, mapped)


def _excess(residuals: Floats, deviations: Floats) -> Floats:
    """A root of the covariance that the source's deviations have beyond the reference's, and beyond chance.

    Chance goes to the edge of Wachter's law: so far apart do the variances of two samples of one population lie along
    their best direction (Wachter 1980, doi:10.1214/aos/1176345134).
    """
    count = residuals.shape[1]
    ours, theirs = (min(count / len(each), 0.9) for each in (deviations, residuals))
    edge = ((1 + np.sqrt(ours + theirs - ours * theirs)) / (1 - theirs)) ** 2
    scale, axes = np.linalg.eigh(np.cov(residuals.T).reshape(count, count))
    white = axes / np.sqrt(np.maximum(scale, 1e-12))
    ratio, directions = np.linalg.eigh(white.T @ np.cov(deviations.T).reshape(count, count) @ white)
    beyond = np.sqrt(np.where(ratio > edge, ratio - 1, 0))
    return np.asarray((directions * beyond).T @ (axes * np.sqrt(np.maximum(scale, 1e-12))).T)


def _losses(samples: Sequence[Sample], curves: Sequence[ToneCurve], classifier: FrozenClassifier) -> Floats:
    """The frozen classifier's log-loss on each image behind its curve."""
    prepared = np.stack([c(np.asarray(s.prepared)) for s, c in zip(samples, curves, strict=True)]).astype(np.float32)
    classes = list(classifier.config.classes)
    true = [classes.index(str(s.label)) for s in samples]
    said = classifier.predict(prepared)[np.arange(len(true)), true]
    return np.asarray(-np.log(np.maximum(said, 1e-6)))


def _nested(losses: Floats, patients: NDArray[np.intp], seed: int) -> tuple[float, float, float]:
    """The strength, and its gain on patients who had no say in it with the standard error.

    Parameters
    ----------
    losses : float64 array of shape (n, strengths)
        The first column is strength 0.
    patients : integer array of shape (n,)
    seed : int
    """
    names, number = np.unique(patients, return_inverse=True)
    fold = np.random.default_rng(seed).permutation(len(names))[number] % FOLDS
    gain = np.zeros(len(losses))
    for k in range(FOLDS):
        held, rest = fold == k, fold != k
        if held.any() and rest.any():
            gain[held] = losses[held, 0] - losses[held, losses[rest].mean(0).argmin()]
    each = np.bincount(number, weights=gain) / np.bincount(number)
    error = float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else float("inf")
    earned = each.mean() > error
    return STRENGTHS[int(losses.mean(0).argmin())] if earned else 0.0, float(each.mean()), error
