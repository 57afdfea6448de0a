"""From pooled grey levels of one scanner to those of another: the increasing map between two distributions.

A monotone response leaves quantiles in their places, so the map from source quantiles to reference quantiles
(optimal transport in one dimension) undoes it, as far as the two populations agree (METHOD.md §4.1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isotone.data.sample import Sample
from isotone.foreground import CLEAR, Regions

Floats = NDArray[np.float64]

BINS = 1024
"""Bins of a scanner's histograms, of equal pooled mass."""


@dataclass(frozen=True, eq=False)
class GreyLevels:
    """The grey levels of a scanner's images, so that every weighting of the images is one matrix product.

    Attributes
    ----------
    levels : float64 array of shape (m,)
        Mean grey level of each bin, in [0, 1], increasing.
    mass : float64 array of shape (n, m)
        Share of image i in bin j; rows sum to 1.
    """

    levels: Floats
    mass: Floats

    def pooled(self, weights: Floats) -> Floats:
        """Mass per bin with images weighted by `weights` of shape (n,); sums to 1."""
        return np.asarray(weights @ self.mass / weights.sum())


def grey_levels(samples: Sequence[Sample], parts: Sequence[Regions], air: float) -> GreyLevels:
    """Histograms in which every image counts alike, whatever its size and its share of air.

    Parameters
    ----------
    samples, parts
        Images and their regions.
    air : float
        Share of the mass, in [0, 1), that the background has in every image that has one: the same on both scanners,
        so that air goes to air and anatomy to anatomy, however much of each is in view.
    """
    pairs = [
        (s.pixels[r.foreground], s.pixels[r.background]) if air else (s.pixels[r.foreground | r.background], None)
        for s, r in zip(samples, parts, strict=True)
    ]
    counts = np.zeros(65536)
    rows = []
    for fore, back in pairs:
        row = np.bincount(fore, minlength=65536) / max(len(fore), 1)
        if back is not None and len(back):
            row = (1 - air) * row + air * np.bincount(back, minlength=65536) / len(back)
        row /= max(row.sum(), 1e-12)
        rows.append(row)
        counts += row
    cumulative = np.cumsum(counts) / counts.sum()
    # Levels of equal cumulative mass share a bin: first a bin number for each of 65,536 levels, then compact.
    number = np.minimum((cumulative * BINS).astype(int), BINS - 1)
    used, number = np.unique(np.where(counts > 0, number, -1), return_inverse=True)
    first = 1 if used[0] == -1 else 0
    width = len(used)
    mass = np.stack([np.bincount(number, weights=row, minlength=width)[first:] for row in rows])
    weight = np.bincount(number, weights=counts, minlength=width)[first:]
    total = np.bincount(number, weights=counts * np.arange(65536), minlength=width)[first:]
    return GreyLevels(total / weight / 65535, mass)


def quantile_map(source: GreyLevels, reference: GreyLevels, w_source: Floats, w_reference: Floats) -> Floats:
    """Reference grey level that each level of the source goes to.

    Each bin of the source covers an interval of ranks and goes to the mean of the reference's quantiles over it (the
    barycentre of what transport sends there), so that coarse source levels are treated fairly.

    Parameters
    ----------
    source, reference : GreyLevels
    w_source, w_reference : float64 arrays of shape (n,)
        Weights of the images.

    Returns
    -------
    float64 array of shape (m,)
        Increasing (not strictly), in [0, 1], one for each of `source.levels`.
    """
    target = reference.pooled(w_reference)
    ranks = np.concatenate([[0.0], np.cumsum(target)])
    integral = np.concatenate([[0.0], np.cumsum(target * reference.levels)])
    mine = source.pooled(w_source)
    edges = np.concatenate([[0.0], np.cumsum(mine)])
    covered = np.diff(np.interp(edges / edges[-1], ranks / ranks[-1], integral))
    levels = np.interp((edges[:-1] + edges[1:]) / 2, ranks, np.r_[reference.levels[0], reference.levels])
    mean = np.divide(covered, mine, out=levels, where=mine > 1e-9)
    return np.maximum.accumulate(np.clip(mean, 0, 1))


def air_share(source: Sequence[Regions], reference: Sequence[Regions]) -> float:
    """Share of the mass that air gets: that of the reference where both scanners' images show air, else 0."""
    for parts in (source, reference):
        if np.median([p.clearness for p in parts]) < CLEAR:
            return 0.0
    return float(np.mean([p.background.sum() / max((p.foreground | p.background).sum(), 1) for p in reference]))
