"""How far one image's tone is from what its anatomy lets expect, and the curve that takes a share of that back.

A scanner's curve maps all of its images alike. Where each image was also exposed, windowed or processed by itself,
what remains is a deviation from image to image. Structure (`isotone.data.descriptors.structure`), which no response
changes, says how bright an image ought to be on the reference; the rest is anatomy that structure does not see, and
tone. It tells which of several presets an image was made with (`isotone.estimation.acquisition_modes`); of what then
remains, what exceeds the reference's own variation is taken back (`isotone.estimation.variance_ratio`,
`isotone.estimation.per_image`).
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
from isotone.estimation.transport import free_curve
from isotone.estimation.variance_ratio import covariance, whitening

Floats = NDArray[np.float64]

NUMBERS = ("offset", "limit", "whitening", "part")
WIDEST = 3.0
"""Deviations beyond this many standard deviations of the source's images are cut to it."""
KNOTS = 16
"""Straight pieces of the curve that takes a deviation back."""


@dataclass(frozen=True, eq=False)
class Deviation:
    """Predicts an image's quantiles from its structure, and maps part of the way to them.

    Attributes
    ----------
    air : bool
        Whether air is left out of the quantiles.
    expectation : Expectation
        Of the reference.
    offset : float64 array of shape (k,)
        The source's mean deviation: that is for the scanner's curve.
    limit : float64 array of shape (k,)
        Deviations beyond it are cut to it.
    whitening : float64 array of shape (k, k)
        Times it, the deviations of the reference's images have unit variances and no correlations.
    part : float64 array of shape (k, k)
        Times it, a deviation is what to take back of it (`isotone.estimation.variance_ratio`).
    strength : float
        Share of that which is taken back, in [0, 1].
    """

    air: bool
    expectation: Expectation
    offset: Floats
    limit: Floats
    whitening: Floats
    part: Floats
    strength: float

    @classmethod
    def fit(cls, level: Brightness, ours: Views, mapped: Floats, air: bool) -> Self:
        """The model of deviations, centred on a source's images; of strength 0.

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
            limit=WIDEST * found.std(0),
            whitening=whitening(covariance(level.residuals)),
            part=np.eye(len(expectation.axes)),
            strength=0.0,
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

    def correction(self, mapped: Floats, taken: Floats) -> ToneCurve:
        """What follows the scanner's curve for one image.

        Parameters
        ----------
        mapped : float64 array of shape (q,)
            The image's quantiles behind the scanner's curve.
        taken : float64 array of shape (k,)
            Of the deviation.
        """
        wanted = np.maximum.accumulate(np.clip(mapped - taken @ self.expectation.axes, 0, 1))
        chosen = np.linspace(0, len(mapped) - 1, KNOTS + 1).round().astype(int)
        return free_curve(mapped[chosen], wanted[chosen])

    def curve(self, sample: Sample, presets: Sequence[ToneCurve]) -> ToneCurve:
        """The curve of the image's preset and the image's own correction; the first preset's without any anatomy."""
        views = take_views([sample], [regions(sample)], self.air)
        if not views.quantiles.any():
            return presets[0]
        preset = presets[int(self.nearest(views, presets)[0])]
        if not self.strength:
            return preset
        mapped = preset(views.quantiles)
        deviation = np.clip(self.of(views, mapped)[0], -self.limit, self.limit)
        return preset.then(self.correction(mapped[0], self.strength * deviation @ self.part))

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists, ready for JSON."""
        arrays = {name: getattr(self, name).tolist() for name in NUMBERS}
        return {"air": self.air, "strength": self.strength, "expectation": self.expectation.to_dict()} | arrays

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """The deviation that `to_dict` described.

        Raises
        ------
        ModelError
            Not such numbers.
        """
        arrays = finite(entry, (*NUMBERS, "strength"))
        strength = arrays.pop("strength")
        expectation = Expectation.from_dict(entry.get("expectation", {}))
        k, q = expectation.axes.shape
        shapes = {"offset": (k,), "limit": (k,), "whitening": (k, k), "part": (k, k)}
        like_ours = (q, expectation.centre.size) == (len(QUANTILES), SIZE)
        fitting = {name: array.shape for name, array in arrays.items()} == shapes
        if not (like_ours and fitting and strength.shape == () and 0 <= strength <= 1):
            raise ModelError("E_MODEL", DAMAGED)
        return cls(air=bool(entry["air"]), expectation=expectation, strength=float(strength), **arrays)
