"""From pooled grey levels of one scanner to those of another: the increasing map between two distributions.

A monotone response leaves quantiles in their places, so the map from source quantiles to reference quantiles
(optimal transport in one dimension) undoes it, as far as the two populations agree (METHOD.md §4.1).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isotone.curves import ToneCurve
from isotone.population import Views
from isotone.stages import Knots

Floats = NDArray[np.float64]

BINS = 256
"""Equal shares of a pooled distribution whose means are matched."""
CLOSEST = 1e-6
"""Knots of a free curve are farther apart than this."""
FLATTEST = 1e-4
"""Smallest slope of a free curve."""


class Pool:
    """The grey levels of a scanner's images, ordered once, so that any weighting of the images is quick.

    Every image counts alike, whatever its size. Air has the same share of every image that shows any, the same on
    both scanners: so air goes to air and anatomy to anatomy, however much of each is in view.

    Parameters
    ----------
    views : Views
    air : float
        Share of air, in [0, 1).
    """

    def __init__(self, views: Views, air: float) -> None:
        shown = ~np.isnan(views.air[:, 0]) if air else np.zeros(len(views), bool)
        index = np.arange(len(views))
        k, a = views.quantiles.shape[1], views.air.shape[1]
        values = np.concatenate([views.quantiles.ravel(), views.air[shown].ravel()])
        image = np.concatenate([np.repeat(index, k), np.repeat(index[shown], a)])
        mass = np.concatenate(
            [np.repeat((1 - air * shown) / k, k), np.full(int(shown.sum()) * a, air / a if a else 0.0)]
        )
        order = np.argsort(values, kind="stable")
        self._values, self._image, self._mass = values[order], image[order], mass[order]

    def quantiles(self, weights: Floats) -> Floats:
        """Mean grey level of each of `BINS` equal shares, images weighted by `weights` of shape (n,); increasing."""
        mass = weights[self._image] * self._mass
        rank = np.concatenate([[0.0], np.cumsum(mass)])
        integral = np.concatenate([[0.0], np.cumsum(mass * self._values)])
        edges = np.linspace(0, rank[-1], BINS + 1)
        means = np.diff(np.interp(edges, rank, integral)) * BINS / rank[-1]
        return np.maximum.accumulate(np.clip(means, 0, 1))


def band(
    source: Pool,
    reference: Pool,
    weights: Floats,
    patients: tuple[NDArray[np.intp], NDArray[np.intp]],
    levels: Floats,
    resamples: int,
    seed: int,
) -> dict[str, list[float]]:
    """Pointwise 95 % interval of the transport at given source levels, patients of both scanners resampled.

    Parameters
    ----------
    source, reference : Pool
    weights : float64 array of shape (n,)
        Of the reference images.
    patients : pair of integer arrays
        Numbers of the patients of source and reference, from 0.
    levels : float64 array of shape (m,)
        Grey levels of the source.
    resamples, seed : int

    Returns
    -------
    dict
        ``x``, ``low``, ``high``: lists of m numbers; empty without resamples.
    """
    rng = np.random.default_rng(seed)
    curves = []
    for _ in range(resamples):
        ours, theirs = (
            np.bincount(rng.integers(0, p.max() + 1, p.max() + 1), minlength=p.max() + 1)[p].astype(np.float64)
            for p in patients
        )
        if ours.any() and (theirs * weights).sum() > 0:
            x, y = source.quantiles(ours), reference.quantiles(theirs * weights)
            curves.append(np.interp(levels, x, y))
    if not curves:
        return {}
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    return {"x": levels.tolist(), "low": low.tolist(), "high": high.tolist()}


def free_curve(x: Floats, y: Floats) -> ToneCurve:
    """Straight lines through the points and the ends, slopes kept above zero."""
    inside = np.clip(x, CLOSEST, 1 - CLOSEST)
    kept = [0]
    for i in range(1, len(inside)):
        if inside[i] - inside[kept[-1]] > CLOSEST:
            kept.append(i)
    grid = np.concatenate([[0.0], inside[kept], [1.0]])
    levels = np.maximum.accumulate(np.concatenate([[0.0], y[kept], [1.0]]))
    levels = FLATTEST * grid + (1 - FLATTEST) * levels
    return ToneCurve([Knots(tuple(grid.tolist()), tuple(levels.tolist()))])
