"""How far one image's tone is from what its anatomy predicts.

A scanner's curve maps all of its images alike. Structure (`isotone.data.descriptors.structure`), which no response
changes, says how bright an image ought to be on the reference; the rest is anatomy that structure does not see, and
tone. It tells which of several acquisition modes an image was taken in (`isotone.estimation.acquisition_modes`), and
whether a batch of images is behind the response of the fit (`isotone.monitoring.response_drift`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.foreground import regions
from isotone.data.descriptors.image_set import QUANTILES, Descriptors, describe
from isotone.data.descriptors.structure import SIZE
from isotone.data.sample import Sample
from isotone.estimation.stored_arrays import Json, StoredArrays
from isotone.estimation.tone_model import ToneModel, ToneRegression
from isotone.estimation.variance_ratio import covariance, whitening

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ToneResidual(StoredArrays):
    """Predicts an image's quantiles from its structure, and tells how far it is from them.

    Attributes
    ----------
    air : bool
        Whether air is left out of the quantiles.
    regression : ToneRegression
        Of the reference.
    offset : float64 array of shape (k,)
        The source's mean residual: that is for the scanner's curve.
    whitening : float64 array of shape (k, k)
        Times it, the residuals of the reference's images have unit variances and no correlations.
    """

    SHAPES: ClassVar = {"offset": "k", "whitening": "kk"}

    air: bool
    regression: ToneRegression
    offset: Floats
    whitening: Floats

    @classmethod
    def fit(cls, tone: ToneModel, ours: Descriptors, mapped: Floats, air: bool) -> Self:
        """The model of residuals, centred on a source's images.

        Parameters
        ----------
        tone : ToneModel
            Of the reference, as `isotone.estimation.tone_model.learned` has it.
        ours : Descriptors
            Of the source.
        mapped : float64 array of shape (n, q)
            Its quantiles behind the scanner's curve.
        air : bool
        """
        found = tone.regression.scores(mapped) - tone.regression.of(ours.structure)
        return cls(
            air=air,
            regression=tone.regression,
            offset=found.mean(0),
            whitening=whitening(covariance(tone.residuals)),
        )

    def of(self, descriptors: Descriptors, mapped: Floats) -> Floats:
        """Residuals, shape (n, k), of images whose quantiles, shape (n, q), a curve has mapped."""
        return np.asarray(self.regression.scores(mapped) - self.regression.of(descriptors.structure) - self.offset)

    def white(self, residuals: Floats) -> Floats:
        """Residuals in standard residuals of the reference's images, shape (n, k)."""
        return np.asarray(residuals @ self.whitening)

    def nearest(self, descriptors: Descriptors, curves: Sequence[ToneCurve]) -> NDArray[np.intp]:
        """Which of the curves, shape (n,), leaves each image nearest to what its structure predicts."""
        distances = [(self.white(self.of(descriptors, curve(descriptors.quantiles))) ** 2).sum(1) for curve in curves]
        return np.asarray(np.argmin(distances, axis=0), np.intp)

    def behind(self, descriptors: Descriptors, curves: Sequence[ToneCurve]) -> Floats:
        """Quantiles of the images, shape (n, q), each behind the curve that `nearest` names."""
        group = self.nearest(descriptors, curves)
        return np.stack([curves[k](q) for k, q in zip(group, descriptors.quantiles, strict=True)])

    def choose(self, sample: Sample, curves: Sequence[ToneCurve]) -> ToneCurve:
        """The curve of the image's acquisition mode; the first without any anatomy."""
        descriptors = describe([sample], [regions(sample)], self.air)
        if not descriptors.quantiles.any():
            return curves[0]
        return curves[int(self.nearest(descriptors, curves)[0])]

    def to_json(self) -> dict[str, object]:
        """Numbers and lists, ready for JSON."""
        return {"air": self.air, "expectation": self.regression.to_json(), **super().to_json()}

    @classmethod
    def from_json(cls, entry: Json) -> Self:
        """What `to_json` described.

        Raises
        ------
        ModelError
            E_MODEL: not such numbers.
        """
        regression = ToneRegression.from_json(entry.get("expectation", {}), q=len(QUANTILES), d=SIZE)
        return cls(bool(entry["air"]), regression, **cls.numbers(entry, k=len(regression.offset)))
