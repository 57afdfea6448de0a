"""How alike neighbouring pixels are: an image without any likeness but shading is noise, and shows nobody."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

NOISE = 0.1
"""Autocorrelation below which an image is noise. Flat fields, shaded or not, and failed exposures have 0.03 at most;
radiographs have 0.65 at least, and half of the chests 0.2 behind as much noise as there is picture
(docs/results_ideas.md)."""
DEGREE = 3
"""Of the shading that is taken away: the heel effect, and how intensity falls towards the corners."""
SIDE = 64
"""Longest side of what is looked at, in pixels; that of more costs time, and anatomy is coarser."""


def autocorrelation(pixels: NDArray[np.uint16], inside: Mask) -> float:
    """Correlation of neighbouring pixels' ranks, less their shading (Moran's I, 1950, doi:10.1093/biomet/37.1-2.17).

    Ranks are the same behind every increasing response.

    Parameters
    ----------
    pixels : uint16 array of shape (h, w)
    inside : bool array of shape (h, w)
        Only pairs in it count.

    Returns
    -------
    float
        In [-1, 1]; 0 without any pairs, or where all their pixels are equal.

    Examples
    --------
    >>> import numpy as np
    >>> waves = (1000 * np.add.outer(np.sin(np.arange(64) / 3), np.ones(64)) + 1000).astype(np.uint16)
    >>> autocorrelation(waves, np.ones(waves.shape, bool)) > 0.9
    True
    """
    step = -(-max(pixels.shape) // SIDE)
    pixels, inside = pixels[::step, ::step], inside[::step, ::step]
    _, which, counts = np.unique(pixels[inside], return_inverse=True, return_counts=True)
    rest = np.zeros(pixels.shape)
    rest[inside] = _less_shading(((np.cumsum(counts) - counts / 2) / max(counts.sum(), 1))[which], inside)
    pairs = [
        (values[1:][known], values[:-1][known])
        for values, mask in ((rest, inside), (rest.T, inside.T))
        for known in [mask[1:] & mask[:-1]]
    ]
    a, b = (np.concatenate(side) for side in zip(*pairs, strict=True))
    if not len(a) or min(a.std(), b.std()) < 1e-9:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


def _less_shading(values: Floats, inside: Mask) -> Floats:
    """What is left of the values inside without the nearest polynomial of `DEGREE` in both coordinates."""
    y, x = (2 * where / max(side - 1, 1) - 1 for where, side in zip(np.nonzero(inside), inside.shape, strict=True))
    terms = np.stack([y**i * x**j for i in range(DEGREE + 1) for j in range(DEGREE + 1 - i)], 1)
    return np.asarray(values - terms @ np.linalg.lstsq(terms, values, rcond=None)[0])
