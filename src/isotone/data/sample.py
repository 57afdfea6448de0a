"""What a fit keeps of an image: few enough pixels to hold hundreds of images in memory, and the classifier's input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from isotone.curves import quantize
from isotone.data.images import map_images
from isotone.data.manifest import Row
from isotone.errors import IsotoneError
from isotone.imaging.radiograph import Header, Radiograph

SIZE = 256
"""Longest side of the decimated pixels."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One image as a fit sees it.

    Attributes
    ----------
    pixels : uint16 array of shape (h, w)
        Presentation values × 65535 at full range; every k-th pixel, so that the longer side has at most 256. Not
        averaged: whatever map of grey levels the scanner applied, it applied to these values.
    valid : bool array of shape (h, w)
        False where the file declares padding.
    prepared : float32 array of shape (S, S) or None
        The classifier's input in [0, 1] at full range; None without a classifier.
    label, domain, split : str or None
        As in the manifest; the domain from the header where the manifest has none.
    patient : str
        Groups the images of one patient; the path where the manifest names no patient. Never written anywhere.
    """

    pixels: NDArray[np.uint16]
    valid: NDArray[np.bool_]
    prepared: NDArray[np.float32] | None = None
    label: str | None = None
    patient: str = ""
    domain: str | None = None
    split: str | None = None
    header: Header | None = None


@dataclass(frozen=True)
class TakeSample:
    """Make a `Sample` of a `Radiograph`; picklable wherever `prepare` is.

    Parameters
    ----------
    prepare : callable, optional
        Radiograph → float32 array of shape (S, S), the classifier's input.
    """

    prepare: Callable[[Radiograph], NDArray[np.float32]] | None = None

    def __call__(self, radiograph: Radiograph) -> Sample:
        small = radiograph.decimated(SIZE)
        return Sample(
            pixels=quantize(small.tone, 16).astype(np.uint16)[small.stored],
            valid=small.valid,
            prepared=None if self.prepare is None else self.prepare(radiograph),
            domain=radiograph.header.domain,
            header=radiograph.header,
        )


def load_samples(
    rows: Sequence[Row],
    prepare: Callable[[Radiograph], NDArray[np.float32]] | None = None,
    *,
    workers: int = 1,
    quiet: bool = False,
) -> tuple[list[Sample], list[IsotoneError]]:
    """Read the images of `rows` into samples, in order.

    Returns
    -------
    samples : list of Sample
    refused : list of IsotoneError
        One for each image that could not be read.
    """
    samples: list[Sample] = []
    refused: list[IsotoneError] = []
    for row, taken in map_images(rows, TakeSample(prepare), workers=workers, quiet=quiet):
        if isinstance(taken, IsotoneError):
            refused.append(taken)
            continue
        samples.append(
            replace(
                taken,
                label=row.label,
                patient=row.patient_id or str(row.path),
                domain=row.domain or taken.domain,
                split=row.split,
            )
        )
    return samples, refused
