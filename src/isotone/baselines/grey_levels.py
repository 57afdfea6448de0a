"""How often each grey level occurs: all that a statistical baseline needs to know of an image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.radiograph import Radiograph

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

    def to_json(self) -> dict[str, list[float]]:
        """Numbers for JSON."""
        return {"values": self.values.tolist(), "counts": self.counts.tolist()}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """What `to_json` gave.

        Raises
        ------
        ValueError, KeyError, TypeError
            It is no distribution.
        """
        values, counts = (np.asarray(entry[name], np.float64) for name in ("values", "counts"))
        if values.ndim != 1 or values.shape != counts.shape or len(values) < 2:
            raise ValueError("no distribution")
        if not (np.isfinite(counts).all() and (counts > 0).all() and (np.diff(values) > 0).all()):
            raise ValueError("no distribution")
        if values[0] < 0 or values[-1] > 1:
            raise ValueError("no distribution")
        return cls(values, counts)

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
