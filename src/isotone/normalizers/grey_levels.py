"""How often each grey level occurs: all that a statistical baseline needs to know of an image."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isotone.data.sample import SIZE, TakeSample
from isotone.errors import IsotoneError, RadiographError
from isotone.foreground import regions
from isotone.imaging.radiograph import Radiograph
from isotone.views import MOST

Floats = NDArray[np.float64]

GRID = 65536
"""Images are pooled on 16 bits, as fine as any radiograph is stored."""


@dataclass(frozen=True)
class GreyLevels:
    """A distribution of grey levels.

    Attributes
    ----------
    values : float64 array of shape (k,)
        Grey levels in [0, 1], increasing.
    counts : float64 array of shape (k,)
        Pixels (or weights) at each, above zero.
    """

    values: Floats
    counts: Floats

    @classmethod
    def of(cls, radiograph: Radiograph, mask: NDArray[np.bool_] | None = None) -> Self:
        """Those of one image, padding excluded; with `mask` (rows, columns), of the pixels where it is True.

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        """
        inside = radiograph.valid if mask is None else mask & radiograph.valid
        stored = radiograph.stored if inside.all() else radiograph.stored[inside]
        counts = np.bincount(stored.ravel(), minlength=len(radiograph.tone))
        levels = cls._sorted(radiograph.tone, counts.astype(np.float64))
        if len(levels.values) < 2:
            raise RadiographError("E_EMPTY_IMAGE", "fewer than two grey levels", file=radiograph.header.path)
        return levels

    @classmethod
    def pooled(cls, parts: Iterable[Self]) -> Self:
        """Those of several images together, each image with the same weight, on 65,536 levels.

        Raises
        ------
        IsotoneError
            E_DATA: no image.
        """
        total = np.zeros(GRID)
        for part in parts:
            index = np.rint(part.values * (GRID - 1)).astype(np.int64)
            total += np.bincount(index, part.counts / part.counts.sum(), GRID)
        if not total.any():
            raise IsotoneError("E_DATA", "no reference image to fit on")
        return cls._sorted(np.linspace(0, 1, GRID), total)

    @classmethod
    def _sorted(cls, values: Floats, counts: Floats) -> Self:
        present = counts > 0
        unique, index = np.unique(values[present], return_inverse=True)
        return cls(unique, np.bincount(index, counts[present], len(unique)).astype(np.float64))

    @property
    def mean(self) -> float:
        """Mean grey level."""
        return float(np.average(self.values, weights=self.counts))

    @property
    def std(self) -> float:
        """Standard deviation of the grey levels (of the population: divided by n)."""
        return float(np.sqrt(np.average((self.values - self.mean) ** 2, weights=self.counts)))

    @property
    def cumulative(self) -> Floats:
        """Share of pixels at or below each value, shape (k,); the last is 1."""
        sums = np.cumsum(self.counts)
        return np.asarray(sums / sums[-1])

    def percentiles(self, q: ArrayLike) -> Floats:
        """Percentiles, by NumPy's default (linear) definition on the pixels one by one.

        Parameters
        ----------
        q : array_like
            Percentages, 0 to 100.
        """
        ends = np.cumsum(self.counts)
        rank = np.asarray(q, np.float64) / 100 * (ends[-1] - 1)
        last = len(self.values) - 1
        below = np.searchsorted(ends, np.floor(rank), "right").clip(0, last)
        above = np.searchsorted(ends, np.ceil(rank), "right").clip(0, last)
        low, high = self.values[below], self.values[above]
        return np.asarray(low + (rank - np.floor(rank)) * (high - low))


class Anatomy:
    """The grey levels that a baseline looks at in an image: those of the anatomy, by the air rule of the fit.

    Air is left out where most images of the reference show some (`isotone.views.MOST`), as in `isotone.scanner`; else,
    and always without `foreground`, all pixels count, collimation and marks apart.

    Parameters
    ----------
    foreground : bool
        False: all pixels but padding, whatever they show.
    """

    def __init__(self, foreground: bool) -> None:
        self.foreground = foreground
        self.air = False

    def learned(self, reference: Iterable[Radiograph]) -> list[GreyLevels]:
        """Decide by the images of the reference, and give theirs.

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        """
        if not self.foreground:
            return [GreyLevels.of(radiograph) for radiograph in reference]
        both = [_both(radiograph) for radiograph in reference]
        self.air = bool(both) and float(np.mean([air for *_, air in both])) >= MOST
        return [anatomy if self.air else picture for anatomy, picture, _ in both]

    def of(self, radiograph: Radiograph) -> GreyLevels:
        """Those of an image to transform.

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        """
        if not self.foreground:
            return GreyLevels.of(radiograph)
        anatomy, picture, _ = _both(radiograph)
        return anatomy if self.air else picture


def _both(radiograph: Radiograph) -> tuple[GreyLevels, GreyLevels, bool]:
    """Of the anatomy and of the picture, on every k-th pixel, and whether the image shows air."""
    parts, small = regions(TakeSample()(radiograph)), radiograph.decimated(SIZE)
    anatomy, picture = (GreyLevels.of(small, mask) for mask in (parts.foreground, parts.picture))
    return anatomy, picture, bool(parts.background.any())
