"""Which pixels are anatomy, which are air: told from the shape of level sets alone.

A scanner's response changes grey levels and leaves their order. So whatever is chosen here from the order of
the grey levels (level sets, ranks, medians) is the same set of pixels on every scanner, and grey levels
pooled over it are comparable.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isotone.data.descriptors.marks import dilated, picture
from isotone.data.sample import Sample

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]

RULE = 3
"""Of what is air, as `regions` has it: a model that was fitted by another rule cannot judge images by this one."""
LEVELS = 128
"""How many level sets of an image are looked at, evenly spaced in area."""
CLEAR = 0.2
"""Clearness from which what is dark along the border may be air; docs/results_strangers.md has that of each anatomy."""
SURE = 0.5
"""Clearness from which air may be told by noise alone: a disc in the image has 0.5. Noisy anatomy that fades towards
the border has less."""
SLACK = 1.25
"""How much longer than the best level set's boundary the one may be that is taken in the end."""
CROWDED = 0.25
"""Grey levels between two level sets, over the area between them (shares of the picture's): fewer are air's."""
FRINGE = 0.04
"""Share of the picture within which an outline is looked for that is smoother than the darkest one."""
SMOOTH = 1.05
"""How much rougher than the smoothest of them (boundary squared over area) the one taken may be."""
HALF_DISC = 32 / np.pi
"""Boundary squared over area of half a disc on the border, in pairs of neighbours and pixels."""
LEAST = 0.05
"""Share of the picture that air has at least."""
PIECE = 0.1
"""Share of the largest piece of anatomy that another one has at least; smaller ones in air are letters and markers."""
BRIGHT = 0.08
"""How much larger a share of the picture's grey levels lies below letters in the air than below nine tenths of it."""
FEATURELESS = 1 / 3
"""Share of a picture's grey levels that occur in air, at most: air has few, anatomy nearly all of them."""
FRAYED = 0.05
"""Share of air on either side of the others' grey levels that is not asked: its fringe."""
NOISE = 1.5
"""Where it has more: how much farther apart in rank distant pixels may be than neighbours. In noise it is 1."""
DISTANT = 12
"""Distant pixels are this part of the longer side apart."""


@dataclass(frozen=True, eq=False)
class Regions:
    """The two populations of pixels in an image.

    Attributes
    ----------
    foreground, background : bool arrays of shape (h, w)
        Anatomy, and air beside it; what is neither is padding, collimation or a mark. Without any air the background
        is empty and the foreground is the picture.
    picture : bool array of shape (h, w)
        All but padding, collimation and marks (`isotone.data.descriptors.marks`).
    clearness : float
        How smooth the outline between them is: 1 for half a disc on the border of the image, less for all else;
        0 where what is dark along the border is anatomy, too.
    marks : float
        Share of the picture that bright pieces in the air take: letters, markers.
    """

    foreground: Mask
    background: Mask
    picture: Mask
    clearness: float
    marks: float = 0.0

    def split(self, air: bool) -> Regions:
        """The same where air is told from anatomy; else all of the picture is foreground."""
        return self if air else Regions(self.picture, np.zeros_like(self.picture), self.picture, self.clearness)

    @cached_property
    def digest(self) -> str:
        """By which equal regions are known."""
        masks = np.packbits([self.foreground, self.background, self.picture])
        return hashlib.sha256(repr(self.picture.shape).encode() + masks.tobytes()).hexdigest()[:16]


