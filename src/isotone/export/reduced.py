"""Which images may be read reduced: where each has a curve of its own that a smaller image tells as well.

Nothing but the network knows how much it depends on fine detail, so it is asked: some images of each domain are
decoded whole and reduced, and only where the coefficients agree are the others read reduced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from isotone.errors import IsotoneError
from isotone.export.deliver import Job
from isotone.harmonizer import ToneCurveHarmonizer
from isotone.imaging.dicom import read_dicom, read_dicom_reduced
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.warned import caught_warnings

AGREED = 5e-4
"""Largest difference of a coefficient that is allowed among the images tried; 1e-3 is wanted of all."""
TRIED = 4
"""Images of each domain."""
WORTH = 5
"""Fewer images than this many times `TRIED` are simply decoded whole."""
FINER = 2
"""Pixels of a reduced image for each one that the network sees, along a side, at least."""


def read_for_curve(harmonizer: ToneCurveHarmonizer, job: Job, *, force: bool, reduced: bool) -> Radiograph:
    """An image for the sake of its curve, reduced where that is allowed and can be had."""
    side = _side(harmonizer, job.domain)
    image = read_dicom_reduced(job.path, side, force=force) if reduced and side else None
    return read_dicom(job.path, force=force)[0] if image is None else image


@dataclass(frozen=True)
class Trial:
    """How much the coefficients of one image change by reading it reduced."""

    harmonizer: ToneCurveHarmonizer
    force: bool = False

    def __call__(self, job: Job) -> float | None:
        """The largest change; None where the image cannot be read reduced.

        Raises
        ------
        RadiographError
            The image is refused.
        """
        with caught_warnings():
            small = read_for_curve(self.harmonizer, job, force=self.force, reduced=True)
            if small.step == 1:
                return None
            whole = read_for_curve(self.harmonizer, job, force=self.force, reduced=False)
            before, after = (
                np.array(self.harmonizer.curve(image.with_domain(job.domain), force=True).coefficients)
                for image in (whole, small)
            )
            return float(np.abs(after - before).max())


def to_try(harmonizer: ToneCurveHarmonizer, jobs: Iterable[Job]) -> list[Job]:
    """Some images, evenly spread, of each domain that has enough of them."""
    by_domain: dict[str | None, list[Job]] = {}
    for job in jobs:
        if _side(harmonizer, job.domain):
            by_domain.setdefault(job.domain, []).append(job)
    return [
        images[k * (len(images) - 1) // (TRIED - 1)]
        for images in by_domain.values()
        if len(images) >= WORTH * TRIED
        for k in range(TRIED)
    ]


def agreed(results: Iterable[tuple[Job, float | IsotoneError | None]]) -> frozenset[str | None]:
    """The domains of which every image that was tried gave the same curve, reduced or not; and one did."""
    worst: dict[str | None, float] = {}
    for job, change in results:
        if isinstance(change, float):
            worst[job.domain] = max(change, worst.get(job.domain, 0.0))
    return frozenset(domain for domain, change in worst.items() if change <= AGREED)


def _side(harmonizer: ToneCurveHarmonizer, domain: str | None) -> int:
    mapper = None if domain is None else harmonizer.mappers.get(domain)
    return FINER * int(getattr(mapper, "input_size", 0))
