"""Several acquisition modes behind one scanner's name: found by how its images deviate, each with a curve of its own.

Experimental: simulated mixtures of settings gain (docs/results_ideas.md), and no real scanner has shown two modes yet.
A fit looks for them where `FitOptions.modes` asks for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import Descriptors, ImageSet
from isotone.estimation.class_prior import mixed
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.report import FitReport, ModeReport
from isotone.estimation.scanner_curve import VARIES, ScannerCurve, fit_scanner_curve
from isotone.estimation.settings import FitOptions
from isotone.estimation.tone_model import ToneModel
from isotone.estimation.tone_residual import ToneResidual
from isotone.estimation.variance_ratio import VarianceRatio, usual

Floats = NDArray[np.float64]
Groups = NDArray[np.intp]
"""Of each image the number of its mode, shape (n,)."""

MOST = 3
"""Modes that are looked for."""
RESAMPLES = 20
"""Of the reference's residuals: none of them may look as much like several modes as the source does."""
FEWEST = 10
"""Patients that a mode must have for a curve of its own; fewer are odd ones."""
ROUNDS = 3
"""Times at most that the images are dealt to the modes anew."""
WIDEST = 0.05
"""Added to the variances of a mixture, in those of the reference: no component shrinks onto a few images."""


@dataclass(frozen=True)
class Modes:
    """A scanner's curves, one for each acquisition mode, and what tells which of them an image gets.

    Attributes
    ----------
    curves : tuple of ToneCurve
        Source domain → reference domain.
    residual : ToneResidual or None
        None: there is one curve, and the reference is too small to learn residuals from.
    report : FitReport
    """

    curves: tuple[ToneCurve, ...]
    residual: ToneResidual | None
    report: FitReport


def one_mode(source: ImageSet, reference: ReferenceModel, scanner: ScannerCurve) -> Modes:
    """The scanner's one curve for all images."""
    if reference.tone is None:
        return Modes((scanner.curve,), None, scanner.report)
    descriptors = source.descriptors_with(reference.air)
    residual = ToneResidual.fit(reference.tone, descriptors, scanner.curve(descriptors.quantiles), reference.air)
    return Modes((scanner.curve,), residual, scanner.report)


def find_modes(source: ImageSet, reference: ReferenceModel, scanner: ScannerCurve, options: FitOptions) -> Modes:
    """The curves of a scanner's acquisition modes; its one curve where the images show no more.

    They are looked for along the directions in which the images vary more than the reference's, beyond chance. There a
    mixture of Gaussians must explain the residuals of the source's images better, by more for each further mode,
    than it explains any resample of the reference's as large. Then each group of images gets a curve, each image the
    curve that leaves it nearest to what its structure predicts, and so on until no image changes. No label of the
    source is needed, but its class mix is: where that is unknown, groups may be diagnoses, and are not looked for.

    Parameters
    ----------
    source : ImageSet
    reference : ReferenceModel
    scanner : ScannerCurve
        Of all images.
    options : FitOptions
        As of `fit_scanner_curve`.
    """
    single, report = one_mode(source, reference, scanner), scanner.report
    if reference.tone is None or report.variance <= 1 or report.mix_from == "none":
        return single
    found = _Search(source, reference, scanner, options, reference.tone)
    fits = found.fits()
    return single if len(fits) < 2 else found.modes(fits)


