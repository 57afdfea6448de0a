"""One tone curve for all images of a scanner, from images nobody has paired, in seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import FEWEST, MOST, Descriptors, ImageSet, air_share
from isotone.errors import IsotoneError
from isotone.estimation.bootstrap import band, resampled, score_interval
from isotone.estimation.class_prior import mixed
from isotone.estimation.matching import Match, classified, match_populations
from isotone.estimation.projection import clipped_share, is_free, projected
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.report import FitReport, MixFrom
from isotone.estimation.settings import FitOptions
from isotone.estimation.transport import Levels, MiddleImage, Pool, free_curve
from isotone.estimation.variance_ratio import VarianceRatio

Floats = NDArray[np.float64]

LABELLED = 0.9
"""Share of the images that must have a label for their mix to be that of all: positives alone are often labelled."""
VARIES = 2.0
"""Variance, as a multiple of the reference's, from which images vary more by settings than by anatomy."""
PLACES = 33
"""Grey levels at which the band is given."""
FEW_PATIENTS = 25
"""Below it the fit warns. Raised, more fits warn; chosen from the error of curves of 10, 25 and 50 images."""
SITES = 3.0
"""Mismatch beyond the limit that positioning and patients of another site make in the same view, where a curve does
as well as there can be. Chosen on half of the patients of two chest scanners (docs/results_strangers.md). Raising it
leaves blur and noise unsaid that are hardly visible."""
FEW_ALIKE = 50
"""Reference images, of equal weight, below half of which the fit warns."""


@dataclass(frozen=True)
class ScannerCurve:
    """A scanner's curve and what is known of it.

    Attributes
    ----------
    curve : ToneCurve
        Source domain → reference domain.
    transport : ToneCurve
        The unprojected monotone curve. Variance is measured after it, because projection error would inflate that.
    report : FitReport
    """

    curve: ToneCurve
    transport: ToneCurve
    report: FitReport


