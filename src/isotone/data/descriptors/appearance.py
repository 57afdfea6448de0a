"""What an image looks like, in nineteen numbers: how bright it is, and how its brightness is laid out.

The layout is told by ranks of grey levels alone, so no scanner's response changes it; brightness is what a response
changes. That is how another response and another anatomy are told apart.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isotone.data.descriptors.foreground import Regions, regions
from isotone.data.sample import Sample

Floats = NDArray[np.float64]

FOREGROUND = (5, 25, 50, 75, 95)
"""Percentiles of the anatomy."""
FRAME = (0.5, 99.5)
"""Percentiles of anatomy and air together."""
GRID = 4
"""Rows of the thumbnail of ranks, and columns before it is folded."""
LAYOUT = GRID * GRID // 2 + 4
"""How many of the numbers are layout; they come first, brightness after them."""
SIZE = LAYOUT + len(FOREGROUND) + len(FRAME)
"""How many numbers in all; the depth comes after them."""


def look(sample: Sample, parts: Regions | None = None) -> Floats:
    """Describe an image.

    Parameters
    ----------
    sample : Sample
    parts : Regions, optional
        Its regions, where they are known already.

    Returns
    -------
    float64 array of shape (`SIZE` + 1,)
        First `LAYOUT` numbers of layout: mean ranks in a grid of 4 × 2 (the image folded on its vertical axis, so
        that left and right are alike), how unlike left and right are, the share of air, and the logarithms of the
        mean step in rank to the next pixel and to the eighth. Then percentiles of presentation values, in [0, 1]:
        five of the anatomy, two of the whole frame. Last the depth: the logarithm (base 2) of how many
        values occur between the 2nd and 98th percentile. It tells 8-bit data in a 12-bit file, shifted or not.
    """
    parts = parts or regions(sample)
    return np.concatenate([_layout(sample, parts), _tone(sample, parts), [_depth(sample)]])


def through(looks: Floats, curve: Callable[[Floats], Floats]) -> Floats:
    """Looks of shape (n, `SIZE` + 1) as they would be had every image gone through an increasing curve.

    The layout stays, and so does the depth, which says nothing across scanners.
    """
    mapped = looks.copy()
    mapped[:, LAYOUT:SIZE] = curve(looks[:, LAYOUT:SIZE])
    return mapped


def _tone(sample: Sample, parts: Regions) -> Floats:
    inside = parts.picture
    if not inside.any():
        return np.zeros(SIZE - LAYOUT)
    anatomy = parts.foreground if parts.foreground.any() else inside
    inner, outer = sample.pixels[anatomy], sample.pixels[inside]
    return np.concatenate([np.percentile(inner, FOREGROUND), np.percentile(outer, FRAME)]) / 65535


def _layout(sample: Sample, parts: Regions) -> Floats:
    inside = parts.picture
    if not inside.any():
        return np.zeros(LAYOUT)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    pixels = sample.pixels[box]
    if min(pixels.shape) < GRID:
        return np.zeros(LAYOUT)
    counts = np.bincount(pixels.ravel(), minlength=2**16)
    ranks = ((np.cumsum(counts) - counts / 2) / pixels.size)[pixels]
    tiles = np.array(
        [[tile.mean() for tile in np.array_split(band, GRID, axis=1)] for band in np.array_split(ranks, GRID, axis=0)]
    )
    folded = (tiles + tiles[:, ::-1])[:, : GRID // 2] / 2
    smooth = ndimage.uniform_filter(ranks, 3, mode="nearest")
    return np.array(
        [
            *folded.ravel(),
            np.abs(tiles - tiles[:, ::-1]).mean(),
            parts.background.sum() / inside.sum(),
            np.log(_step(ranks, 1) + 1e-3),
            np.log(_step(smooth, 8) + 1e-3),
        ]
    )


def _step(ranks: Floats, lag: int) -> float:
    """Mean absolute difference of pixels `lag` apart, along both axes."""
    steps = [np.abs(ranks[lag:] - ranks[:-lag]), np.abs(ranks[:, lag:] - ranks[:, :-lag])]
    return float(np.mean([s.mean() if s.size else 0.0 for s in steps]))


def _depth(sample: Sample) -> float:
    counts = np.bincount(sample.pixels[sample.valid], minlength=2**16)
    up_to = np.cumsum(counts)
    size = int(up_to[-1])
    if not size:
        return 0.0
    inner = (up_to > size // 50) & (up_to - counts < size - size // 50)
    return float(np.log2(np.count_nonzero(counts[inner])))
