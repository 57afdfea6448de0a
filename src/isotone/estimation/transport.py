"""From pooled grey levels of one scanner to those of another: the increasing map between two distributions.

A monotone response leaves quantiles in their places, so the map from source quantiles to reference quantiles,
T = F₀⁻¹ ∘ F_s, undoes it as far as the two populations agree. It is optimal transport in one dimension
(docs/method.md).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isotone.curves.stages import Knots
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import Descriptors

Floats = NDArray[np.float64]

BINS = 256
"""Equal shares of a pooled distribution whose means are matched."""
CLOSEST = 1e-6
"""Knots of a free curve are farther apart than this."""
FLATTEST = 1e-4
"""Smallest slope of a free curve."""
MIDDLE = np.linspace(0.2, 0.8, 7)
"""Quantiles over images whose mean is the middle image: of classes far apart, a median would be one or the other."""


class Pool:
    """The grey levels of a scanner's images, ordered once, so that any weighting of the images is quick.

    Every image counts alike, whatever its size. Air has the same share of every scanner's pool, taken from the images
    that show any: so air goes to air and anatomy to anatomy, however much of each is in view.

    Parameters
    ----------
    descriptors : Descriptors
    air : float
        Share of air, in [0, 1).
    """

    def __init__(self, descriptors: Descriptors, air: float) -> None:
        shown = ~np.isnan(descriptors.air[:, 0]) if air else np.zeros(len(descriptors), bool)
        index = np.arange(len(descriptors))
        k, a = descriptors.quantiles.shape[1], descriptors.air.shape[1]
        values = np.concatenate([descriptors.quantiles.ravel(), descriptors.air[shown].ravel()])
        image = np.concatenate([np.repeat(index, k), np.repeat(index[shown], a)])
        mass = np.concatenate(
            [np.full(len(descriptors) * k, 1 / k), np.full(int(shown.sum()) * a, 1 / a if a else 0.0)]
        )
        order = np.argsort(values, kind="stable")
        self._values, self._image, self._mass = values[order], image[order], mass[order]
        self._is_air, self._shown, self._air = order >= len(descriptors) * k, shown, air

    def quantiles(self, weights: Floats) -> Floats:
        """Mean grey level of each of `BINS` equal shares, images weighted by `weights` of shape (n,); increasing."""
        mass = weights[self._image] * self._mass
        showing = weights[self._shown].sum()
        if showing:
            mass *= np.where(self._is_air, self._air * weights.sum() / showing, 1 - self._air)
        rank = np.concatenate([[0.0], np.cumsum(mass)])
        integral = np.concatenate([[0.0], np.cumsum(mass * self._values)])
        edges = np.linspace(0, rank[-1], BINS + 1)
        means = np.diff(np.interp(edges, rank, integral)) * BINS / rank[-1]
        return np.maximum.accumulate(np.clip(means, 0, 1))


class MiddleImage:
    """The grey levels of a scanner's middle image: what `Pool` has, for images that were each exposed differently.

    Settings that change from image to image widen pooled grey levels, and to map a wide distribution onto a narrow one
    costs contrast; they leave the middle image, a trimmed mean over images, about where it is. A response that all
    images share goes through that mean only as far as it is straight there; so where nothing varies the pool is better.

    Parameters
    ----------
    descriptors : Descriptors
    air : float
        Share of air, in [0, 1).
    """

    def __init__(self, descriptors: Descriptors, air: float) -> None:
        self._descriptors, self._air = descriptors, air
        self._shown = ~np.isnan(descriptors.air[:, 0])

    def quantiles(self, weights: Floats) -> Floats:
        """Mean grey level of each of `BINS` equal shares, images weighted by `weights` of shape (n,); increasing."""
        descriptors, shown = self._descriptors, self._shown
        air = (
            _middle(descriptors.air[shown], weights[shown])
            if weights[shown].any()
            else np.full_like(descriptors.air[:1], np.nan)
        )
        middle = _middle(descriptors.quantiles, weights)
        return Pool(
            Descriptors(descriptors.structure[:1], middle, air, descriptors.labels[:1], descriptors.patients[:1]),
            self._air,
        ).quantiles(np.ones(1))


Levels = Pool | MiddleImage
"""Of a scanner: what is matched."""


def _middle(values: Floats, weights: Floats) -> Floats:
    """Of each column, shape (1, k)."""
    found = np.quantile(values, MIDDLE, axis=0, weights=weights, method="inverted_cdf")
    return np.asarray(found.mean(0, keepdims=True), np.float64)


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
