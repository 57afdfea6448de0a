"""How far one image's tone is from what its anatomy lets expect, and the curve that takes a share of that back.

A scanner's curve maps all of its images alike. Where each image was also exposed, windowed or processed by itself,
what remains is a deviation from image to image. Structure (`isotone.structure`), which no response changes, says how
bright an image ought to be on the reference; the rest is anatomy that structure does not see, and tone. How much of
the rest to take back is for validation to say (`isotone.adaptive`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from isotone.curves import ToneCurve
from isotone.data.sample import Sample
from isotone.errors import ModelError
from isotone.foreground import regions
from isotone.transport import free_curve
from isotone.views import QUANTILES, Views, take_views

Floats = NDArray[np.float64]

KNOTS = 16
"""Straight pieces of the curve that takes a deviation back."""


@dataclass(frozen=True, eq=False)
class Deviation:
    """Predicts an image's quantiles from its structure, and maps part of the way to them.

    Attributes
    ----------
    air : bool
        Whether air is left out of the quantiles.
    mean : float64 array of shape (q,)
        Mean quantiles of the anatomy on the reference.
    axes : float64 array of shape (k, q)
        Orthonormal directions in which the reference's images differ most.
    weights : float64 array of shape (k, d)
        From structure to scores on the axes.
    offset : float64 array of shape (k,)
        Scores where structure is 0, plus the source's mean deviation: that belongs to the scanner's curve.
    limit : float64 array of shape (k,)
        Largest deviation taken for real.
    strength : float
        Share of a deviation that is taken back, in [0, 1].
    """

    air: bool
    mean: Floats
    axes: Floats
    weights: Floats
    offset: Floats
    limit: Floats
    strength: float

    def of(self, views: Views, mapped: Floats) -> Floats:
        """Deviations, shape (n, k), of images whose quantiles, shape (n, q), the scanner's curve has mapped."""
        scores = (mapped - self.mean) @ self.axes.T - views.structure @ self.weights.T - self.offset
        return np.clip(scores, -self.limit, self.limit)

    def correction(self, mapped: Floats, deviation: Floats) -> ToneCurve:
        """What follows the scanner's curve for one image.

        Parameters
        ----------
        mapped : float64 array of shape (q,)
            The image's quantiles behind the scanner's curve.
        deviation : float64 array of shape (k,)
            To take back, whole.
        """
        wanted = np.maximum.accumulate(np.clip(mapped - deviation @ self.axes, 0, 1))
        chosen = np.linspace(0, len(mapped) - 1, KNOTS + 1).round().astype(int)
        return free_curve(mapped[chosen], wanted[chosen])

    def curve(self, sample: Sample, scanner: ToneCurve) -> ToneCurve:
        """The scanner's curve and this image's correction; the former alone where there is no anatomy to go by."""
        views = take_views([sample], [regions(sample)], self.air)
        if not views.quantiles.any():
            return scanner
        mapped = scanner(views.quantiles)
        return scanner.then(self.correction(mapped[0], self.strength * self.of(views, mapped)[0]))

    def to_dict(self) -> dict[str, Any]:
        """Numbers and lists, ready for JSON."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "axes", "weights", "offset", "limit")}
        return {"air": self.air, "strength": self.strength} | arrays

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """The deviation that `to_dict` described.

        Raises
        ------
        ModelError
            Not such numbers.
        """
        try:
            arrays = {
                name: np.asarray(entry[name], np.float64) for name in ("mean", "axes", "weights", "offset", "limit")
            }
            strength = float(entry["strength"])
        except (KeyError, TypeError, ValueError):
            raise ModelError("E_MODEL", "the per-image part of the model is damaged") from None
        k = len(arrays["offset"])
        shapes = [arrays[name].shape[:-1] for name in ("axes", "weights")] + [arrays["limit"].shape]
        fits = all(s == (k,) for s in shapes) and arrays["axes"].shape[-1:] == arrays["mean"].shape == QUANTILES.shape
        if not (fits and 0 <= strength <= 1 and all(np.isfinite(a).all() for a in arrays.values())):
            raise ModelError("E_MODEL", "the per-image part of the model is damaged")
        return cls(air=bool(entry["air"]), strength=strength, **arrays)
