"""A scanner's images as a fit compares them: regions, structure and quantiles, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from isotone.data.sample import Sample
from isotone.foreground import CLEAR, Regions, regions
from isotone.look import look
from isotone.structure import GRID, structure

Floats = NDArray[np.float64]

QUANTILES = (np.arange(128) + 0.5) / 128
"""Of the anatomy."""
AIR = (np.arange(32) + 0.5) / 32
"""Quantiles of the air."""


@dataclass(frozen=True, eq=False)
class Views:
    """A scanner's images: structure, grey levels, and whose they are.

    Attributes
    ----------
    structure : float64 array of shape (n, d)
    quantiles : float64 array of shape (n, k)
        Of the anatomy, in [0, 1].
    air : float64 array of shape (n, a)
        Quantiles of the air; NaN in rows of images that show none.
    labels : array of shape (n,) of str
        "" where unknown.
    patients : integer array of shape (n,)
    """

    structure: Floats
    quantiles: Floats
    air: Floats
    labels: NDArray[np.str_]
    patients: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.structure)


def take_views(samples: Sequence[Sample], parts: Sequence[Regions], air: bool) -> Views:
    """Describe a scanner's images; without `air` all pixels but padding and collimation are anatomy."""
    rows = []
    for sample, part in zip(samples, parts, strict=True):
        anatomy = part.foreground if air and part.foreground.any() else part.foreground | part.background
        fore, back = sample.pixels[anatomy], sample.pixels[part.background & ~anatomy]
        rows.append(
            (
                structure(sample.pixels, anatomy),
                _quantiles(fore, QUANTILES) if len(fore) else np.zeros(len(QUANTILES)),
                _quantiles(back, AIR) if len(back) else np.full(len(AIR), np.nan),
            )
        )
    described, quantiles, air_quantiles = (np.stack(column) for column in zip(*rows, strict=True))
    return Views(
        structure=described,
        quantiles=quantiles,
        air=air_quantiles,
        labels=np.array([s.label or "" for s in samples]),
        patients=np.unique([s.patient for s in samples], return_inverse=True)[1].astype(np.intp),
    )


def _quantiles(values: NDArray[np.uint16], shares: Floats) -> Floats:
    """As np.quantile has them, in [0, 1]; integers are sorted several times faster."""
    return np.interp(shares * (len(values) - 1), np.arange(len(values)), np.sort(values)) / 65535


class Described(tuple[Sample, ...]):
    """A scanner's images, each looked at once however many fits they serve."""

    @cached_property
    def parts(self) -> list[Regions]:
        """Anatomy and air of each image."""
        return [regions(s) for s in self]

    @cached_property
    def air(self) -> bool:
        """Whether air can be told from anatomy (breasts: yes; most chests: no).

        The reference decides for all scanners: how clear the cut is depends on noise and sharpness too.
        """
        return bool(np.median([r.clearness for r in self.parts]) >= CLEAR)

    @cached_property
    def _taken(self) -> dict[bool, Views]:
        return {}

    def views_with(self, air: bool) -> Views:
        """Of the whole images, as `take_views` has them with or without air."""
        if air not in self._taken:
            self._taken[air] = take_views(self, self.parts, air)
        return self._taken[air]

    @cached_property
    def looks(self) -> Floats:
        """What the gate knows images by, shape (n, `isotone.look.SIZE` + 1)."""
        return np.stack([look(s, parts) for s, parts in zip(self, self.parts, strict=True)])

    @property
    def views(self) -> Views:
        """Of the whole images."""
        return self.views_with(self.air)


def described(samples: Sequence[Sample]) -> Described:
    """The samples themselves where they are described already."""
    return samples if isinstance(samples, Described) else Described(samples)


def air_share(views: Views) -> float:
    """Share of the pooled mass that air gets: that of the cells of the layout which it fills."""
    return float(np.clip(1 - views.structure[:, -GRID * GRID // 2 :].mean(), 0.02, 0.9))


Place = tuple[float, float]
"""Of a window, along the rows and along the columns: from 0, the middle of the anatomy, to 1, that of the image."""


def cropped(sample: Sample, part: Regions, share: float, place: Place) -> Sample:
    """The window of `share` of each side whose middle is nearest to a place."""
    inside = part.foreground | part.background
    spans = []
    for axis, towards in enumerate(place):
        extent = np.flatnonzero(inside.any(1 - axis))
        first, last = (int(extent[0]), int(extent[-1]) + 1) if len(extent) else (0, inside.shape[axis])
        length = max(8, round(share * (last - first)))
        profile: NDArray[np.intp] = part.foreground.sum(1 - axis)
        of_image = (first + last) / 2
        of_anatomy = float(np.average(np.arange(len(profile)), weights=profile)) if profile.any() else of_image
        middle = int(of_anatomy + towards * (of_image - of_anatomy))
        start = int(np.clip(middle - length // 2, first, max(first, last - length)))
        spans.append(slice(start, start + length))
    window = tuple(spans)
    return replace(sample, pixels=sample.pixels[window], valid=sample.valid[window])


def windowed(
    samples: Sequence[Sample], parts: Sequence[Regions], shares: Sequence[float], place: Place, air: bool
) -> Views:
    """The views of images seen through a smaller field, of `shares` of their sides."""
    smaller = [cropped(s, p, share, place) for s, p, share in zip(samples, parts, shares, strict=True)]
    return take_views(smaller, [regions(s) for s in smaller], air)