@dataclass(frozen=True, eq=False)
class _Search:
    """The steps of `find_modes`."""

    source: ImageSet
    reference: ReferenceModel
    scanner: ScannerCurve
    options: FitOptions
    tone: ToneModel

    @property
    def descriptors(self) -> Descriptors:
        return self.source.descriptors_with(self.reference.air)

    @property
    def weights(self) -> Floats:
        """Of the reference's images, so that its classes are mixed as the source's are."""
        return mixed(self.reference.descriptors.labels, self.scanner.report.mix or {})

    def start(self) -> ToneResidual:
        """Residuals centred on the reference's: under a shared curve the source's own mean mixes several modes."""
        descriptors = self.descriptors
        residual = ToneResidual.fit(
            self.tone, descriptors, self.scanner.curve(descriptors.quantiles), self.reference.air
        )
        return replace(residual, offset=np.average(self.tone.residuals, axis=0, weights=self.weights))

    def fits(self) -> list[ScannerCurve]:
        """A curve for each mode that images are nearest to; fewer than two: there is one mode."""
        start, descriptors = self.start(), self.descriptors
        group = self.groups(start)
        quick = replace(
            self.options, classifier=None, settings=self.options.settings.model_copy(update={"resamples": 0})
        )
        for _ in range(ROUNDS):
            fits = self.fitted(group, quick)
            if len(fits) < 2:
                return []
            before, group = group, start.nearest(descriptors, [fit.curve for fit in fits])
            if np.array_equal(before, group):
                break
        fits = self.fitted(group, self.options)
        kept = np.unique(start.nearest(descriptors, [fit.curve for fit in fits])) if len(fits) > 1 else ()
        return [fits[k] for k in kept]

    def fitted(self, group: Groups, options: FitOptions) -> list[ScannerCurve]:
        """A curve for each group of enough patients."""
        report, classes = self.scanner.report, {s.label for s in self.reference.images}
        mix = report.mix if report.mix_from == "stated" else None
        fits = []
        for k in np.unique(group):
            own = self.source.only(group == k)
            if len({s.patient for s in own}) >= FEWEST:
                labels = report.mix_from == "labels" and any(s.label and s.label in classes for s in own)
                fits.append(fit_scanner_curve(own, self.reference, replace(options, labels=labels, mix=mix)))
        return fits

    def modes(self, fits: Sequence[ScannerCurve]) -> Modes:
        """Deal the images to the curves."""
        descriptors, curves = self.descriptors, tuple(fit.curve for fit in fits)
        behind = self.start().behind(descriptors, curves)
        residual = ToneResidual.fit(self.tone, descriptors, behind, self.reference.air)
        group = residual.nearest(descriptors, curves)
        free = np.stack([fits[k].transport(q) for k, q in zip(group, descriptors.quantiles, strict=True)])
        patients = self.reference.descriptors.patients, descriptors.patients
        left = VarianceRatio.fit(self.tone.residuals, residual.of(descriptors, free), self.weights, patients)
        report, images = self.scanner.report, np.bincount(group, minlength=len(fits)).tolist()
        report = replace(
            report,
            modes=tuple(_of_mode(fit.report, n) for fit, n in zip(fits, images, strict=True)),
            band=None,
            score_interval=None,
            warnings=report.warnings if left.ratios.max() >= VARIES else _but_variance(report.warnings),
        )
        return Modes(curves, residual, report)

    def groups(self, start: ToneResidual) -> Groups:
        """Of each image, by how it deviates: one, where a mixture explains no more than it would by chance."""
        ours, theirs, tone = self.descriptors, self.reference.descriptors, self.tone
        residuals = start.of(ours, self.scanner.transport(ours.quantiles))
        excess = VarianceRatio.fit(tone.residuals, residuals, self.weights, (theirs.patients, ours.patients))
        axes = excess.axes[:, excess.ratios > 1]
        alone = np.zeros(len(ours), np.intp)
        if not axes.size:
            return alone
        seed = self.reference.seed
        groups, gains = split(residuals @ axes, ours.patients, seed)
        chance = 0.0
        for chosen, patients in self.resamples(excess):
            chance = max(chance, *split(tone.residuals[chosen] @ axes, patients, seed)[1])
            if chance >= max(gains):
                return alone
        return groups[int(np.argmax(gains - chance * np.arange(len(gains))))]

    def resamples(self, excess: VarianceRatio) -> list[tuple[Groups, Groups]]:
        """Numbers of images of the reference, drawn as the source is made up, and of their patients.

        Patients are drawn in the source's class mix, each with as many images as one of the source's has; as long as
        there are enough, none twice, for twins look like a mode, and so do odd images beside the others.
        """
        theirs, weights = self.reference.descriptors.patients, self.weights
        rng, counts = np.random.default_rng(self.reference.seed), np.bincount(self.descriptors.patients)
        weights = weights * usual(self.tone.residuals @ excess.axes, weights)
        images = [np.flatnonzero((theirs == p) & (weights > 0)) for p in range(theirs.max() + 1)]
        share = np.bincount(theirs, weights=weights) / weights.sum()
        short = len(counts) > int(np.count_nonzero(share))
        found = []
        for _ in range(RESAMPLES):
            drawn = rng.choice(len(images), len(counts), short, share)
            several = [rng.choice(images[p], n, n > len(images[p])) for p, n in zip(drawn, counts, strict=True)]
            found.append((np.concatenate(several), np.repeat(np.arange(len(counts)), counts)))
        return found


def split(points: Floats, patients: Groups, seed: int) -> tuple[list[Groups], list[float]]:
    """Groups of the likeliest mixtures of one, two … and how much their Bayesian information criteria save on one's.

    Parameters
    ----------
    points : float64 array of shape (n, k)
        Of unit variance on the reference.
    patients : integer array of shape (n,)
        From 0.
    seed : int
    """
    from sklearn.mixture import GaussianMixture

    counts = range(1, max(1, min(MOST, (patients.max() + 1) // FEWEST)) + 1)
    fits = [
        GaussianMixture(count, covariance_type="full", reg_covar=WIDEST, random_state=seed).fit(points)
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


def _of_mode(report: FitReport, images: int) -> ModeReport:
    return ModeReport(
        images=images,
        free=report.free,
        projection_rmse_levels_8bit=report.projection_rmse_levels_8bit,
        clipped_share=report.clipped_share,
        band=report.band,
        score_interval=report.score_interval,
        warnings=tuple(_but_variance(report.warnings)),
    )


def _but_variance(warnings: Sequence[str]) -> tuple[str, ...]:
    return tuple(warning for warning in warnings if not warning.startswith("W_VARIES"))
