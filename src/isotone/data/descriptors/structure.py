"""What an image shows apart from its tone: numbers that no scanner's response changes.

They tell which population a scanner's images come from (class mix, projection, anatomy, field of view) before
anything is known of its response. All of them are made of ranks, medians and level sets.
"""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray

from isotone.data.descriptors.foreground import Mask, boundaries, median

Floats = NDArray[np.float64]

SIDE = 96
"""Images are compared at this many pixels along their longer side, whatever they were."""
LEVELS = 16
"""Number of equal parts of the anatomy; the level sets between them have measured boundaries."""
GRID = 6
"""Rows of the layout, and columns before it is folded."""
SIZE = LEVELS - 1 + GRID * GRID
"""How many numbers describe an image."""
HIDDEN = 0.3
"""Share of a cell that is known, below which it counts as hidden."""
FAINTEST = 0.02
"""Smallest spread of a number that is taken for real: layouts are shares and mean ranks, in [0, 1]."""
SHARED = (0.05, 0.95)
"""Quantiles over the reference's images. A number that is nearly equal at both is shared."""
NEVER = 1e9
"""Scale of a shared number: any difference divided by it is practically zero."""


def structure(pixels: NDArray[np.uint16], anatomy: Mask, air: Mask | None = None) -> Floats:
    """Describe an image by its level sets and by the layout of its ranks.

    Parameters
    ----------
    pixels : uint16 array of shape (h, w)
    anatomy, air : bool arrays of shape (h, w)
        Pixels in neither mask are unknown (collimation, marks). Without `air`, all other pixels are air.

    Returns
    -------
    float64 array of shape (`SIZE`,)
        The logarithms of the lengths of the boundaries of 15 level sets (after medians of three),
        relative to the square root of the area: how finely and at which share of the anatomy it is divided
        into dark and bright. Then the mean rank in each cell of a grid of 6 × 3 (the image folded on its
        vertical axis) and the share of the cell that is anatomy; NaN where most of the cell is hidden.
    """
    rows, columns = (
        np.minimum(
            (np.arange(max(1, round(n * SIDE / max(pixels.shape)))) + 0.5) * max(pixels.shape) / SIDE, n - 1
        ).astype(int)
        for n in pixels.shape
    )
    smooth = median(pixels[np.ix_(rows, columns)])
    inside = anatomy[np.ix_(rows, columns)]
    known = np.ones_like(inside) if air is None else (anatomy | air)[np.ix_(rows, columns)]
    if not inside.any():
        return np.zeros(SIZE)
    rank = np.zeros(smooth.shape)
    rank[inside] = _ranks(smooth[inside])
    level = np.minimum((rank * LEVELS).astype(np.intp), LEVELS - 1)
    lengths = boundaries(level, inside, LEVELS - 1) / np.sqrt(inside.sum())
    return np.concatenate([np.log(lengths + 0.1), _layout(rank, inside, known)])


def spread(numbers: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each number over the reference's images, by which differences are measured.

    A number that (nearly) all of these images share says nothing of how images differ: one odd image would lie any
    number of standard deviations away. It enters no distance.

    Parameters
    ----------
    numbers : float64 array of shape (n, d)
        NaN where hidden.

    Returns
    -------
    centre : float64 array of shape (d,)
    scale : float64 array of shape (d,)
        At least `FAINTEST`; `NEVER` where the numbers of nine images in ten lie within `FAINTEST`.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a number that is hidden in all images
        low, high = np.nanquantile(numbers, SHARED, axis=0)
        centre, scale = np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0)
    telling = high - low >= FAINTEST  # False for NaN
    return np.nan_to_num(centre), np.where(telling, scale.clip(FAINTEST), NEVER)


def standardized(numbers: Floats, centre: Floats, scale: Floats) -> Floats:
    """Differences from the centre divided by the scale; hidden numbers (NaN) become 0."""
    return np.nan_to_num((numbers - centre) / scale)


def _ranks(values: NDArray[np.uint16]) -> Floats:
    """Ranks in (0, 1), equal values sharing the middle one."""
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray(((last - counts / 2) / last[-1])[where])


def _layout(rank: Floats, inside: Mask, known: Mask) -> Floats:
    h, w = rank.shape
    row, column = (np.arange(h) * GRID // h)[:, None], (np.arange(w) * GRID // w)[None]
    cell = row * (GRID // 2) + np.minimum(column, GRID - 1 - column)

    def total(values: NDArray[np.generic]) -> Floats:
        return np.asarray(np.bincount(cell.ravel(), values.ravel(), GRID * GRID // 2), np.float64)

    seen, share = total(known), total(inside)
    mean = np.where(share > 3, total(rank * inside) / np.maximum(share, 1), 0.5)
    fill = share / np.maximum(seen, 1)
    hidden = seen < HIDDEN * total(np.ones_like(known))
    return np.where(np.tile(hidden, 2), np.nan, np.concatenate([mean, fill]))
