"""One tone curve for a scanner, from images nobody has paired, in seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from isotone.curves.stages import Affine, Knots
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import FEWEST, MOST, Described, Views, air_share, described
from isotone.data.sample import Sample
from isotone.errors import UsageError
from isotone.estimation.bootstrap import band, resampled, score_interval
from isotone.estimation.class_prior import mixed
from isotone.estimation.matching import FrozenClassifier, Match, classified, match_populations
from isotone.estimation.tone_model import Brightness
from isotone.estimation.transport import Levels, MiddleImage, Pool, free_curve
from isotone.estimation.variance_ratio import Excess

Floats = NDArray[np.float64]

STRAY = 1.0
"""Of 255 levels (root mean square): steps that are farther from what was transported give way to the free curve."""
LABELLED = 0.9
"""Share of the images that must have a label for their mix to be that of all: positives alone are often labelled."""
VARIES = 2.0
"""Variance, as a multiple of the reference's, from which images vary more by settings than by anatomy."""


class ScannerSettings(BaseModel):
    """How a scanner's curve is fitted; without `free` it is made of steps wherever these can follow the transport.

    Examples
    --------
    >>> import isotone
    >>> settings = isotone.ScannerSettings(num_iterations=4)
    >>> harmonizer = isotone.ToneCurveHarmonizer("Alder Mammo One", "Birch Mammo Two", settings=settings)
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_iterations: int = Field(16, ge=2, le=64, description="Steps of the curve, every other one inverse.")
    free: bool = Field(
        False, description="Keep the free monotone curve, not only where steps cannot follow it, instead of steps."
    )
    rounds: int = Field(6, ge=1, le=50, description="At most so many rounds of match, classify, reweight.")
    resamples: int = Field(
        200,
        ge=0,
        le=5000,
        description="Bootstrap resamples of patients behind the band; without, no scanner leans on another.",
    )


@dataclass(frozen=True)
class ScannerFit:
    """A scanner's curve and what is known of the fit.

    Attributes
    ----------
    curve : ToneCurve
        Source domain → reference domain.
    transport : ToneCurve
        The free curve that it stands for. How images vary is asked behind this one: what steps do not follow would look
        like variance.
    notes : dict
        Ready for JSON: images and patients, class mix and where it comes from, how far the populations differ
        beyond it, band and what it means for the scores, what the projection cost, warnings.
    """

    curve: ToneCurve
    transport: ToneCurve
    notes: dict[str, Any]


def fit_scanner(
    source: Sequence[Sample],
    reference: Sequence[Sample],
    *,
    classifier: FrozenClassifier | None = None,
    level: Brightness | None = None,
    labels: bool = True,
    mix: Mapping[str, float] | None = None,
    settings: ScannerSettings = ScannerSettings(),  # frozen
    seed: int = 0,
) -> ScannerFit:
    """Fit the curve that brings a scanner's grey levels to those of the reference domain.

    The source's class mix is the stated one, else that of its labels where nearly all images have one, else what the
    structure of its images says (no response changes it), else, where structure cannot tell the classes, that of few
    labels, else what the classifier says of the matched images. Where structure differs by more than the mix could
    explain, only a mix that is stated or labelled is used.

    The curve has steps, which smooth what few images leave rough, or, where they cannot follow the transport, is free.

    All images' grey levels are matched; those of the middle images where the images vary in tone as the reference's do
    not (W_VARIES), if but for that they are like the reference's.

    Parameters
    ----------
    source, reference : sequence of Sample
        Train and validation images of the source scanner and of the reference domain; `described` where they serve
        several fits.
    classifier : Classifier, optional
        Frozen. Its confusion matrix is taken on the reference samples of split "val".
    level : Brightness, optional
        Of the reference; without it, nobody asks whether the source's images vary more.
    labels : bool
        Whether labels of the source may be read; those of the reference always are.
    mix : mapping of str to float, optional
        The source's class mix, if you know it.
    settings : ScannerSettings
    seed : int
        Of folds and bootstrap.

    Raises
    ------
    UsageError
        E_DATA: no images on one of the sides, or no class in common.
    """
    for samples, name in ((source, "source"), (reference, "reference")):
        if not samples:
            raise UsageError(f"no image of the {name} domain can be used", code="E_DATA")
    reference = described(reference)
    source = described(source)
    ours = source.views_with(reference.air)
    known, known_from = _known_mix(ours, reference, labels, mix)
    told = known_from == "stated" or float(np.mean(ours.labels != "")) >= LABELLED
    found = match_populations(ours, reference, known if told else {}, known_from, seed)
    if known and found.mix_from == "none":
        found = match_populations(ours, reference, known, known_from, seed)
    share = air_share(ours, found.reference) if reference.air else 0.0
    alike = found.mismatch <= found.limit

    def transported(levels: type[Pool] | type[MiddleImage]) -> tuple[Match, tuple[Levels, Levels], Floats, Floats]:
        match, pools = found, (levels(ours, share), levels(found.reference, share))
        if match.mix_from == "none" and alike and classifier is not None:
            match = classified(match, pools, source, reference, classifier, settings.rounds)
        return match, pools, pools[0].quantiles(np.ones(len(ours))), pools[1].quantiles(match.weights)

    match, pools, x, y = transported(Pool)
    free = free_curve(x, y)
    variance, extra = _variance(level, ours, free, match) if alike and match.window == 1 else (1.0, 0.0)
    if variance >= VARIES:
        match, pools, x, y = transported(MiddleImage)
        free = free_curve(x, y)
    curve, off = certified(x, y, settings)
    levels = x[np.unique(np.linspace(0, len(x) - 1, 33).astype(int))]
    whose = ours.patients, match.reference.patients
    curves = resampled(*pools, match.weights, whose, levels, settings.resamples, seed)
    notes = {
        "method": "scanner",
        "images": len(source),
        "patients": len(np.unique(ours.patients)),
        "reference_images": len(reference),
        "labels_used": match.mix_from == "labels",
        "mix": match.mix or None,
        "mix_from": match.mix_from,
        "window": match.window,
        "mismatch": match.mismatch,
        "mismatch_limit": match.limit,
        "variance": variance,
        "extra_levels_8bit": extra,
        "air_share": share,
        "free": is_free(curve),
        "projection_rmse_levels_8bit": off,
        "clipped_share": _clipped(curve, ours),
        "band": band(levels, curves),
        "score_interval": {} if classifier is None else score_interval(source, levels, curves, classifier, seed),
        "warnings": [
            *_warnings(match, ours, len(reference)),
            *_air_warnings(source.showing, reference.showing),
            *_mark_warnings(source, reference),
            *([_varies(extra)] if variance >= VARIES else []),
        ],
    }
    return ScannerFit(curve, free, notes)


def _known_mix(
    ours: Views, reference: Sequence[Sample], labels: bool, mix: Mapping[str, float] | None
) -> tuple[dict[str, float], str]:
    """The stated mix, else that of the labels, else nothing."""
    names = [str(c) for c in ours.labels if c] if labels else []
    found, origin = {c: names.count(c) / len(names) for c in sorted(set(names))}, "labels"
    if mix and any(mix.values()):
        found, origin = {c: float(v) / sum(mix.values()) for c, v in mix.items()}, "stated"
    present = {s.label for s in reference}
    if origin == "labels" and present == {None}:
        return {}, "none"
    if found and not any(found[c] > 0 and c in present for c in found):
        raise UsageError("the source and the reference share no class", code="E_DATA")
    return found, origin if found else "none"


def certified(x: Floats, y: Floats, settings: ScannerSettings) -> tuple[ToneCurve, float]:
    """The curve through the points: the steps nearest to it, with an affine stage where they cannot do without.

    Steps smooth what few images leave rough; where they cannot follow the points, the curve is free.

    Parameters
    ----------
    x, y : float64 arrays of shape (n,)
        Grey levels of the source and of the reference in [0, 1], increasing.
    settings : ScannerSettings

    Returns
    -------
    ToneCurve
    float
        How far steps are off the points, in levels of 255 (root mean square), whether they are kept or not; 0 where
        the settings ask for a free curve.
    """
    if settings.free:
        return free_curve(x, y), 0.0

    def off(curve: ToneCurve) -> float:
        return 255 * float(np.sqrt(np.mean((curve(x) - y) ** 2)))

    steps = ToneCurve.fit(x, y, num_iterations=settings.num_iterations)
    if off(steps) > 0.75:
        affine = ToneCurve.fit(x, y, num_iterations=settings.num_iterations, affine=True)
        steps = affine if off(affine) < 0.7 * off(steps) else steps
    return steps if off(steps) <= STRAY else free_curve(x, y), off(steps)


def is_free(curve: ToneCurve) -> bool:
    """Whether it is no chain of steps."""
    return any(isinstance(stage, Knots) for stage in curve.stages)


def _variance(level: Brightness | None, ours: Views, curve: ToneCurve, match: Match) -> tuple[float, float]:
    """The most that the images vary behind a curve, as a multiple of what images of the reference do; 1 by chance.

    And their standard deviation beyond the reference's in that direction, in grey levels of 255.
    """
    if level is None:
        return 1.0, 0.0
    deviations = level.expectation.scores(curve(ours.quantiles)) - level.expectation.of(ours.structure)
    weights = mixed(match.reference.labels, match.mix)
    excess = Excess.fit(level.residuals, deviations, weights, (match.reference.patients, ours.patients))
    most = int(excess.ratios.argmax())
    return float(excess.ratios[most]), float(excess.levels[most])


def _varies(levels: float) -> str:
    return (
        f"W_VARIES exposure or windowing differs from image to image (standard deviation {levels:.0f} of 255 grey "
        "levels beyond the reference's): the curve was fitted to the middle images; compare with --method adaptive"
    )


def _clipped(curve: ToneCurve, ours: Views) -> float:
    """Share of the anatomy that an affine stage maps outside [0, 1]."""
    if not any(isinstance(stage, Affine) for stage in curve.stages):
        return 0.0
    low, high = curve.unclipped()
    return float(np.mean((ours.quantiles < low) | (ours.quantiles > high)))


def _warnings(match: Match, ours: Views, reference_images: int) -> list[str]:
    said = []
    lacking = [c for c, v in match.mix.items() if v > 0 and not (match.reference.labels == c).any()]
    if lacking:
        said.append(f"W_CLASS the reference has no image of class {', '.join(lacking)}")
    if match.mismatch > match.limit:
        said.append("W_BEYOND_TONE the images differ from the reference in more than tone and class mix")
    if len(np.unique(ours.patients)) < 25:
        said.append("W_FEW fewer than 25 patients of the source scanner")
    if 2 * match.weights.sum() ** 2 / (match.weights**2).sum() < min(50, reference_images):
        said.append("W_OVERLAP few reference images are like the source's")
    return said


def _air_warnings(source: float, reference: float) -> list[str]:
    """Where one side shows air and the other none, pixels of air and of anatomy may be matched."""
    for ours, theirs, said in (
        (source, reference, "most images of the source show air and hardly any of the reference"),
        (reference, source, "most images of the reference show air and hardly any of the source"),
    ):
        if ours >= MOST and theirs < FEWEST:
            return [f"W_AIR {said}: air may be matched with anatomy, and the curve be wrong by tenths of the range"]
    return []


def _mark_warnings(source: Described, reference: Described) -> list[str]:
    """Where marks stand in the air, the outline of the anatomy is less well known, and so is its darkest part."""
    found = {"source": source.written, "reference": reference.written}
    said = [f"{share:.0%} of the {side}'s images" for side, share in found.items() if share >= FEWEST]
    where = f"W_MARKS letters, markers or labels stand in the air of {' and '.join(said)}"
    return [f"{where}: the curve between air and anatomy is less sure"] if said else []
