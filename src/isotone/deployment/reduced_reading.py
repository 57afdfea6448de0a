"""Which images may be read reduced: where each has a curve of its own that a smaller image tells as well.

Nothing but the network knows how much it depends on fine detail, so it is asked: some images of each domain are
decoded whole and reduced, and only where the coefficients agree are the others read as much reduced.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isotone.deployment.deliver import Job
from isotone.errors import IsotoneError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.dicom.read_dicom import read_dicom, read_dicom_reduced
from isotone.imaging.dicom.warning_codes import caught_warnings
from isotone.imaging.radiograph import Radiograph
from isotone.monitoring.guards import GUARDS

AGREED = 5e-4
"""Largest difference of a coefficient that is allowed among the images tried; 1e-3 is wanted of all."""
TRIED = 4
"""Images of each domain."""
WORTH = 5
"""Fewer images than this many times `TRIED` are simply decoded whole."""
FINER = (1, 2)
"""Pixels of a reduced image for each one that the network sees, along a side, at least; the first one that does."""


def read_for_curve(harmonizer: ToneCurveHarmonizer, job: Job, *, finer: int | None) -> Radiograph:
    """An image for the sake of its curve, reduced where that can be had; None: whole."""
    side = _seen(harmonizer, job.domain) * (finer or 0)
    image = read_dicom_reduced(job.path, side, inverted=job.inverted) if side else None
    return read_dicom(job.path, inverted=job.inverted)[0] if image is None else image


@dataclass(frozen=True)
class Trial:
    """How much the coefficients of one image change by reading it reduced."""

    harmonizer: ToneCurveHarmonizer

    def __call__(self, job: Job) -> dict[int, float]:
        """The largest change by each of `FINER` at which the image can be read reduced.

        Raises
        ------
        RadiographError
            The image is refused.
        """
        with caught_warnings():
            side = _seen(self.harmonizer, job.domain)
            small = {finer: read_dicom_reduced(job.path, side * finer, inverted=job.inverted) for finer in FINER}
            found = {finer: self._coefficients(job, image) for finer, image in small.items() if image is not None}
            if not found:
                return {}
            whole = self._coefficients(job, read_dicom(job.path, inverted=job.inverted)[0])
            return {finer: float(np.abs(coefficients - whole).max()) for finer, coefficients in found.items()}

    def _coefficients(self, job: Job, image: Radiograph) -> NDArray[np.float64]:
        return np.array(self.harmonizer.curve(image.with_domain(job.domain), allow=GUARDS).coefficients)


def to_try(harmonizer: ToneCurveHarmonizer, jobs: Iterable[Job]) -> list[Job]:
    """Some images, evenly spread, of each domain that has enough of them."""
    by_domain: dict[str | None, list[Job]] = {}
    for job in jobs:
        if _seen(harmonizer, job.domain):
            by_domain.setdefault(job.domain, []).append(job)
    return [
        images[k * (len(images) - 1) // (TRIED - 1)]
        for images in by_domain.values()
        if len(images) >= WORTH * TRIED
        for k in range(TRIED)
    ]


def agreed(results: Iterable[tuple[Job, dict[int, float] | IsotoneError]]) -> dict[str | None, int]:
    """By domain the first of `FINER` at which every image that was tried, and could be, gave the same curve."""
    worst: dict[tuple[str | None, int], float] = {}
    for job, changes in results:
        if not isinstance(changes, IsotoneError):
            for finer, change in changes.items():
                worst[job.domain, finer] = max(change, worst.get((job.domain, finer), 0.0))
    return {
        domain: finer
        for finer in reversed(FINER)
        for (domain, tried), change in worst.items()
        if tried == finer and change <= AGREED
    }


def _seen(harmonizer: ToneCurveHarmonizer, domain: str | None) -> int:
    """Side in pixels of what a network sees; 0 without one."""
    scanner = None if domain is None else harmonizer.scanners.get(domain)
    return int(getattr(scanner and scanner.mapper, "input_size", 0))
