"""Which pixels are anatomy, which are air: told from the shape of level sets alone.

A scanner's response changes grey levels and leaves their order. So whatever is chosen here from the order of
the grey levels (level sets, ranks, medians) is the same set of pixels on every scanner, and grey levels
pooled over it are comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isotone.data.sample import Sample

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

LEVELS = 128
"""How many level sets of an image are looked at, evenly spaced in area."""
CLEAR = 2.5
"""Air is told from anatomy where the best level set is this many times better than the median one."""
SLACK = 1.25
"""How much longer than the best level set's boundary the one may be that is taken in the end."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The two populations of pixels in an image.

    Attributes
    ----------
    foreground, background : bool arrays of shape (h, w)
        Anatomy, and air beside it; what is neither is padding or collimation. Without any air the background
        is empty.
    clearness : float
        How many times better the level set that separates them is than the median one.
    """

    foreground: Mask
    background: Mask
    clearness: float


def frame(pixels: NDArray[np.uint16], valid: Mask) -> Mask:
    """True inside the outermost rows and columns that are constant, as dark or as bright as the image gets."""
    inside = valid.copy()
    if not inside.any():
        return inside
    for extreme in (pixels[valid].min(), pixels[valid].max()):
        blank = (pixels == extreme) | ~valid
        for axis in (0, 1):
            full = np.flatnonzero(blank.mean(axis=axis) < 0.98)
            if len(full):
                keep = np.zeros(blank.shape[1 - axis], bool)
                keep[full[0] : full[-1] + 1] = True
                inside &= keep[None, :] if axis == 0 else keep[:, None]
    return inside


def regions(sample: Sample, slack: float = SLACK) -> Regions:
    """Tell anatomy from air by the level set whose boundary is shortest for its area (Cheeger's ratio).

    Air is one smooth piece, darker than all else, along the border; a level set that cuts through anatomy or
    through noise has a boundary many times longer. Of all level sets about as short as the best one the
    darkest is taken: it follows the skin, whatever share of the image is air. The choice commutes with every
    increasing map of the grey levels.

    Parameters
    ----------
    sample : Sample
    slack : float
        How many times longer than the best level set's boundary the one taken may be. 0 takes the best itself,
        which blur moves less, and a smaller field of view more.

    Returns
    -------
    Regions
        Background where dark pixels hang together with the border of the image.
    """
    inside = frame(sample.pixels, sample.valid)
    smooth = median(sample.pixels)
    cuts, area, boundary = _level_sets(smooth, inside)
    if len(cuts) < 3:
        return Regions(inside, np.zeros_like(inside), 1.0)
    ratio = boundary / np.minimum(area, 1 - area)
    best = taken = int(np.argmin(ratio))
    while taken > 0 and boundary[taken - 1] <= slack * boundary[best]:
        taken -= 1
    pieces, count = ndimage.label((smooth <= cuts[taken]) & inside)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    at_edge = np.zeros(count + 1, bool)
    for edge in (pieces[rows[[0, -1]]], pieces[:, columns[[0, -1]]]):
        at_edge[edge] = True
    at_edge[0] = False  # what is brighter
    background = at_edge[pieces]
    return Regions(inside & ~background, background, float(np.median(ratio) / max(ratio[best], 1e-12)))


def median(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Of three pixels along each column, then of three along each row: the same pixels through every response."""
    for axis in (0, 1):
        padded = np.pad(pixels, [(int(axis == 0),) * 2, (int(axis == 1),) * 2], mode="edge")
        a, b, c = (np.take(padded, range(k, k + pixels.shape[axis]), axis) for k in range(3))
        pixels = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    return pixels


def boundaries(level: NDArray[np.intp], inside: Mask, count: int) -> Floats:
    """How many pairs of neighbouring pixels each level set divides.

    Parameters
    ----------
    level : integer array of shape (h, w)
        0 to `count`; level set k are the pixels of at most k.
    inside : bool array of shape (h, w)
        Pairs with a pixel outside do not count.
    count : int

    Returns
    -------
    float64 array of shape (count,)
    """
    total = np.zeros(count + 1)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        low, high = np.minimum(level[a], level[b]), np.maximum(level[a], level[b])
        apart = ~(inside[a] & inside[b])
        low[apart] = high[apart] = count
        total += np.bincount(low.ravel(), minlength=count + 1) - np.bincount(high.ravel(), minlength=count + 1)
    return np.cumsum(total)[:-1]


def _level_sets(smooth: NDArray[np.uint16], inside: Mask) -> tuple[NDArray[np.uint16], Floats, Floats]:
    """Thresholds, and the share of the area and the boundary's length of each of their level sets."""
    up_to = np.cumsum(np.bincount(smooth[inside], minlength=2**16))
    size = int(up_to[-1])
    if not size:
        return np.empty(0, np.uint16), np.empty(0), np.empty(0)
    cuts = np.unique(np.searchsorted(up_to, np.arange(1, LEVELS) * size // LEVELS, side="right"))
    # How many cuts lie below each value: at most k exactly where it is at most cuts[k].
    below = np.cumsum(np.bincount(cuts + 1, minlength=2**16 + 1))
    boundary = boundaries(below[smooth], inside, len(cuts))
    area = up_to[cuts] / size
    usable = (area > 0.02) & (area < 0.98)
    return cuts[usable].astype(np.uint16), area[usable], boundary[usable]
