"""The fit of one source scanner, from its images to its curves: the only place in which its steps follow each other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import ImageSet, image_set
from isotone.data.sample import Sample
from isotone.estimation.acquisition_modes import find_modes, one_mode
from isotone.estimation.comparable import comparable
from isotone.estimation.image_blend import ImageBlend
from isotone.estimation.matching import odd_images
from isotone.estimation.predicted_gain import predicted_gain
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.report import KEEPING, FitReport, PredictedGain
from isotone.estimation.scanner_curve import fit_scanner_curve
from isotone.estimation.settings import FitOptions
from isotone.estimation.tone_residual import ToneResidual

KEPT = 'they stay as they are; allow=["harm"] applies the curve all the same'
HARMS, NO_GAIN = (f"{code} {why}: {KEPT}" for code, why in KEEPING.items())
AIRLESS = 0.1
"""Share of a side's images in which no air is told, unlike the others, from which on that is said."""


@dataclass(frozen=True, eq=False)
class SourceFit:
    """A source scanner's curves, and what is known of them.

    Attributes
    ----------
    curves : tuple of ToneCurve
        Source domain → reference domain: one, or one for each acquisition mode.
    residual : ToneResidual or None
        How images deviate in tone from what their structure predicts; tells which curve an image gets. None: the
        reference has too few patients to learn that from.
    report : FitReport
    images : ImageSet
        The source's images that look like some of the reference's.
    reference : ReferenceModel
        The reference as these were compared with it.
    blend : ImageBlend or None
        Gives each image a curve of its own, out of the scanner's one; None: all get that.
    """

    curves: tuple[ToneCurve, ...]
    residual: ToneResidual | None
    report: FitReport
    images: ImageSet
    reference: ReferenceModel
    blend: ImageBlend | None = None


def fit_source(source: Sequence[Sample], reference: ReferenceModel, options: FitOptions = FitOptions()) -> SourceFit:
    """Leave odd images out, show both sides through the same frames, fit the curve, look for modes where that is asked.

    `isotone.ToneCurveHarmonizer.fit`, ``isotone reproduce``, ``isotone evaluate --refit`` and all benchmarks call it.

    Parameters
    ----------
    source : sequence of Sample
        Train and validation images of the scanner.
    reference : ReferenceModel
    options : FitOptions

    Raises
    ------
    IsotoneError
        E_DATA: no images on one of the sides, or no class in common.

    Examples
    --------
    >>> from isotone.estimation.reference_model import ReferenceModel
    >>> reference = ReferenceModel(samples_of_the_reference)  # doctest: +SKIP
    >>> fit_source(samples_of_the_source, reference).curves[0]  # doctest: +SKIP
    """
    given = image_set(source)
    images = given if reference.air else given.telling
    images = images.only(~odd_images(images.descriptors_with(reference.air), reference)) if images else images
    compared, theirs = comparable(images, reference.telling, reference.seed) if images else (images, reference.images)
    asked, reference = reference.asked(options.classifier), reference.seen_as(theirs)
    scanner = fit_scanner_curve(compared, reference, options)
    if options.modes:
        modes = find_modes(compared, reference, scanner, options)
    else:
        modes = one_mode(compared, reference, scanner)
    left_out = _left_out(given, images, compared, reference)
    blend, said = asked.blend if options.auto else (None, None)
    report = _with_gain(replace(modes.report, blend=said, weak=asked.weak), modes.curves, reference, options, blend)
    report = replace(report, warnings=(*report.warnings, *left_out))
    return SourceFit(modes.curves, modes.residual, report, images, reference, blend)


def _with_gain(
    report: FitReport,
    curves: Sequence[ToneCurve],
    reference: ReferenceModel,
    options: FitOptions,
    blend: ImageBlend | None,
) -> FitReport:
    """The report with what the curves are expected to do to the classifier."""
    shares = [mode.images for mode in report.modes] or [1]
    found = predicted_gain(
        reference.given, curves, shares, options.classifier, reference.seed, patients=report.patients, blend=blend
    )
    if not isinstance(found, PredictedGain):
        return replace(report, no_gain=found)
    # Where settings vary from image to image, one curve simulates no image of the source; the gain of a classifier that
    # does not tell its own classes is chance.
    said = HARMS if found.harms else NO_GAIN if options.auto and found.none else None
    if said is None or report.varies or report.weak is not None:
        return replace(report, gain=found)
    return replace(report, gain=found, kept=True, warnings=(*report.warnings, said))


def _left_out(given: ImageSet, images: ImageSet, compared: ImageSet, reference: ReferenceModel) -> list[str]:
    """How many images look like none of the reference's, and of how many no air is told, unlike most."""
    odd = len(given) - len(images)
    said = [f"W_ODD {odd} images look like none of the reference's and were left out of the fit"] if odd else []
    if noise := len(reference.given) - len(reference.telling):
        said.append(f"W_ODD {noise} images of the reference are noise and were left out of the fit")
    for side, before, after in (("source", images, compared), ("reference", reference.telling, reference.images)):
        missing = len(before) - after.distinct
        if missing >= max(1, AIRLESS * len(before)):
            airless = f"{missing} of {len(before)} images of the {side} show no air, unlike the others"
            said.append(f"W_AIR {airless}, and were left out of the fit")
    return said
