"""A scanner's images as a fit compares them: regions, structure and quantiles, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from isotone.data.descriptors.appearance import look
from isotone.data.descriptors.autocorrelation import NOISE, autocorrelation
from isotone.data.descriptors.foreground import Mask, Regions, regions
from isotone.data.descriptors.marks import SQUARE
from isotone.data.descriptors.structure import GRID, structure
from isotone.data.known import Arrays
from isotone.data.sample import Sample

Floats = NDArray[np.float64]

QUANTILES = (np.arange(128) + 0.5) / 128
"""Of the anatomy."""
DARKEST = 4
"""Which of them the anatomy begins at: a few pixels of any image's are air."""
AIR = (np.arange(32) + 0.5) / 32
"""Quantiles of the air."""
WRITTEN = 1e-3
"""Share of a picture that bright pieces in its air take, from which on they are letters; JPEG leaves less of them."""
RIM = 0.01
"""Width of what is left out of air along its outline (blur, compression), as a share of the longer side."""
FEWEST = 0.1
"""Share of a scanner's images that show air, below which it has none to be matched."""
MOST = 0.5
"""Share of the images that show air, from which on it is told from anatomy."""


@dataclass(frozen=True, eq=False)
class Descriptors:
    """A scanner's images: structure, grey levels, and whose they are.

    Attributes
    ----------
    structure : float64 array of shape (n, d)
        NaN where collimation or a mark hides what a number tells.
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


def describe(samples: Sequence[Sample], parts: Sequence[Regions], air: bool) -> Descriptors:
    """Describe a scanner's images; without `air` all pixels of the picture are anatomy."""
    return _stacked([_described(s, part, air) for s, part in zip(samples, parts, strict=True)], samples)


def regions_of(sample: Sample) -> Regions:
    """As `regions` has them, looked for once."""

    def work() -> Arrays:
        found = regions(sample)
        masks = np.stack([found.foreground, found.background, found.picture])
        return masks, np.array([found.clearness, found.marks])

    masks, numbers = sample.known.of("regions", work)
    return Regions(*masks, *map(float, numbers))


def _described(sample: Sample, part: Regions, air: bool) -> Arrays:
    """Structure, quantiles and air of an image."""

    def work() -> Arrays:
        split = part.split(air)
        fore, back = (sample.pixels[mask] for mask in _apart(split))
        return (
            structure(sample.pixels, split.foreground, split.background),
            _quantiles(fore, QUANTILES) if len(fore) else np.zeros(len(QUANTILES)),
            _quantiles(back, AIR) if len(back) else np.full(len(AIR), np.nan),
        )

    return sample.known.of(f"described {air} {part.digest}", work)


def _stacked(rows: Sequence[Arrays], samples: Sequence[Sample]) -> Descriptors:
    described, quantiles, air_quantiles = (np.stack(column) for column in zip(*rows, strict=True))
    return Descriptors(
        structure=described,
        quantiles=quantiles,
        air=air_quantiles,
        labels=np.array([s.label or "" for s in samples]),
        patients=np.unique([s.patient for s in samples], return_inverse=True)[1].astype(np.intp),
    )


def _apart(parts: Regions) -> tuple[Mask, Mask]:
    """Anatomy without what is too thin for any (letters across the skin), air without what lies beside anatomy."""
    if not parts.background.any():
        return parts.foreground, parts.background
    width = max(1, round(RIM * max(parts.picture.shape)))
    anatomy = ndimage.binary_opening(parts.foreground, SQUARE, width + 1)
    air = parts.background & ~ndimage.binary_dilation(parts.picture & ~parts.background, SQUARE, width)
    return anatomy if anatomy.any() else parts.foreground, air if air.any() else parts.background


def _quantiles(values: NDArray[np.uint16], shares: Floats) -> Floats:
    """As np.quantile has them, in [0, 1]; integers are sorted several times faster."""
    return np.interp(shares * (len(values) - 1), np.arange(len(values)), np.sort(values)) / 65535


