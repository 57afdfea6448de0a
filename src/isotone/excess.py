"""How much further a source's images vary than the reference's: what settings from image to image leave behind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Excess:
    """Variances of a source's deviations, as multiples of the reference's.

    Attributes
    ----------
    axes : float64 array of shape (k, k)
        Deviations, shape (n, k), times it are uncorrelated on both sides, and of unit variance on the reference.
    ratios : float64 array of shape (k,)
        Variances of the source's deviations along them; 1 where chance explains what is found.
    """

    axes: Floats
    ratios: Floats

    @classmethod
    def fit(cls, residuals: Floats, deviations: Floats, weights: Floats) -> Self:
        """Compare two samples of deviations.

        A ratio that lies beyond the edge of what chance does is corrected for what chance adds to it (Wang & Yao
        2017, doi:10.1214/16-AOS1463); one that does not is 1.

        Parameters
        ----------
        residuals : float64 array of shape (m, k)
            Of the reference's images.
        deviations : float64 array of shape (n, k)
            Of the source's.
        weights : float64 array of shape (m,)
            Of the reference's images, so that its classes are mixed as the source's are.
        """
        ours, theirs = _crowding(residuals, deviations)
        white = whitening(covariance(residuals, weights))
        found, directions = np.linalg.eigh(covariance(deviations @ white))
        # λ = ℓ (ℓ - 1 + ours) / (ℓ - 1 - theirs ℓ), solved for ℓ; its two solutions meet at the edge.
        half = (found * (1 - theirs) + 1 - ours) / 2
        beyond = found > chance_edge(residuals, deviations)
        ratios = np.where(beyond, half + np.sqrt(np.maximum(half**2 - found, 0)), 1.0)
        return cls(white @ directions, np.maximum(ratios, 1.0))

    @property
    def share(self) -> Floats:
        """Times it, a deviation is what to take back of it, shape (k, k).

        What is left is the best linear guess at what the image would have shown on the reference (Wiener 1949).
        """
        return np.asarray(self.axes * (1 - 1 / self.ratios) @ np.linalg.inv(self.axes))

    @property
    def root(self) -> Floats:
        """Times it, standard normal numbers vary as the source's deviations do beyond the reference's, (k, k)."""
        return np.asarray(np.sqrt(self.ratios - 1)[:, None] * np.linalg.inv(self.axes))


def whitening(covariance: Floats) -> Floats:
    """Times it, numbers of this covariance have unit variances and no correlations."""
    scale, axes = np.linalg.eigh(covariance)
    return np.asarray(axes / np.sqrt(np.maximum(scale, 1e-12)))


def covariance(numbers: Floats, weights: Floats | None = None) -> Floats:
    """Of the columns, shape (k, k), also where there is one."""
    return np.cov(numbers.T, aweights=weights).reshape(numbers.shape[1], -1)


def chance_edge(residuals: Floats, deviations: Floats) -> float:
    """How far apart the variances of two samples of one population lie along their best direction.

    The edge of Wachter's law (1980, doi:10.1214/aos/1176345134), the ratio of the second's variance to the first's.
    """
    ours, theirs = _crowding(residuals, deviations)
    return float(((1 + np.sqrt(ours + theirs - ours * theirs)) / (1 - theirs)) ** 2)


def variation(residuals: Floats, deviations: Floats) -> float:
    """The largest variance of a source's deviations, the reference's being 1, as a multiple of what chance makes it."""
    largest = np.linalg.eigvalsh(covariance(deviations @ whitening(covariance(residuals))))[-1]
    return float(largest / chance_edge(residuals, deviations))


def _crowding(residuals: Floats, deviations: Floats) -> tuple[float, float]:
    """Numbers per image, of the source and of the reference."""
    count = residuals.shape[1]
    return min(count / len(deviations), 0.9), min(count / len(residuals), 0.9)
