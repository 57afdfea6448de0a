"""Test whether a batch of images has the response of the fit, by their mean deviation from expected tone.

Structure (`isotone.data.descriptors.structure`), which no response changes, says how bright an image ought to be on the
reference. The mean of what is left, image by image behind the curve of its mode, is the same in every batch of the
scanner, up to chance and up to the class mix: structure does not explain classes wholly, so any mix of the reference's
classes is allowed for. What remains is another response. The test runs twice: in all directions, and along smooth
changes of tone. Most responses are smooth, and fewer directions give more power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy import special

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.foreground import Regions
from isotone.data.descriptors.image_set import Descriptors, describe
from isotone.data.sample import Sample
from isotone.estimation.class_prior import nearest_mix
from isotone.estimation.fit_source import SourceFit
from isotone.estimation.stored_arrays import Json, StoredArrays, damaged, positive_definite
from isotone.estimation.tone_model import ToneModel
from isotone.estimation.tone_residual import ToneResidual
from isotone.estimation.variance_ratio import covariance

Floats = NDArray[np.float64]

SMOOTH = 0.8
"""Share of the false alarms that the search among smooth changes may raise."""
ERROR, SMOOTH_ERROR = 0.02, 0.05
"""Standard error, in grey levels of [0, 1], of a curve that is fitted on one patient: any error, and a smooth one."""


def effective(patients: NDArray[np.generic]) -> float:
    """How many patients with as many images each as each other would say as much of the mean as these.

    (Σn)² / Σn² of the numbers n of images of each patient, which count as wholly alike (Kish 1965, Survey Sampling,
    8.2): one patient with half of all images moves the mean as much as one of three would.

    Parameters
    ----------
    patients : array of shape (n,)
        Of each image.

    Examples
    --------
    >>> import numpy as np
    >>> from isotone.monitoring.response_drift import effective
    >>> effective(np.array(["a", "a", "b", "b"])), effective(np.array(["a", "a", "a", "b"]))
    (2.0, 1.6)
    """
    counts = np.unique(patients, return_counts=True)[1].astype(np.float64)
    return float(counts.sum() ** 2 / (counts**2).sum())


@dataclass(frozen=True, eq=False)
class ResponseDrift(StoredArrays):
    """What the residuals of one source domain's images are like.

    Attributes
    ----------
    residual : ToneResidual
        Centred on the source's images.
    curves : sequence of ToneCurve
        Curves of the scanner, one for each acquisition mode. An image's residual is taken after the nearest curve.
    centres : float64 array of shape (c, k)
        Mean residual of each class of the reference, shifted so that the nearest mix of them is the source's mean.
    spread : float64 array of shape (k, k)
        Covariance of the source's residuals, leaning on the reference's where its images are few.
    patients, per_patient : float
        Patients of the source (`effective`), and images per patient; the images of one patient count as one.
    """

    SHAPES: ClassVar = {"centres": "ck", "spread": "kk", "patients": "", "per_patient": ""}

    residual: ToneResidual
    curves: Sequence[ToneCurve]
    centres: Floats
    spread: Floats
    patients: float
    per_patient: float

    @classmethod
    def of_fit(cls, fit: SourceFit) -> Self | None:
        """Describe the images of a source scanner's fit; None where the reference is too small for that."""
        tone = fit.reference.tone
        return (
            None
            if fit.residual is None or tone is None
            else cls._of(fit, fit.residual, fit.reference.descriptors, tone)
        )

    @classmethod
    def _of(cls, fit: SourceFit, residual: ToneResidual, theirs: Descriptors, tone: ToneModel) -> Self:
        ours, curves = fit.images.descriptors_with(residual.air), fit.curves
        found = residual.of(ours, residual.behind(ours, curves))
        group = np.unique(theirs.labels, return_inverse=True)[1]
        centres = np.stack([tone.residuals[group == g].mean(0) for g in range(group.max() + 1)])
        within = tone.residuals - centres[group]
        share = len(found) / (len(found) + 2 * found.shape[1])
        lent = within.T @ within / max(len(within) - len(centres), 1)
        spread = share * covariance(found) + (1 - share) * lent
        patients = effective(ours.patients)
        # Images of one class in several acquisition modes are several kinds, of which any mix is no difference.
        mode = residual.nearest(ours, curves)
        centres = np.concatenate([centres + found[mode == k].mean(0) for k in np.unique(mode)])
        mix = nearest_mix(centres, residual.offset, np.linalg.cholesky(spread))
        # Rounded, so that the model does not depend on the last bit of somebody's linear algebra.
        centres, spread = np.round(centres - mix @ centres, 9), np.round(spread, 12)
        return cls(residual, curves, centres, spread, patients, len(found) / patients)

    def of(self, sample: Sample, parts: Regions) -> Floats:
        """ToneResidual of one image, shape (k,)."""
        descriptors = describe([sample], [parts], self.residual.air)
        return np.asarray(self.residual.of(descriptors, self.residual.behind(descriptors, self.curves))[0])

    def chance(self, deviations: Floats) -> float:
        """Probability, at most, that images behind the same response, of any class mix, deviate so far in the mean.

        Hotelling's two-sample test (Anderson 2003, 5.3.4) of what no mix explains, in all directions; and in those of
        cubic changes of tone. The curve's own error is allowed for, which is smooth for the most part. The smaller
        of the two, corrected for its being one of two (Bonferroni), smooth changes being the likelier ones.

        Parameters
        ----------
        deviations : float64 array of shape (n, k)
        """
        return self.chance_of(deviations.mean(0), len(deviations))

    def chance_of(self, mean: Floats, images: int) -> float:
        """`chance` of so many images, by their mean deviation of shape (k,)."""
        patients = images / self.per_patient
        spread = self.spread * (1 / patients + 1 / self.patients)
        expectation = self.residual.regression
        k, q = expectation.axes.shape
        grey = expectation.mean
        cubic = expectation.axes @ np.stack([grey, grey**2, grey**3], 1)
        error = q / k / self.patients * np.eye(k)
        freedom = self.patients + patients - 2
        anything = self._chance(mean, spread + ERROR**2 * error, np.eye(k), freedom)
        smooth = self._chance(mean, spread + SMOOTH_ERROR**2 * error, cubic, freedom)
        return min(anything / (1 - SMOOTH), smooth / SMOOTH, 1.0)

    def _chance(self, mean: Floats, spread: Floats, directions: Floats, freedom: float) -> float:
        """Hotelling's test of a mean deviation in the span of some directions, shape (k, d)."""
        factor = np.asarray(np.linalg.cholesky(spread), np.float64)
        rest = mean - nearest_mix(self.centres, mean, factor) @ self.centres
        basis = np.linalg.qr(np.linalg.solve(factor, directions))[0]
        found = basis.T @ np.linalg.solve(factor, rest)
        d = len(found)
        if freedom < d:
            return 1.0
        statistic = float(found @ found) * (freedom - d + 1) / (freedom * d)
        return float(special.fdtrc(d, freedom - d + 1, statistic))

    def to_json(self) -> dict[str, object]:
        """Numbers for JSON; no image can be made of them."""
        curves = [curve.to_json() for curve in self.curves]
        return {"deviation": self.residual.to_json(), "curves": curves, **super().to_json()}

    @classmethod
    def from_json(cls, entry: Json) -> Self:
        """What `to_json` gave.

        Raises
        ------
        ModelError, KeyError, TypeError
            The numbers are not those of a drift.
        """
        residual, curves = ToneResidual.from_json(entry["deviation"]), [ToneCurve.from_json(c) for c in entry["curves"]]
        found = cls.numbers(entry, k=len(residual.offset))
        damaged(not curves or min(found["patients"], found["per_patient"]) <= 0)
        positive_definite(found["spread"])
        return cls(residual, curves, **found)