def fit_scanner_curve(source: ImageSet, reference: ReferenceModel, options: FitOptions) -> ScannerCurve:
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
    source : ImageSet
        Train and validation images, compared with `reference.images`.
    reference : ReferenceModel
    options : FitOptions

    Raises
    ------
    IsotoneError
        E_DATA: no images on one of the sides, or no class in common.
    """
    for samples, name in ((source, "source"), (reference.images, "reference")):
        if not samples:
            raise IsotoneError("E_DATA", f"no image of the {name} domain can be used")
    return _Fit(source, reference, options).result()


@dataclass(frozen=True, eq=False)
class _Transport:
    """Grey levels of the source and of the reference that belong together, and where they come from."""

    match: Match
    pools: tuple[Levels, Levels]
    x: Floats
    y: Floats

    @cached_property
    def curve(self) -> ToneCurve:
        return free_curve(self.x, self.y)


@dataclass(frozen=True, eq=False)
class _Fit:
    """The steps of `fit_scanner_curve`."""

    source: ImageSet
    reference: ReferenceModel
    options: FitOptions

    def result(self) -> ScannerCurve:
        found = self.transported(Pool)
        variance, extra = self.variance(found)
        if variance >= VARIES:
            found = self.transported(MiddleImage)
        curve, off = projected(found.x, found.y, self.options.settings)
        return ScannerCurve(curve, found.curve, self.report(found, curve, off, (variance, extra)))

    @cached_property
    def descriptors(self) -> Descriptors:
        return self.source.descriptors_with(self.reference.air)

    @cached_property
    def match(self) -> Match:
        known, known_from = self.known_mix()
        told = known_from == "stated" or float(np.mean(self.descriptors.labels != "")) >= LABELLED
        found = match_populations(self.descriptors, self.reference, known if told else {}, known_from)
        if known and found.mix_from == "none":
            found = match_populations(self.descriptors, self.reference, known, known_from)
        return found

    @cached_property
    def air_share(self) -> float:
        return air_share(self.descriptors, self.match.reference) if self.reference.air else 0.0

    def known_mix(self) -> tuple[dict[str, float], MixFrom]:
        """The stated mix, else that of the labels, else nothing."""
        names = [str(c) for c in self.descriptors.labels if c] if self.options.labels else []
        found, origin = {c: names.count(c) / len(names) for c in sorted(set(names))}, "labels"
        mix = self.options.mix
        if mix and any(mix.values()):
            found, origin = {c: float(v) / sum(mix.values()) for c, v in mix.items()}, "stated"
        present = {s.label for s in self.reference.images}
        if origin == "labels" and present == {None}:
            return {}, "none"
        if found and not any(found[c] > 0 and c in present for c in found):
            raise self._no_class_in_common(found, origin)
        return found, ("stated" if origin == "stated" else "labels") if found else "none"

    def _no_class_in_common(self, mix: Mapping[str, float], origin: str) -> IsotoneError:
        """The refusal of a class mix of which the reference has no class."""
        scanner = ", ".join(sorted({s.domain for s in self.source if s.domain})) or "the source"
        ours, theirs = sorted(c for c in mix if mix[c] > 0), sorted({s.label for s in self.reference.images if s.label})
        step = 'labels="none" reads no label of the source.' if origin == "labels" else "State shares of these classes."
        what = f"{scanner} ({', '.join(ours)}) and the reference ({', '.join(theirs)}) share no class"
        return IsotoneError("E_DATA", what, next_step=step)

    def transported(self, levels: type[Pool] | type[MiddleImage]) -> _Transport:
        match, classifier = self.match, self.options.classifier
        pools = levels(self.descriptors, self.air_share), levels(match.reference, self.air_share)
        if match.mix_from == "none" and match.alike and classifier is not None:
            sides = self.source, self.reference.images
            match = classified(match, pools, sides, classifier, self.options.settings.rounds)
        return _Transport(
            match, pools, pools[0].quantiles(np.ones(len(self.descriptors))), pools[1].quantiles(match.weights)
        )

    def variance(self, found: _Transport) -> tuple[float, float]:
        """The most that the images vary behind the curve, as a multiple of the reference's; 1 by chance.

        And their standard deviation beyond the reference's in that direction, in grey levels of 255. Where the source
        differs in more than tone, structure is no measure of tone, and this is not asked.
        """
        tone, match = self.reference.tone, found.match
        if tone is None or match.window < 1 or not self.match.alike:
            return 1.0, 0.0
        residuals = tone.regression.scores(found.curve(self.descriptors.quantiles)) - tone.regression.of(
            self.descriptors.structure
        )
        weights = mixed(match.reference.labels, match.mix)
        excess = VarianceRatio.fit(
            tone.residuals, residuals, weights, (match.reference.patients, self.descriptors.patients)
        )
        most = int(excess.ratios.argmax())
        return float(excess.ratios[most]), float(excess.levels[most])

    def report(self, found: _Transport, curve: ToneCurve, off: float, varies: tuple[float, float]) -> FitReport:
        match, settings, seed = found.match, self.options.settings, self.reference.seed
        classifier = self.options.classifier
        places = found.x[np.unique(np.linspace(0, len(found.x) - 1, PLACES).astype(int))]
        whose = self.descriptors.patients, match.reference.patients
        curves = resampled(*found.pools, match.weights, whose, places, settings.resamples, seed)
        return FitReport(
            images=len(self.source),
            patients=len(np.unique(self.descriptors.patients)),
            reference_images=self.reference.images.distinct,
            mix=match.mix or None,
            mix_from=match.mix_from,
            window=match.window,
            mismatch=match.mismatch,
            mismatch_limit=match.limit,
            variance=varies[0],
            extra_levels_8bit=varies[1],
            air_share=self.air_share,
            free=is_free(curve),
            projection_rmse_levels_8bit=off,
            clipped_share=clipped_share(curve, self.descriptors.quantiles),
            band=band(places, curves),
            score_interval=None
            if classifier is None
            else score_interval(self.source, places, curves, classifier, seed),
            warnings=tuple(self.warnings(match, varies)),
        )

    def warnings(self, match: Match, varies: tuple[float, float]) -> list[str]:
        reference, (variance, extra) = self.reference.images, varies
        said = []
        lacking = [c for c, v in match.mix.items() if v > 0 and not (match.reference.labels == c).any()]
        if lacking:
            said.append(f"W_CLASS the reference has no image of class {', '.join(lacking)}")
        if match.mismatch > match.limit + SITES:
            said.append("W_BEYOND_TONE the images differ from the reference in more than tone and class mix")
        if len(np.unique(self.descriptors.patients)) < FEW_PATIENTS:
            said.append(f"W_FEW fewer than {FEW_PATIENTS} patients of the source scanner")
        copies = len(reference) / reference.distinct
        if 2 * match.weights.sum() ** 2 / (match.weights**2).sum() < copies * min(FEW_ALIKE, reference.distinct):
            said.append("W_OVERLAP few reference images are like the source's")
        said += [*_air_warnings(self.source.showing, reference.showing), *_mark_warnings(self.source, reference)]
        if variance >= VARIES:
            said.append(
                f"W_VARIES exposure or windowing differs from image to image (standard deviation {extra:.0f} of 255 "
                "grey levels beyond the reference's): the curve was fitted to the middle images; compare with "
                'method="adaptive"'
            )
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


def _mark_warnings(source: ImageSet, reference: ImageSet) -> list[str]:
    """Where marks stand in the air, the outline of the anatomy is less well known, and so is its darkest part."""
    found = {"source": source.written, "reference": reference.written}
    said = [f"{share:.0%} of the {side}'s images" for side, share in found.items() if share >= FEWEST]
    where = f"W_MARKS letters, markers or labels stand in the air of {' and '.join(said)}"
    return [f"{where}: the curve between air and anatomy is less sure"] if said else []
