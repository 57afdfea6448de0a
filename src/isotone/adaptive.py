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
from isotone.deviation import Deviation, chance_edge, covariance, whitening
from isotone.matching import FrozenClassifier
from isotone.nuisance import Nuisance
from isotone.presets import find_presets
from isotone.scanner import ScannerFit
from isotone.views import Views, described

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
        Ready for JSON: images of each preset, whether deviations tell the label on the reference, strength, of which
        the trust in structure is a factor, gain in log-loss and its standard error, how many images of which side
        validated, and the variance of the source's deviations as a multiple of the reference's.
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
    level: Brightness,
    classifier: FrozenClassifier,
    *,
    seed: int = 0,
) -> AdaptiveFit:
    """Tell presets apart, and choose the share of the per-image deviations to take back by nested validation.

    Where deviations tell the label on the reference, only what leaves the classes apart may be taken back
    (`isotone.nuisance`). The share must earn its place: on patients who had no say in its choice, the log-loss of the
    frozen classifier must fall by more than a standard error. It is asked on the labelled images of the source, or,
    without labels, on held-out images of the reference, each made to deviate as much further as the source's do. Where
    the source differs from the reference in more than tone, structure is no measure of what an image ought to be: then
    there are no presets, and less is taken back the less it holds.

    Parameters
    ----------
    source, reference : sequence of Sample
        With the classifier's input; source labels where they may be read.
    scanner : ScannerFit
        Of these samples.
    level : Brightness
        Of the reference.
    classifier : FrozenClassifier
    seed : int
    """
    source, reference = described(source), described(reference)
    theirs, ours = reference.views, source.views_with(reference.air)
    presets = find_presets(source, reference, scanner, level, seed)
    model = Deviation.fit(level, ours, scanner.curve(ours.quantiles), reference.air)
    group = model.nearest(ours, presets)
    mapped = np.stack([presets[k](q) for k, q in zip(group, ours.quantiles, strict=True)])
    model = Deviation.fit(level, ours, mapped, reference.air)
    deviations = model.of(ours, mapped)
    classes = list(classifier.config.classes)
    known = np.isin(theirs.labels, classes)
    nuisance = Nuisance.fit(level.residuals[known], theirs.labels[known], theirs.patients[known], seed)
    notes = {
        "preset_images": np.bincount(group, minlength=len(presets)).tolist(),
        "variance_ratio": float(deviations.var(0).sum() / level.residuals.var(0).sum()),
        "tells_label": nuisance.tells,
        "strength": 0.0,
    }
    model = replace(model, part=nuisance.part)
    if not nuisance.part.any():
        return AdaptiveFit(presets, model, notes)
    labelled = np.isin(ours.labels, classes)
    if labelled.sum() >= FEWEST and len(np.unique(ours.labels[labelled])) > 1:
        starts, added = [presets[k] for k in group], np.zeros_like(deviations)
        trial = _Trial("source", source, ours.patients, starts, mapped, deviations, added)
    else:
        held = known & np.array([s.split != "train" for s in reference])
        labelled = held if held.any() else known
        drawn = np.random.default_rng(seed).standard_normal(level.residuals.shape)
        starts, added = [ToneCurve()] * len(reference), drawn @ _excess(level.residuals, deviations)
        trial = _Trial("reference", reference, theirs.patients, starts, theirs.quantiles, level.residuals, added)
    kept = np.flatnonzero(labelled)
    strength, gain, error = _earned(trial.losses(kept, model, classifier), trial.patients[kept], seed)
    trust = _trust(level, ours, mapped, scanner.notes["mismatch"])
    strength *= trust
    notes |= {"strength": strength, "trust": trust, "gain": gain, "standard_error": error}
    notes |= {"validated_on": trial.name, "validation_images": len(kept)}
    return AdaptiveFit(presets, replace(model, strength=strength), notes)


@dataclass(frozen=True)
class _Trial:
    """A side's images, the curves and quantiles before anything is taken back, deviations and what is added to them."""

    name: str
    samples: Sequence[Sample]
    patients: NDArray[np.intp]
    starts: Sequence[ToneCurve]
    mapped: Floats
    deviations: Floats
    added: Floats

    def losses(self, kept: NDArray[np.intp], model: Deviation, classifier: FrozenClassifier) -> Floats:
        """The frozen classifier's log-loss on the images behind each share, shape (n, shares)."""
        classes = list(classifier.config.classes)
        true = [classes.index(str(self.samples[i].label)) for i in kept]
        result = np.zeros((len(kept), len(STRENGTHS)))
        for column, share in enumerate(STRENGTHS):
            taken = share * (self.deviations + self.added) @ model.part - self.added
            curves = [self.starts[i].then(model.correction(self.mapped[i], taken[i])) for i in kept]
            prepared = [curve(np.asarray(self.samples[i].prepared)) for i, curve in zip(kept, curves, strict=True)]
            said = classifier.predict(np.stack(prepared).astype(np.float32))[np.arange(len(true)), true]
            result[:, column] = -np.log(np.maximum(said, 1e-6))
        return result


def _trust(level: Brightness, ours: Views, mapped: Floats, mismatch: float) -> float:
    """How far what structure lets expect holds on the source's images, in [0, 1].

    Its calibration slope there (Cox 1958, doi:10.1093/biomet/45.3-4.562): 1 on images like the reference's, however
    their tone varies; near 0 where their structure says other things. And less the further they lie from those it was
    learned on: the variance of a linear prediction grows with the squared distance of an image, which on the reference
    is the number of its features on average, and here the mismatch more.
    """
    expected = level.expectation.of(ours.structure)
    expected = expected - expected.mean(0)
    slope = float((expected * level.expectation.scores(mapped)).sum() / max((expected**2).sum(), 1e-12))
    features = ours.structure.shape[1]
    return float(min(max(slope, 0), 1) * features / (features + max(mismatch, 0)))


def _excess(residuals: Floats, deviations: Floats) -> Floats:
    """A root of the covariance that the source's deviations have beyond the reference's, and beyond chance."""
    white = whitening(residuals)
    ratio, directions = np.linalg.eigh(covariance(deviations @ white))
    edge = chance_edge(residuals, deviations)
    beyond = np.sqrt(np.where(ratio > edge, ratio - 1, 0))
    return np.asarray((directions * beyond).T @ np.linalg.inv(white))


def _earned(losses: Floats, patients: NDArray[np.intp], seed: int) -> tuple[float, float, float]:
    """The best share, and its gain on patients who had no say in it with the standard error; 0 if it gains no more.

    Parameters
    ----------
    losses : float64 array of shape (n, shares)
        The first column is of no share.
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
    share = STRENGTHS[int(losses.mean(0).argmin())] if each.mean() > error else 0.0
    return share, float(each.mean()), error
