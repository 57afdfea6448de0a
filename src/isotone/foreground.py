"""Which pixels are anatomy, which are air: told from the shape of level sets alone.

A scanner's response changes grey levels and leaves their order. So whatever is chosen here from the order of the
grey levels (level sets, ranks, medians) is the same set of pixels on every scanner, and grey levels pooled over it
are comparable.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isotone.data.sample import Sample

Mask = NDArray[np.bool_]

LEVELS = 128
"""How many level sets of an image are looked at, evenly spaced in area."""
CLEAR = 3.0
"""Air is told from anatomy where the best level set is this many times better than the median one."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The two populations of pixels in an image.

    Attributes
    ----------
    foreground, background : bool arrays of shape (h, w)
        Anatomy, and air beside it; what is neither is padding or collimation. Without any air the background is
        empty.
    clearness : float
        How many times better the level set that separates them is than the median one.
    """

    foreground: Mask
    background: Mask
    clearness: float


def frame(pixels: NDArray[np.uint16], valid: Mask) -> Mask:
    """True inside the outermost rows and columns that are constant and as dark or as bright as the image gets."""
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


def regions(sample: Sample) -> Regions:
    """Tell anatomy from air by the level set whose boundary is shortest for its area (Cheeger's ratio).

    Air is one smooth piece, darker than all else, along the border; a level set that cuts through anatomy or through
    noise has a boundary many times longer. The choice commutes with every increasing map of the grey levels.

    Returns
    -------
    Regions
        Background where dark pixels hang together with the border of the image.
    """
    inside = frame(sample.pixels, sample.valid)
    smooth = ndimage.median_filter(sample.pixels, 3, mode="nearest")
    cuts, ratio = _cheeger(smooth, inside)
    if len(cuts) < 3:
        return Regions(inside, np.zeros_like(inside), 1.0)
    best = int(np.argmin(ratio))
    pieces, _ = ndimage.label((smooth <= cuts[best]) & inside)
    rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
    edge = np.concatenate([pieces[rows[[0, -1]]].ravel(), pieces[:, columns[[0, -1]]].ravel()])  # of the framed image
    background = np.isin(pieces, np.setdiff1d(edge, 0))
    return Regions(inside & ~background, background, float(np.median(ratio) / ratio[best]))


def _cheeger(smooth: NDArray[np.uint16], inside: Mask) -> tuple[NDArray[np.uint16], NDArray[np.float64]]:
    """Thresholds, and boundary length over the smaller side's area of each of their level sets."""
    ordered = np.sort(smooth[inside])
    cuts = np.unique(ordered[np.arange(1, LEVELS) * len(ordered) // LEVELS])
    level = np.searchsorted(cuts, smooth)  # ≤ k exactly where the pixel is ≤ cuts[k]
    area = np.cumsum(np.bincount(level[inside], minlength=len(cuts) + 1))[:-1] / len(ordered)
    boundary = np.zeros(len(cuts) + 1)
    for a, b in ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1])):
        both = inside[a] & inside[b]
        low, high = np.minimum(level[a], level[b])[both], np.maximum(level[a], level[b])[both]
        boundary += np.cumsum(np.bincount(low, minlength=len(boundary)) - np.bincount(high, minlength=len(boundary)))
    usable = (area > 0.02) & (area < 0.98)
    smaller = np.minimum(area, 1 - area)[usable]
    return cuts[usable], boundary[:-1][usable] / (smaller * np.sqrt(len(ordered)))