def regions(sample: Sample, slack: float = SLACK) -> Regions:
    """Tell anatomy from air by the level set whose boundary is shortest for its area (Cheeger's ratio).

    Air is one smooth piece without features, darker than all else, along the border; a level set that cuts through
    anatomy or through noise has a boundary many times longer. Of all level sets about as short as the best one the
    darkest is taken: it follows the skin, whatever share of the image is air. The choice commutes with every
    increasing map of the grey levels, and neither depth nor noise decides it.

    There is air where the outline of what hangs together with the border is smooth (the isoperimetric ratio of the best
    level set, pieces apart that are small, `CLEAR`) and where it is featureless: it holds few of the picture's grey
    levels, or its ranks are noise.

    Parameters
    ----------
    sample : Sample
    slack : float
        How many times longer than the best level set's boundary the one taken may be. 0 takes the best itself,
        which blur moves less, and a smaller field of view more.

    Returns
    -------
    Regions
        Background where dark pixels hang together with the border of the picture.
    """
    pixels = _coded(sample.pixels)
    smooth, inside = median(pixels), picture(pixels, sample.valid)
    image = _Image(pixels, smooth, inside, _levels_up_to(smooth, inside, int(pixels.max()) + 1))
    found = _air(image, inside, slack)
    islands = inside & ~found.background & ~found.foreground
    if islands.any():  # letters, markers: every level set divides them from the air, and none of them is the skin's
        found = _air(image, inside & ~dilated(islands), slack, marked=True)
    if not found.background.any():
        return replace(found, foreground=inside, picture=inside)
    # Noisy collimation that is darker than air would be taken for it: there is air beside it.
    beyond = _air(image, inside & ~found.background & ~islands, slack)
    values = smooth[beyond.background]
    crowded = CROWDED * values.size / max(inside.sum(), 1)
    if values.size and image.held[values.max()] - image.held[values.min()] < crowded:
        found = replace(beyond, background=found.background | beyond.background)
    # Strokes so thin that the median lost them are no air, and letters no brighter than skin are none either.
    thin = found.background & (pixels > smooth[found.background].max())
    written = _written(image, found.background)
    marks = float(np.mean((~(found.background | found.foreground) | written)[inside]))
    return replace(found, background=found.background & ~thin & ~written, picture=inside, marks=marks)


@dataclass(frozen=True, eq=False)
class _Image:
    """Pixels, their medians of three, what is picture, and the share of its grey levels up to each value."""

    pixels: NDArray[np.uint16]
    smooth: NDArray[np.uint16]
    picture: Mask
    held: NDArray[np.float64]


def _air(image: _Image, inside: Mask, slack: float, *, marked: bool = False) -> Regions:
    """The regions of a part of the picture; where it is `marked`, outlines are those of anatomy, without letters."""
    nothing = Regions(inside, np.zeros_like(inside), inside, 0.0)
    cuts, area, boundary = _level_sets(image.smooth, inside)
    if len(cuts) < 3:
        return nothing
    best = taken = int(np.argmin(boundary / np.minimum(area, 1 - area)))
    held = image.held[cuts]
    while taken > 0 and boundary[taken - 1] <= slack * boundary[best]:
        if held[taken] - held[taken - 1] < CROWDED * (area[taken] - area[taken - 1]):
            break  # air
        taken -= 1
    # Compression and blur leave a fringe of air along the skin: its outline is rougher than that of the skin itself.
    near = np.flatnonzero((area >= area[taken]) & (area <= area[taken] + FRINGE))
    border = _border(inside)
    rough = boundary[near] ** 2 / (1 - area[near])
    if marked:
        found = [_pieces(image.smooth <= cuts[k], inside, border) for k in near]
        rough = np.array([_outline(*each) ** 2 / max(int(np.count_nonzero(each[1])), 1) for each in found])
    smoothest = int(np.argmax(rough <= SMOOTH * rough.min()))
    background, anatomy = found[smoothest] if marked else _pieces(image.smooth <= cuts[near[smoothest]], inside, border)
    clearness = _clearness(background, anatomy)
    if clearness < CLEAR:
        return replace(nothing, clearness=clearness)
    if not _featureless(image.pixels, background, image.picture, noise=clearness >= SURE):
        return nothing
    return Regions(anatomy, background, inside, clearness)


def _written(image: _Image, background: Mask) -> Mask:
    """Pixels well within the air that many of the picture's grey levels lie below, and below air's own hardly any."""
    within = background & ~dilated(image.picture & ~background, 2)
    levels = image.held[image.pixels]
    if not within.any():
        return within
    return np.asarray(within & (levels > np.quantile(levels[within], 0.9) + BRIGHT))


def _coded(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """The numbers, from 0, of the grey levels that occur: only their order counts, and tables of them are short."""
    present = np.zeros(2**16, bool)
    present[pixels] = True
    return (np.cumsum(present) - 1).astype(np.uint16)[pixels]


def _levels_up_to(smooth: NDArray[np.uint16], inside: Mask, levels: int) -> NDArray[np.float64]:
    """Share of the picture's grey levels up to each value, shape (levels,)."""
    present = np.zeros(levels, bool)
    present[smooth[inside]] = True
    return np.asarray(np.cumsum(present) / max(present.sum(), 1))


def _border(inside: Mask) -> Mask:
    """Pixels of the picture on the image's border, or beside what of the image's border is no picture."""
    beyond = np.pad(~inside, 1, constant_values=True)
    pieces = ndimage.label(beyond)[0]
    outside = pieces == pieces[0, 0]
    beside = outside[:-2, 1:-1] | outside[2:, 1:-1] | outside[1:-1, :-2] | outside[1:-1, 2:]
    return np.asarray(beside & inside)


def _pieces(dark: Mask, inside: Mask, border: Mask) -> tuple[Mask, Mask]:
    """What of the dark pixels hangs together with the border, and the large pieces of all else."""
    pieces, count = ndimage.label(dark & inside)
    outer = np.zeros(count + 1, bool)
    outer[pieces[border]] = True
    outer[0] = False  # what is brighter
    background = outer.take(pieces)
    pieces, count = ndimage.label(inside & ~background)
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)
    sizes[0] = 0
    return background, (sizes >= max(1, PIECE * sizes.max())).take(pieces)


