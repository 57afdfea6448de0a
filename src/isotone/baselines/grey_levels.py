"""How often each grey level occurs: all that a statistical baseline needs to know of an image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from isotone.data.descriptors.foreground import regions
from isotone.data.descriptors.image_set import FEWEST, MOST
from isotone.data.sample import SIZE, TakeSample
from isotone.errors import IsotoneError, RadiographError
from isotone.imaging.radiograph import Radiograph

Floats = NDArray[np.float64]
T = TypeVar("T")

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


class Anatomy(Generic[T]):
    """What a baseline learns of the reference, like from like: anatomy from anatomy, or whole images from whole images.

    Air is told from anatomy where most images of the reference show some (`isotone.data.descriptors.image_set.MOST`),
    as in `isotone.estimation.scanner_curve`. There an image that shows air is compared by its anatomy with the anatomy
    of the images that do; an image in which none is told is compared, whole, with the reference's images in which none
    is told either, or, where these are fewer than one in ten (`isotone.data.descriptors.image_set.FEWEST`), with all of
    them as a whole. Elsewhere, and always without `foreground`, all pixels count, collimation and marks apart.

    Parameters
    ----------
    foreground : bool
        False: all pixels but padding, whatever they show.
    learn : callable
        From the grey levels of reference images to what the baseline keeps of them.
    """

    def __init__(self, foreground: bool, learn: Callable[[Sequence[GreyLevels]], T]) -> None:
        self.foreground = foreground
        self._learn = learn

    def fit(self, reference: Iterable[Radiograph]) -> None:
        """Decide by the images of the reference, and learn from them.

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        """
        if not self.foreground:
            self.air, self.whole = False, self._learn([GreyLevels.of(radiograph) for radiograph in reference])
            return
        both = [_both(radiograph) for radiograph in reference]
        showing = float(np.mean([air for *_, air in both])) if both else 0.0
        self.air = showing >= MOST
        alone = [picture for _, picture, air in both if not (self.air and air)]
        enough = len(alone) >= max(1, FEWEST * len(both))
        self.whole = self._learn(alone if enough else [picture for _, picture, _ in both])
        if self.air:
            self.anatomy = self._learn([anatomy for anatomy, _, air in both if air])

    def learned(self, to_json: Callable[[T], Any]) -> dict[str, Any]:
        """What `fit` found, for JSON."""
        parts = {"whole": self.whole} | ({"anatomy": self.anatomy} if self.air else {})
        return {"air": self.air} | {name: to_json(part) for name, part in parts.items()}

    def remember(self, learned: Mapping[str, Any], from_json: Callable[[Any], T]) -> None:
        """Take what `learned` gave, in the place of a fit."""
        self.air, self.whole = learned["air"] is True, from_json(learned["whole"])
        if self.air:
            self.anatomy = from_json(learned["anatomy"])

    def of(self, radiograph: Radiograph) -> tuple[GreyLevels, T]:
        """The grey levels of an image to transform, and what was learned of its like.

        Raises
        ------
        RadiographError
            E_EMPTY_IMAGE: fewer than two grey levels.
        """
        if not self.foreground:
            return GreyLevels.of(radiograph), self.whole
        anatomy, picture, air = _both(radiograph)
        return (anatomy, self.anatomy) if self.air and air else (picture, self.whole)


def _both(radiograph: Radiograph) -> tuple[GreyLevels, GreyLevels, bool]:
    """Of the anatomy and of the picture, on every k-th pixel, and whether the image shows air."""
    parts, small = regions(TakeSample()(radiograph)), radiograph.decimated(SIZE)
    anatomy, picture = (GreyLevels.of(small, mask) for mask in (parts.foreground, parts.picture))
    return anatomy, picture, bool(parts.background.any())
