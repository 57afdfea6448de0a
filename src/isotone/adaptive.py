"""How much of each image's own deviation to take back: as much as validation says it earns, often nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone.brightness import Brightness
from isotone.curves import ToneCurve
from isotone.data.sample import Sample
from isotone.deviation import COMPONENTS, Deviation, covariance, whitening
from isotone.matching import FrozenClassifier
from isotone.presets import find_presets
from isotone.scanner import ScannerFit
from isotone.views import described

Floats = NDArray[np.float64]

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
FOLDS = 5
FEWEST = 20
"""Labelled source images below which the reference's held-out images validate instead."""


@dataclass(frozen=True)
class AdaptiveFit:
    """A scanner's presets and how far its images deviate from them.

    Attributes
    ----------
    presets : list of ToneCurve
        Source domain → reference domain; one, unless the scanner was run with several settings.
    deviation : Deviation
        Of strength 0 where the deviations do not earn their place.
    notes : dict
        Ready for JSON: images of each preset, strength, gain in log-loss and its standard error, how many images of
        which side validated, and the variance of the source's deviations as a multiple of the reference's.
    """

    presets: list[ToneCurve]
    deviation: Deviation
    notes: dict[str, Any]

    @property
    def plain(self) -> bool:
        """Whether one curve for all images is as good."""
        return len(self.presets) == 1 and not self.deviation.strength


def fit_adaptive(
    source: Sequence[Sample],
    reference: Sequence[Sample],
    scanner: ScannerFit,
    classifier: FrozenClassifier,
    *,
    seed: int = 0,
) -> AdaptiveFit:
    """Tell presets apart, and choose the share of the per-image deviations to take back by nested validation.

    The frozen classifier's log-loss decides: on the labelled images of the source, or, without labels, on held-out
    images of the reference, each made to deviate as much further as the source's images do. A share above 0 is kept
    only where, on patients who had no say in its choice, it beats the preset's curve alone by more than a standard
    error. Where the source differs from the reference in more than tone, structure is no measure of what an image ought
    to be: then there are no presets, and without labels no share. Nor is there one without labels where the source's
    images deviate no further than the reference's do.

    Parameters
    ----------
    source, reference : sequence of Sample
        With the classifier's input; source labels where they may be read.
    scanner : ScannerFit
        Of these samples.
    classifier : FrozenClassifier
    seed : int
    """
    reference = described(reference)
    air, theirs = reference.air, reference.views
    ours = described(source).views_with(air)
    level = Brightness(theirs, COMPONENTS, seed)
    residuals = level.scores(theirs.quantiles) - level.expected
    model = Deviation.fit(level, residuals, ours, scanner.curve(ours.quantiles), air)
    alike = scanner.notes["mismatch"] <= scanner.notes["mismatch_limit"]
    presets = [scanner.curve]
    if alike:
        presets = find_presets(source, ours, reference, residuals, scanner.curve, model, seed)
    group = model.nearest(ours, presets)
    mapped = np.stack([presets[k](q) for k, q in zip(group, ours.quantiles, strict=True)])
    model = Deviation.fit(level, residuals, ours, mapped, air)
    deviations = model.of(ours, mapped)
    classes = list(classifier.config.classes)
    labelled = [i for i, s in enumerate(source) if s.label in classes]
    if len(labelled) >= FEWEST and len({source[i].label for i in labelled}) > 1:
        kept, origin, samples, views = labelled, "source", source, ours
        starts, before, found = [presets[k] for k in group], mapped, deviations
        added, trusted = np.zeros_like(found), True
    else:
        kept = [i for i, s in enumerate(reference) if s.label in classes and s.split != "train"]
        kept = kept or [i for i, s in enumerate(reference) if s.label in classes]
        origin, samples, views = "reference", reference, theirs
        starts, before, found = [ToneCurve()] * len(reference), theirs.quantiles, residuals
        excess = _excess(residuals, deviations)
        added = np.random.default_rng(seed).standard_normal(found.shape) @ excess
        trusted = alike and bool(excess.any())
    curves = [
        [starts[i].then(model.correction(before[i], share * (found[i] + added[i]) - added[i])) for i in kept]
        for share in STRENGTHS
    ]
    chosen = [samples[i] for i in kept]
    losses = np.stack([_losses(chosen, row, classifier) for row in curves], 1)
    strength, gain, error = _nested(losses, views.patients[kept], seed)
    if not trusted:
        strength = 0.0
    notes = {
        "preset_images": np.bincount(group, minlength=len(presets)).tolist(),
        "strength": strength,
        "gain": gain,
        "standard_error": error,
        "validated_on": origin,
        "validation_images": len(kept),
        "variance_ratio": float(deviations.var(0).sum() / residuals.var(0).sum()),
    }
    return AdaptiveFit(presets, replace(model, strength=strength), notes)


def _excess(residuals: Floats, deviations: Floats) -> Floats:
    """A root of the covariance that the source's deviations have beyond the reference's, and beyond chance.

    Chance goes to the edge of Wachter's law: so far apart do the variances of two samples of one population lie along
    their best direction (Wachter 1980, doi:10.1214/aos/1176345134).
    """
    count = residuals.shape[1]
    ours, theirs = (min(count / len(each), 0.9) for each in (deviations, residuals))
    edge = ((1 + np.sqrt(ours + theirs - ours * theirs)) / (1 - theirs)) ** 2
    white = whitening(residuals)
    ratio, directions = np.linalg.eigh(covariance(deviations @ white))
    beyond = np.sqrt(np.where(ratio > edge, ratio - 1, 0))
    return np.asarray((directions * beyond).T @ np.linalg.inv(white))


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
