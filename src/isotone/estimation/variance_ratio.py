"""How much more a source's images vary in tone than the reference's; varying settings cause this."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from isotone.data.descriptors.image_set import QUANTILES

Floats = NDArray[np.float64]

TAILS = 1.2
"""Factor on the chance limit of a variance ratio: deviations have heavier tails than normal variables."""
NEAR = 0.95
"""Share of the images on either side that are near its middle."""
LEVEL = np.sqrt(len(QUANTILES)) / 255
"""Length of a deviation that moves every quantile of the anatomy by one of 255 grey levels."""
FLOOR = 4.0
"""Least standard deviation, in grey levels of 255, by which a source must exceed the reference. A higher value misses
weak settings. Without a minimum, a direction where the reference varies by half a level can decide (shadow noise
that a response amplifies). Chosen with `benchmarks/varies.py`."""
ODD = 2.0
"""An image is left out if it is more than this many times as far from the middle as the near ones."""


@dataclass(frozen=True, eq=False)
class VarianceRatio:
    """Variances of a source's deviations, as multiples of the reference's.

    Attributes
    ----------
    axes : float64 array of shape (k, k)
        Multiplied by this matrix, deviations of shape (n, k) are uncorrelated on both sides, with unit variance on the
        reference.
    ratios : float64 array of shape (k,)
        Variances of the source's deviations along the axes, as multiples of the chance limit for equal variances; 1
        where chance can explain the value.
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
            Patient numbers of reference and source, from 0. Images of one patient are correlated and count for less.
        """
        k = residuals.shape[1]
        theirs = effective(residuals, patients[0], weights)
        ours = effective(deviations, patients[1], np.ones(len(deviations)))
        if theirs <= 2 * k or ours <= k + 1:  # too few for Wachter's law, which gives the edge below
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
    """Matrix that makes numbers of this covariance uncorrelated, with unit variances."""
    scale, axes = np.linalg.eigh(covariance)
    return np.asarray(axes / np.sqrt(np.maximum(scale, 1e-12)))


def covariance(numbers: Floats, weights: Floats | None = None) -> Floats:
    """Covariance of the columns, of shape (k, k) for one column too."""
    return np.cov(numbers.T, aweights=weights).reshape(numbers.shape[1], -1)


def effective(numbers: Floats, patients: NDArray[np.intp], weights: Floats) -> float:
    """How many images of equal weight, each of another patient, would tell as much of the covariance (Kish 1965).

    If numbers have correlation ρ, their squares have correlation ρ²; ρ is that of a patient's images.
    """
    x = (numbers - numbers.mean(0)) / np.maximum(numbers.std(0), 1e-12)
    count = np.bincount(patients)
    together = sum((np.bincount(patients, weights=column) ** 2).sum() for column in x.T)
    correlation = np.clip((together / x.shape[1] - len(x)) / max((count * (count - 1)).sum(), 1), 0, 1)
    alone, shared = (weights**2).sum(), (np.bincount(patients, weights=weights) ** 2).sum()
    return float(weights.sum() ** 2 / (alone + correlation**2 * (shared - alone)))


def chance_edge(theirs: float, ours: float) -> float:
    """Largest variance ratio of two samples of one population that chance produces, along any direction.

    The edge of Wachter's law (1980, doi:10.1214/aos/1176345134), the ratio of the second's variance to the first's.

    Parameters
    ----------
    theirs, ours : float
        Directions as a share of each sample's size; the first below 1.
    """
    return float(((1 + np.sqrt(ours + theirs - ours * theirs)) / (1 - theirs)) ** 2)
