"""How much further a source's images vary than the reference's: what settings from image to image leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from isotone.data.descriptors.image_set import QUANTILES

Floats = NDArray[np.float64]

TAILS = 1.2
"""Times the edge of chance that a matched scanner's variances reach: deviations have heavier tails than normal ones."""
NEAR = 0.95
"""Share of the images on either side that are near its middle."""
LEVEL = np.sqrt(len(QUANTILES)) / 255
"""Length of a deviation that moves every quantile of the anatomy by one of 255 grey levels."""
FLOOR = 4.0
"""Standard deviation in grey levels of 255 that a source's images have beyond the reference's, at least. A higher floor
misses gentler settings. Without one, a direction in which the reference varies by half a level decides (noise that a
response amplifies in the shadows). Chosen with `benchmarks/varies.py`."""
ODD = 2.0
"""An image this many times as far from the middle as all near ones is not asked: one odd image is no setting."""


@dataclass(frozen=True, eq=False)
class Excess:
    """Variances of a source's deviations, as multiples of the reference's.

    Attributes
    ----------
    axes : float64 array of shape (k, k)
        Deviations, shape (n, k), times it are uncorrelated on both sides, and of unit variance on the reference.
    ratios : float64 array of shape (k,)
        Variances of the source's deviations along them, as multiples of what chance makes of equal ones; 1 where that
        may explain what is found.
    """

    axes: Floats
    ratios: Floats

    @classmethod
    def fit(
        cls, residuals: Floats, deviations: Floats, weights: Floats, patients: tuple[NDArray[np.intp], NDArray[np.intp]]
    ) -> Self:
        """Compare two samples of deviations; too few patients of either side, or a few odd images, show no excess.

        Parameters
        ----------
        residuals : float64 array of shape (m, k)
            Of the reference's images.
        deviations : float64 array of shape (n, k)
            Of the source's.
        weights : float64 array of shape (m,)
            Of the reference's images, so that its classes are mixed as the source's are.
        patients : pair of integer arrays of shapes (m,) and (n,)
            Numbers of the patients of reference and source, from 0: their images are alike, and tell less than others.
        """
        k = residuals.shape[1]
        theirs = effective(residuals, patients[0], weights)
        ours = effective(deviations, patients[1], np.ones(len(deviations)))
        if theirs <= 2 * k or ours <= k + 1:  # where the edge below holds no more
            return cls(np.eye(k), np.ones(k))
        unit = whitening(covariance(residuals, weights))
        common, own = usual(residuals @ unit, weights), usual(deviations @ unit, np.ones(len(deviations)))
        white = whitening(covariance(residuals[common], weights[common]))
        found, directions = np.linalg.eigh(covariance(deviations[own] @ white))
        edge = chance_edge(k / theirs, k / ours)
        ratios = np.where(found > TAILS * edge, found / edge, 1.0)
        excess = cls(white @ directions, ratios)
        return cls(excess.axes, np.where(excess.levels >= FLOOR, ratios, 1.0))

    @property
    def levels(self) -> Floats:
        """Standard deviations beyond the reference's along the axes, in grey levels of 255, shape (k,)."""
        lengths: Floats = np.linalg.norm(np.linalg.inv(self.axes), axis=1)
        return np.asarray(np.sqrt(self.ratios - 1) * lengths / LEVEL)


def usual(numbers: Floats, weights: Floats) -> NDArray[np.bool_]:
    """Which images lie about where the others do, shape (n,); `numbers` have no correlations."""
    middle = np.quantile(numbers, 0.5, axis=0, weights=weights, method="inverted_cdf")
    distance: Floats = np.linalg.norm(numbers - middle, axis=1)
    near = np.quantile(distance, NEAR, weights=weights, method="inverted_cdf")
    return np.asarray(distance <= ODD * near, np.bool_)


def whitening(covariance: Floats) -> Floats:
    """Times it, numbers of this covariance have unit variances and no correlations."""
    scale, axes = np.linalg.eigh(covariance)
    return np.asarray(axes / np.sqrt(np.maximum(scale, 1e-12)))


def covariance(numbers: Floats, weights: Floats | None = None) -> Floats:
    """Of the columns, shape (k, k), also where there is one."""
    return np.cov(numbers.T, aweights=weights).reshape(numbers.shape[1], -1)


def effective(numbers: Floats, patients: NDArray[np.intp], weights: Floats) -> float:
    """How many images of equal weight, each of another patient, would tell as much of the covariance (Kish 1965).

    Squares of numbers with the correlation ρ have the correlation ρ²: that of a patient's images is taken from them.
    """
    x = (numbers - numbers.mean(0)) / np.maximum(numbers.std(0), 1e-12)
    count = np.bincount(patients)
    together = sum((np.bincount(patients, weights=column) ** 2).sum() for column in x.T)
    correlation = np.clip((together / x.shape[1] - len(x)) / max((count * (count - 1)).sum(), 1), 0, 1)
    alone, shared = (weights**2).sum(), (np.bincount(patients, weights=weights) ** 2).sum()
    return float(weights.sum() ** 2 / (alone + correlation**2 * (shared - alone)))


def chance_edge(theirs: float, ours: float) -> float:
    """How far apart the variances of two samples of one population lie along their best direction.

    The edge of Wachter's law (1980, doi:10.1214/aos/1176345134), the ratio of the second's variance to the first's.

    Parameters
    ----------
    theirs, ours : float
        Directions as a share of each sample's size; the first below 1.
    """
    return float(((1 + np.sqrt(ours + theirs - ours * theirs)) / (1 - theirs)) ** 2)
