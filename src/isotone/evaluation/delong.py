"""Whether two AUCs on the same images differ: DeLong's test, patients as clusters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class DeLong:
    """Two correlated AUCs.

    Attributes
    ----------
    auc : pair of float
    difference : float
        Second minus first.
    standard_error : float
        Of the difference.
    p : float
        Two-sided; 1 where the two rank the images alike.
    """

    auc: tuple[float, float]
    difference: float
    standard_error: float
    p: float

    @property
    def interval(self) -> tuple[float, float]:
        """95 % interval of the difference."""
        half = float(norm.ppf(0.975)) * self.standard_error
        return self.difference - half, self.difference + half


def delong(
    positive: NDArray[np.bool_], first: Floats, second: Floats, patients: Sequence[object] | None = None
) -> DeLong | None:
    """Compare two scores of the same images.

    Parameters
    ----------
    positive : bool array of shape (n,)
    first, second : arrays of shape (n,)
    patients : sequence of n, optional
        Images of one patient are a cluster (Obuchowski, "Nonparametric analysis of clustered ROC curve data",
        Biometrics 53 (1997) 567); without, each image is its own (DeLong, DeLong and Clarke-Pearson, Biometrics 44
        (1988) 837). Placements by ranks: Sun and Xu, IEEE Signal Process Lett 21 (2014) 1389.

    Returns
    -------
    DeLong or None
        None with fewer than two clusters that hold positives, or that hold negatives.
    """
    groups = np.arange(len(positive)) if patients is None else np.asarray(patients, dtype=str)
    _, cluster = np.unique(groups, return_inverse=True)
    both = [_placements(positive, np.asarray(s, np.float64)) for s in (first, second)]
    areas = np.array([up.mean() if len(up) else np.nan for up, _ in both])
    ups, clusters_up = _centred([up for up, _ in both], areas, cluster[positive], cluster.max() + 1)
    downs, clusters_down = _centred([down for _, down in both], areas, cluster[~positive], cluster.max() + 1)
    if clusters_up < 2 or clusters_down < 2:
        return None
    m, n, k = positive.sum(), (~positive).sum(), ups.shape[1]
    covariance = (
        clusters_up / (clusters_up - 1) * (ups @ ups.T) / m**2
        + clusters_down / (clusters_down - 1) * (downs @ downs.T) / n**2
        + k / (k - 1) * (ups @ downs.T + downs @ ups.T) / (m * n)
    )
    contrast = np.array([-1.0, 1.0])
    error = float(np.sqrt(max(contrast @ covariance @ contrast, 0.0)))
    difference = float(areas[1] - areas[0])
    p = float(2 * norm.sf(abs(difference) / error)) if error > 0 else float(difference == 0)
    return DeLong((float(areas[0]), float(areas[1])), difference, error, p)


def _placements(positive: NDArray[np.bool_], scores: Floats) -> tuple[Floats, Floats]:
    """Share of negatives below each positive, and of positives above each negative; ties count half."""
    up, down = scores[positive], scores[~positive]
    ranks = rankdata(scores)
    above = (ranks[positive] - rankdata(up)) / max(len(down), 1)
    below = 1 - (ranks[~positive] - rankdata(down)) / max(len(up), 1)
    return above, below


def _centred(parts: list[Floats], areas: Floats, cluster: NDArray[np.intp], count: int) -> tuple[Floats, int]:
    """Sums over each cluster of placement − area, shape (2, clusters); and how many clusters have any."""
    sums = [np.bincount(cluster, part - area, count) for part, area in zip(parts, areas, strict=True)]
    return np.array(sums), len(np.unique(cluster))
