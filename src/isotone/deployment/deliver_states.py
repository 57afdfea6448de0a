"""Many images → presentation states: first a curve for each image, then a file for each group of images."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple, Self

from isotone.curves.tone_curve import ToneCurve
from isotone.deployment.deliver import (
    Job,
    Outcome,
    curve_of,
    outcome_of,
    passed_through,
    record_of,
    refuse_ours,
    safe_target,
    under_its_domain,
)
from isotone.deployment.dicom_objects.derived_image import output_table
from isotone.deployment.dicom_objects.presentation_state import Shown, group_of, write_presentation_state
from isotone.deployment.reduced_reading import read_for_curve
from isotone.errors import IsotoneError, RadiographError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.dicom.read_dicom import read_dicom_tables
from isotone.imaging.dicom.warning_codes import caught_warnings
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.raster.read_raster import SUFFIXES


class Planned(NamedTuple):
    """An image's group (None: it stays as it is, and needs no presentation state) and its line of the table."""

    group: str | None
    outcome: Outcome


@dataclass(frozen=True)
class Survey:
    """Finds the curve and the group of one image.

    A scanner's one curve needs no pixel, so none is decoded, and the images of the domains in `reduced` are read
    reduced (`isotone.deployment.reduced_reading.agreed`). The looks (`isotone.monitoring.novelty`) of these images are
    not compared, unless `decode` asks for it; what the header tells is refused all the same.
    """

    harmonizer: ToneCurveHarmonizer
    allow: Collection[str] = ()
    reduced: Mapping[str | None, int] = field(default_factory=dict)
    decode: bool = False

    def __call__(self, job: Job) -> Planned:
        """Read the header, and the pixels where the curve depends on them.

        Raises
        ------
        RadiographError
            The image is refused.
        """
        if job.path.suffix.lower() in SUFFIXES:
            raise RadiographError(
                "E_UNSUPPORTED", "a presentation state refers to DICOM images", next_step='Use deliver="pixels".'
            )
        with caught_warnings():
            shown, radiograph = read_shown(job)
            radiograph = under_its_domain(self.harmonizer, radiograph, job)
            domain = radiograph.header.domain
            if self.harmonizer.passing(domain, self.allow):
                return Planned(None, passed_through(self.harmonizer, domain, radiograph.header, self.allow))
            refuse_ours(shown.header, self.allow)
            group = group_of(shown.dataset, shown.header)
            if self.decode or self.harmonizer.needs_pixels(domain):
                finer = self.reduced.get(job.domain)
                image = read_for_curve(self.harmonizer, job, finer=finer)
                radiograph = image.with_domain(domain)
            curve, seen = curve_of(self.harmonizer, radiograph, self.allow)
            table = output_table(radiograph.map_tone(curve))
            return Planned(group, outcome_of(self.harmonizer, curve, radiograph, table, seen))


@dataclass(frozen=True)
class Group:
    """The images of one presentation state, each with its curve."""

    images: tuple[tuple[Job, ToneCurve], ...]
    number: int
    target: str
    key: str

    @classmethod
    def of(cls, name: str, images: list[tuple[Job, ToneCurve]], number: int) -> Self:
        """A group, with a file name and a key that depend on what is in it."""
        key = hashlib.sha256("|".join([name, *(job.key for job, _ in images)]).encode()).hexdigest()[:32]
        return cls(tuple(images), number, f"gsps-{key}.dcm", key)

    @property
    def path(self) -> Path:
        """The first image: what a refusal names."""
        return self.images[0][0].path


@dataclass(frozen=True)
class StateDelivery:
    """Writes the presentation state of one group."""

    harmonizer: ToneCurveHarmonizer
    output: Path

    def __call__(self, group: Group) -> dict[str, IsotoneError]:
        """Write the file.

        Returns
        -------
        dict of str to IsotoneError
            What images, by their keys, are gone by now, and left out.

        Raises
        ------
        IsotoneError
            The file cannot be written.
        """
        gone: dict[str, IsotoneError] = {}
        with caught_warnings():
            shown = []
            for job, curve in group.images:
                try:
                    image, radiograph = read_shown(job)
                except IsotoneError as error:
                    gone[job.key] = error
                    continue
                harmonized = radiograph.map_tone(curve)
                shown.append(replace(image, table=output_table(harmonized)))
            if not shown:
                return gone
            record = record_of(self.harmonizer, ToneCurve(), "gsps")
            write_presentation_state(shown, record, group.number, safe_target(self.output, group.target))
        return gone


@dataclass(frozen=True)
class LoneStateDelivery:
    """Writes the presentation state of one image, as `StateDelivery` does of an image that is alone in its group.

    The image is decoded, so that it is compared with those of the fit as in the other deliveries.
    """

    harmonizer: ToneCurveHarmonizer
    output: Path
    allow: Collection[str] = ()

    def __call__(self, job: Job) -> Outcome:
        """Write the file; none for an image of the reference.

        Raises
        ------
        IsotoneError
            The image is refused, or the file cannot be written.
        """
        planned = Survey(self.harmonizer, self.allow, decode=True)(job)
        if planned.group is not None:
            curve = planned.outcome.curve or ToneCurve()
            group = Group(((job, curve),), 1, job.target, job.key)
            for gone in StateDelivery(self.harmonizer, self.output)(group).values():
                raise gone
        return planned.outcome


def read_shown(job: Job) -> tuple[Shown, Radiograph]:
    """What the header alone says: the image's place in a presentation state, and a radiograph without pixels."""
    radiograph, dataset = read_dicom_tables(job.path, inverted=job.inverted)
    radiograph = radiograph.with_domain(job.domain or radiograph.header.domain)
    return Shown(dataset, radiograph.header, output_table(radiograph)), radiograph