class ImageSet(tuple[Sample, ...]):
    """A scanner's images, each looked at once however many fits they serve."""

    @cached_property
    def parts(self) -> list[Regions]:
        """Anatomy and air of each image."""
        return [regions_of(s) for s in self]

    @cached_property
    def telling(self) -> ImageSet:
        """The images that show anything: not the flat fields, nor failed exposures; all of them where none does.

        For anatomies whose air is not told; where it is, such images show none (`showing_air`).
        """
        tells = np.array([_likeness(s, part) for s, part in zip(self, self.parts, strict=True)]) >= NOISE
        return self.only(tells) if tells.any() else self

    @cached_property
    def showing(self) -> float:
        """Share of the images that show air."""
        return float(np.mean([part.background.any() for part in self.parts]))

    @cached_property
    def written(self) -> float:
        """Share of the images in whose air letters, markers or labels stand."""
        return float(np.mean([part.marks > WRITTEN for part in self.parts]))

    @property
    def air(self) -> bool:
        """Whether air is told from anatomy: where most images show some (breasts do, chests do not).

        The reference decides for all scanners.
        """
        return self.showing >= MOST

    def only(self, kept: NDArray[np.bool_]) -> ImageSet:
        """Those of the images, shape (n,), that are kept; none is looked at again."""
        if kept.all():
            return self
        chosen = ImageSet(s for s, keep in zip(self, kept, strict=True) if keep)
        chosen.parts = [part for part, keep in zip(self.parts, kept, strict=True) if keep]
        return chosen

    @cached_property
    def showing_air(self) -> ImageSet:
        """The images whose air is told; all of them where hardly any shows some.

        Their air is darker than where anatomy begins in most of them, and their anatomy brighter than air is. A
        scanner's own images are compared with each other, so its response does not matter.
        """
        descriptors = self.descriptors_with(True)
        air, skin = np.median(descriptors.air, axis=1), descriptors.quantiles[:, DARKEST]
        shown = ~np.isnan(air)
        if shown.mean() < FEWEST:
            return self
        return self.only(shown & (air < np.median(skin[shown])) & (skin > np.median(air[shown])))

    @property
    def distinct(self) -> int:
        """How many images they are, copies counted once."""
        return len({id(sample) for sample in self})

    def with_parts(self, parts: list[Regions], copies: int = 1) -> ImageSet:
        """So many copies of the images, of each of which less is compared; whether they show air is known already."""
        less = ImageSet(tuple(self) * copies)
        less.parts, less.showing = parts, self.showing
        return less

    @cached_property
    def _taken(self) -> dict[bool, Descriptors]:
        return {}

    def descriptors_with(self, air: bool) -> Descriptors:
        """Of the whole images, as `describe` has them with or without air."""
        if air not in self._taken:
            self._taken[air] = describe(self, self.parts, air)
        return self._taken[air]

    def looks_with(self, air: bool) -> Floats:
        """What the gate knows images by, shape (n, `isotone.data.descriptors.appearance.SIZE` + 1)."""
        return np.stack([_look(s, part, air) for s, part in zip(self, self.parts, strict=True)])

    @property
    def descriptors(self) -> Descriptors:
        """Of the whole images."""
        return self.descriptors_with(self.air)


def _likeness(sample: Sample, part: Regions) -> float:
    found = sample.known.of(
        f"likeness {part.digest}", lambda: (np.array(autocorrelation(sample.pixels, part.picture)),)
    )
    return float(found[0])


def _look(sample: Sample, part: Regions, air: bool) -> Floats:
    return sample.known.of(f"look {air} {part.digest}", lambda: (look(sample, part.split(air)),))[0]


def image_set(samples: Sequence[Sample]) -> ImageSet:
    """The samples themselves where they are described already."""
    return samples if isinstance(samples, ImageSet) else ImageSet(samples)


def air_share(ours: Descriptors, reference: Descriptors) -> float:
    """Share of either pool that air gets: that of the reference's layout which it fills; 0 where a side shows none."""
    if min(np.mean(~np.isnan(descriptors.air[:, 0])) for descriptors in (ours, reference)) < FEWEST:
        return 0.0
    return float(np.clip(1 - np.nanmean(reference.structure[:, -GRID * GRID // 2 :]), 0.02, 0.9))


Place = tuple[float, float]
"""Of a window, along the rows and along the columns: from 0, the middle of the anatomy, to 1, that of the image."""


def cropped(sample: Sample, part: Regions, share: float, place: Place) -> Sample:
    """The window of `share` of each side whose middle is nearest to a place."""
    inside = part.picture
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
    return replace(sample, pixels=sample.pixels[window], valid=part.picture[window])


def windowed(
    samples: Sequence[Sample], parts: Sequence[Regions], shares: Sequence[float], place: Place, air: bool
) -> Descriptors:
    """The descriptors of images seen through a smaller field, of `shares` of their sides."""

    def row(sample: Sample, part: Regions, share: float) -> Arrays:
        def work() -> Arrays:
            smaller = cropped(sample, part, share, place)
            return _described(smaller, regions(smaller), air)

        return sample.known.of(f"window {share!r} {place!r} {air} {part.digest}", work)

    return _stacked([row(s, p, share) for s, p, share in zip(samples, parts, shares, strict=True)], samples)
