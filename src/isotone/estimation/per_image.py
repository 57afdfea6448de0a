"""What of each image's own deviation to take back: as much as the source varies beyond the reference, often nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import Described, Views, described
from isotone.data.sample import Sample
from isotone.estimation.acquisition_modes import Presets, deal
from isotone.estimation.matching import FrozenClassifier
from isotone.estimation.scanner_curve import ScannerFit
from isotone.estimation.tone_model import Brightness
from isotone.estimation.tone_residual import Deviation
from isotone.estimation.variance_ratio import Excess

Floats = NDArray[np.float64]

DRAWS = 4
"""Times that every validating image is made to vary, and mended."""


@dataclass(frozen=True)
class AdaptiveFit:
    """A scanner's curves and how far its images deviate from them.

    Attributes
    ----------
    presets : Presets
        The scanner's, their curves moved where that earns its place.
    deviation : Deviation
        Of strength 0 where the deviations do not earn their place.
    notes : dict
        Ready for JSON: the largest variance of the source's deviations as a multiple of the reference's, strength,
        gain in cross-entropy and its standard error, and how many images validated.
    """

    presets: Presets
    deviation: Deviation
    notes: dict[str, Any]


def fit_adaptive(
    source: Sequence[Sample],
    reference: Sequence[Sample],
    scanner: ScannerFit,
    presets: Presets,
    classifier: FrozenClassifier,
    *,
    seed: int = 0,
) -> AdaptiveFit:
    """Take back what the source's images vary beyond the reference's.

    Before that the curves are moved to where structure lets the mean image expect them: where images vary, their grey
    levels tell less well where their middle ought to be. Both must earn their place: held-out images of the reference,
    made to vary as the source's do and mended again, must agree better with what the frozen classifier says of them as
    they are, by more than a standard error. Where the source differs from the reference in more than tone, structure is
    no measure of what an image ought to be: then the curves stay, less is taken back the less structure holds, and
    nothing where the source shows less of the body. No label of the source is read.

    Parameters
    ----------
    source, reference : sequence of Sample
        The reference's with the classifier's input.
    scanner : ScannerFit
        Of these samples.
    presets : Presets
        Of that fit.
    classifier : FrozenClassifier
    seed : int
    """
    source, reference = described(source), described(reference)
    ours, level = source.views_with(reference.air), presets.level
    notes: dict[str, Any] = {"variance": presets.variance, "strength": 0.0}
    if presets.variance == 1 or scanner.notes["window"] < 1:
        return AdaptiveFit(presets, presets.deviation, notes)
    moved, mismatch = presets, scanner.notes["mismatch"]
    if mismatch <= scanner.notes["mismatch_limit"]:
        model, mapped = presets.deviation, presets.mapped
        share = _trust(level, ours, mapped, mismatch) * (1 - 1 / presets.variance)
        towards = model.correction(mapped.mean(0), share * model.offset)
        fits = [_then(fit, towards) for fit in presets.fits]
        moved = deal(source, reference, scanner, level, fits, replace(model, offset=np.zeros_like(model.offset)))
    model = replace(moved.deviation, part=moved.excess.share)
    unseen = [i for i, s in enumerate(reference) if not s.trained]
    held = [i for i in unseen if reference[i].split != "train"] or unseen
    if not held:
        return AdaptiveFit(presets, presets.deviation, notes | {"validation_images": 0})
    gain, error = _agreement(model, moved.excess, level, reference, held, classifier, seed)
    notes |= {"gain": gain, "standard_error": error, "validation_images": len(held)}
    strength = _trust(level, ours, moved.mapped, mismatch) if gain > error else 0.0
    if not strength:
        return AdaptiveFit(presets, presets.deviation, notes)
    return AdaptiveFit(moved, replace(model, strength=strength), notes | {"strength": strength})


def _then(fit: ScannerFit, towards: ToneCurve) -> ScannerFit:
    """The fit with its curve, and the band around it, moved."""
    band = fit.notes["band"]
    moved = {side: towards(np.asarray(band[side])).tolist() for side in ("low", "high") if side in band}
    return ScannerFit(fit.curve.then(towards), fit.transport.then(towards), fit.notes | {"band": band | moved})


def _agreement(
    model: Deviation,
    excess: Excess,
    level: Brightness,
    reference: Described,
    held: Sequence[int],
    classifier: FrozenClassifier,
    seed: int,
) -> tuple[float, float]:
    """Cross-entropy to the classifier's own verdicts that taking back saves, and its standard error over patients."""
    quantiles, patients = reference.views.quantiles[held], reference.views.patients[held]
    own = level.residuals[held]

    def said(changes: Floats) -> Floats:
        curves = [model.correction(q, change) for q, change in zip(quantiles, changes, strict=True)]
        images = [curve(np.asarray(reference[i].prepared)) for i, curve in zip(held, curves, strict=True)]
        return np.asarray(classifier.predict(np.stack(images).astype(np.float32)), np.float64)

    verdicts = said(np.zeros_like(own))
    rng, saved = np.random.default_rng(seed), np.zeros(len(held))
    for _ in range(DRAWS):
        added = rng.standard_normal(own.shape) @ excess.root
        for sign, changes in ((1, -added), (-1, (own + added) @ model.part - added)):
            saved -= sign * (verdicts * np.log(np.maximum(said(changes), 1e-6))).sum(1) / DRAWS
    number = np.unique(patients, return_inverse=True)[1]
    each = np.bincount(number, weights=saved) / np.bincount(number)
    error = float(each.std(ddof=1) / np.sqrt(len(each))) if len(each) > 1 else float("inf")
    return float(each.mean()), error


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
