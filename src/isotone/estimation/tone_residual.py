"""How far one image's tone is from what its anatomy lets expect.

A scanner's curve maps all of its images alike. Structure (`isotone.data.descriptors.structure`), which no response
changes, says how bright an image ought to be on the reference; the rest is anatomy that structure does not see, and
tone. It tells which of several acquisition modes an image was taken in (`isotone.estimation.acquisition_modes`), and
whether a batch of images is behind the response of the fit (`isotone.monitoring.response_drift`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.foreground import regions
from isotone.data.descriptors.image_set import QUANTILES, Views, take_views
from isotone.data.descriptors.structure import SIZE
from isotone.data.sample import Sample
from isotone.errors import ModelError
from isotone.estimation.tone_model import Brightness
from isotone.estimation.tone_regression import DAMAGED, Expectation, finite
from isotone.estimation.variance_ratio import covariance, whitening

Floats = NDArray[np.float64]

NUMBERS = ("offset", "whitening")


@dataclass(frozen=True, eq=False)
class Deviation:
    """Predicts an image's quantiles from its structure, and tells how far it is from them.

    Attributes
    ----------
    air : bool
        Whether air is left out of the quantiles.
    expectation : Expectation
        Of the reference.
    offset : float64 array of shape (k,)
        The source's mean deviation: that is for the scanner's curve.
    whitening : float64 array of shape (k, k)
        Times it, the deviations of the reference's images have unit variances and no correlations.
    """

    air: bool
    expectation: Expectation
    offset: Floats
    whitening: Floats

    @classmethod
    def fit(cls, level: Brightness, ours: Views, mapped: Floats, air: bool) -> Self:
        """The model of deviations, centred on a source's images.

        Parameters
        ----------
        level : Brightness
            Of the reference, as `isotone.estimation.tone_model.learned` has it.
        ours : Views
            Of the source.
        mapped : float64 array of shape (n, q)
            Its quantiles behind the scanner's curve.
        air : bool
        """
        expectation = level.expectation
        found = expectation.scores(mapped) - expectation.of(ours.structure)
        return cls(
            air=air,
            expectation=expectation,
            offset=found.mean(0),
            whitening=whitening(covariance(level.residuals)),
        )

    def of(self, views: Views, mapped: Floats) -> Floats:
        """Deviations, shape (n, k), of images whose quantiles, shape (n, q), a curve has mapped."""
        return np.asarray(self.expectation.scores(mapped) - self.expectation.of(views.structure) - self.offset)

    def white(self, deviations: Floats) -> Floats:
        """Deviations in standard deviations of the reference's images, shape (n, k)."""
        return np.asarray(deviations @ self.whitening)

    def nearest(self, views: Views, curves: Sequence[ToneCurve]) -> NDArray[np.intp]:
        """Which of the curves, shape (n,), leaves each image nearest to what its structure lets expect."""
        distances = [(self.white(self.of(views, curve(views.quantiles))) ** 2).sum(1) for curve in curves]
        return np.asarray(np.argmin(distances, axis=0), np.intp)

    def behind(self, views: Views, curves: Sequence[ToneCurve]) -> Floats:
        """Quantiles of the images, shape (n, q), each behind the curve that `nearest` names."""
        group = self.nearest(views, curves)
        return np.stack([curves[k](q) for k, q in zip(group, views.quantiles, strict=True)])

    def choose(self, sample: Sample, curves: Sequence[ToneCurve]) -> ToneCurve:
        """The curve of the image's acquisition mode; the first without any anatomy."""
        views = take_views([sample], [regions(sample)], self.air)
        if not views.quantiles.any():
            return curves[0]
        return curves[int(self.nearest(views, curves)[0])]

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists, ready for JSON."""
        arrays = {name: getattr(self, name).tolist() for name in NUMBERS}
        return {"air": self.air, "expectation": self.expectation.to_dict()} | arrays

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """The deviation that `to_dict` described.

        Raises
        ------
        ModelError
            Not such numbers.
        """
        arrays = finite(entry, NUMBERS)
        expectation = Expectation.from_dict(entry.get("expectation", {}))
        k, q = expectation.axes.shape
        shapes = {"offset": (k,), "whitening": (k, k)}
        like_ours = (q, expectation.centre.size) == (len(QUANTILES), SIZE)
        fitting = {name: array.shape for name, array in arrays.items()} == shapes
        if not (like_ours and fitting):
            raise ModelError("E_MODEL", DAMAGED)
        return cls(air=bool(entry["air"]), expectation=expectation, **arrays)