def _clearness(background: Mask, anatomy: Mask) -> float:
    """How short their common boundary is for the smaller of them, beside half a disc's."""
    shares = int(np.count_nonzero(background)), int(np.count_nonzero(anatomy))
    if min(shares) < LEAST * sum(shares) or not sum(shares):
        return 0.0
    return float(HALF_DISC * min(shares) / max(_outline(background, anatomy), 1) ** 2)


def _outline(background: Mask, anatomy: Mask) -> int:
    """Pairs of neighbours of which one is air and one anatomy."""
    pairs = ((np.s_[1:], np.s_[:-1]), (np.s_[:, 1:], np.s_[:, :-1]))
    divided = [(background[a] & anatomy[b]) | (anatomy[a] & background[b]) for a, b in pairs]
    return sum(int(np.count_nonzero(each)) for each in divided)


def _featureless(pixels: NDArray[np.uint16], background: Mask, inside: Mask, *, noise: bool) -> bool:
    """Whether it holds few of the picture's grey levels or, where that may count, its ranks are noise."""
    levels = int(pixels.max()) + 1
    counts, present = (np.bincount(pixels[part], minlength=levels) for part in (background, inside))
    up_to = np.cumsum(counts)
    size = int(up_to[-1])
    usual = (up_to > FRAYED * size) & (up_to - counts < (1 - FRAYED) * size)
    if np.count_nonzero(counts[usual]) <= FEATURELESS * np.count_nonzero(present):
        return True
    if not noise:
        return False
    ranks = ((up_to - counts / 2) / size)[pixels]
    near, far = (_step(ranks, background, lag) for lag in (1, max(3, max(pixels.shape) // DISTANT)))
    return far <= NOISE * near


def _step(ranks: NDArray[np.float64], inside: Mask, lag: int) -> float:
    """Mean absolute difference of pixels `lag` apart, along both axes."""
    ends = ((np.s_[lag:], np.s_[:-lag]), (np.s_[:, lag:], np.s_[:, :-lag]))
    steps = np.concatenate([np.abs(ranks[a] - ranks[b])[inside[a] & inside[b]] for a, b in ends])
    return float(steps.mean()) if len(steps) else 0.0


def median(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """Of three pixels along each column, then of three along each row: the same pixels through every response."""
    for axis in (0, 1):
        padded = np.pad(pixels, [(int(axis == 0),) * 2, (int(axis == 1),) * 2], mode="edge")
        a, b, c = (np.take(padded, range(k, k + pixels.shape[axis]), axis) for k in range(3))
        pixels = np.maximum(np.minimum(a, b), np.minimum(np.maximum(a, b), c))
    return pixels


def boundaries(level: NDArray[np.integer[Any]], inside: Mask, count: int) -> Floats:
    """How many pairs of neighbouring pixels each level set divides.

    Parameters
    ----------
    level : integer array of shape (h, w)
        0 to `count`, which the type must hold; level set k are the pixels of at most k.
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
    levels = int(smooth.max()) + 1
    up_to = np.cumsum(np.bincount(smooth[inside], minlength=levels))
    size = int(up_to[-1])
    if not size:
        return np.empty(0, np.uint16), np.empty(0), np.empty(0)
    cuts = np.unique(np.searchsorted(up_to, np.arange(1, LEVELS) * size // LEVELS, side="right"))
    # How many cuts lie below each value: at most k exactly where it is at most cuts[k].
    below = np.cumsum(np.bincount(cuts + 1, minlength=levels + 1)).astype(np.int16)
    boundary = boundaries(below[smooth], inside, len(cuts))
    area = up_to[cuts] / size
    usable = (area > 0.02) & (area < 0.98)
    return cuts[usable].astype(np.uint16), area[usable], boundary[usable]
