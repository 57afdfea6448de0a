"""One image → one file, in whichever process it runs: read, harmonize, write, note it in the journal."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

from isotone.curves.stages import Knots
from isotone.curves.tone_curve import ToneCurve
from isotone.deployment.dicom_objects.derived_image import (
    BITS,
    levels_in,
    output_table,
    write_derived_dicom,
    write_derived_png,
)
from isotone.deployment.dicom_objects.voi_lut import write_voi_lut_image
from isotone.deployment.dicom_objects.write import copy_file
from isotone.deployment.encoding import USUAL, Encoding
from isotone.deployment.record import Deliver, Record, Table, digest_of_values
from isotone.errors import RadiographError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.dicom.read_dicom import OpenDicom, open_dicom
from isotone.imaging.dicom.warning_codes import caught_warnings
from isotone.imaging.radiograph import Header, Radiograph
from isotone.imaging.raster.read_raster import SUFFIXES, read_raster
from isotone.imaging.read import read_header


@dataclass(frozen=True)
class Job:
    """One image to deliver.

    Attributes
    ----------
    path : Path
        As the user gave it.
    domain : str or None
        From the manifest; it goes before the header's.
    target : str
        Path of the output file, relative to the output folder.
    key : str
        Digest of the file's state and of what is to be done with it, for the journal.
    inverted : bool, optional
        Polarity as the user states it.
    source : str
        Digest of which file it is, for the journal.
    """

    path: Path
    domain: str | None
    target: str
    key: str
    inverted: bool | None = None
    source: str = ""


@dataclass(frozen=True)
class Outcome:
    """What was done with one image: a line of ``curves.csv``.

    Attributes
    ----------
    status : str
        "harmonized"; "reference" or "kept": passed through as it is (`ToneCurveHarmonizer.passing`); or "refused".
    curve : ToneCurve or None
    min_slope, max_slope : float
        Bounds over the full range.
    levels_kept : int
        Distinct delivered values of all possible stored values.
    clipped_share : float
        Share of the pixels (padding apart) that an affine stage clips, of several frames of those of the middle one; 0
        where no pixel was read.
    instance : str or None
        SHA-256 of the SOP Instance UID, the first 128 bits.
    warnings : tuple of str
        Codes; of an image that is kept also why.
    look : tuple of float or None
        What the gate looked at (`isotone.data.descriptors.appearance`).
    code : str
        Why it is refused.
    """

    status: str
    curve: ToneCurve | None = None
    min_slope: float = 1.0
    max_slope: float = 1.0
    levels_kept: int | None = None
    clipped_share: float = 0.0
    instance: str | None = None
    warnings: tuple[str, ...] = ()
    look: tuple[float, ...] | None = None
    code: str = ""

    @property
    def coefficients(self) -> tuple[float, ...] | None:
        """α of the curve's steps; None without a curve, and of one through points."""
        if self.curve is None or any(isinstance(stage, Knots) for stage in self.curve.stages):
            return None
        return self.curve.coefficients

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Self:
        """The outcome that the journal holds.

        Raises
        ------
        ModelError
            The curve was changed.
        """
        curve, look = entry.get("curve"), entry.get("look")
        read = {
            "curve": None if curve is None else _curve_in(curve),
            "warnings": tuple(entry.get("warnings", ())),
            "look": None if look is None else tuple(look),
            "instance": (entry.get("instance") or "")[:32] or None,  # an older journal has the whole hash
        }
        return cls(**{**entry, **read})

    def to_entry(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """What `from_entry` reads: what is this image's own, and what the images with its curve have alike."""
        said = {name: value for name, value in vars(self).items() if value != self.__dataclass_fields__[name].default}
        alike: dict[str, Any] = {name: said.pop(name) for name in ("min_slope", "max_slope") if name in said}
        if self.curve is not None:
            alike["curve"] = said.pop("curve").to_json()
        return said, alike


@dataclass(frozen=True)
class Delivery:
    """Delivers one image as pixels or VOI LUT.

    Attributes
    ----------
    harmonizer : ToneCurveHarmonizer
    output : Path
    deliver : str
        "pixels" or "voi-lut".
    allow : collection of str
        Guards to overrule (`isotone.monitoring.guards`).
    encoding : Encoding
        Of pixels.
    """

    harmonizer: ToneCurveHarmonizer
    output: Path
    deliver: Deliver
    allow: Collection[str] = ()
    encoding: Encoding = USUAL

    def writes(self, outcome: Outcome) -> bool:
        """Whether an image has a file in the output: reference images only among pixels, which replace the input."""
        return self.deliver == "pixels" or outcome.status != "reference"

    def __call__(self, job: Job) -> Outcome:
        """Write the file.

        Raises
        ------
        IsotoneError
            The image is refused, or cannot be written; no output file is left.
        """
        with caught_warnings():
            return self._deliver(job)

    def _deliver(self, job: Job) -> Outcome:
        target = safe_target(self.output, job.target)
        if self.harmonizer.passing(job.domain, self.allow):
            return self._pass_through(job, read_header(job.path, inverted=job.inverted), target)
        if job.path.suffix.lower() in SUFFIXES:
            return self._deliver_one(job, read_raster(job.path, inverted=job.inverted), None, target)
        with open_dicom(job.path, inverted=job.inverted) as opened:
            return self._deliver_one(job, opened.radiograph, opened, target)

    def _deliver_one(self, job: Job, radiograph: Radiograph, opened: OpenDicom | None, target: Path) -> Outcome:
        radiograph = under_its_domain(self.harmonizer, radiograph, job)
        domain = radiograph.header.domain
        if self.harmonizer.passing(domain, self.allow):
            return self._pass_through(replace(job, domain=domain), radiograph.header, target)
        refuse_ours(radiograph.header, self.allow)
        curve, seen = curve_of(self.harmonizer, radiograph, self.allow)
        table = output_table(radiograph.map_tone(curve), bits := self.encoding.bits_of(radiograph.header))
        record = record_of(self.harmonizer, curve, self.deliver, table, domain, bits=bits)
        if opened is not None:
            radiograph = self._write_dicom(radiograph, opened, record, target)
        elif self.deliver == "pixels":
            write_derived_png(radiograph, record, target)
        else:
            raise RadiographError(
                "E_UNSUPPORTED", "only DICOM images carry a look-up table", next_step='Use deliver="pixels".'
            )
        outcome = outcome_of(self.harmonizer, curve, radiograph, table, seen)
        return replace(outcome, warnings=(*outcome.warnings, "W_LEVELS")) if record.altered else outcome

    def _write_dicom(self, radiograph: Radiograph, opened: OpenDicom, record: Record, target: Path) -> Radiograph:
        """Write the file; the image with the warnings of all its frames."""
        frames, table = opened.frames, cast(Table, record.table)
        if self.deliver == "voi-lut":
            record = replace(record, table=None, untouched=digest_of_values(frames))
        elif frames.may_warn:  # what it warns of stands in the header, which is written first
            for _ in frames:
                pass
        radiograph = replace(radiograph, header=replace(radiograph.header, warnings=frames.warned.lines()))
        if self.deliver == "pixels":
            compress = self.encoding.compress
            write_derived_dicom(opened.dataset, radiograph, frames, record, target, compress=compress)
        else:
            write_voi_lut_image(opened.dataset, radiograph.header, frames, table, record, target)
        return radiograph

    def _pass_through(self, job: Job, header: Header, target: Path) -> Outcome:
        outcome = passed_through(self.harmonizer, job.domain, header, self.allow)
        if self.writes(outcome):
            _refuse_other_polarity(job, header)
            copy_file(job.path, target)
        return outcome


def _refuse_other_polarity(job: Job, header: Header) -> None:
    """Refuse to copy an image whose header denies the polarity that the user states."""
    if job.inverted is not None and header.format == "dicom" and read_header(job.path).inverted != job.inverted:
        raise RadiographError(
            "E_UNSUPPORTED",
            "it is copied as it is, and its header denies the polarity that was stated",
            next_step="Correct PhotometricInterpretation and PresentationLUTShape in the source.",
        )


def under_its_domain(harmonizer: ToneCurveHarmonizer, radiograph: Radiograph, job: Job) -> Radiograph:
    """An image under the name that the harmonizer has for its scanner: the job's, else that of its header."""
    named = radiograph.with_domain(job.domain or radiograph.header.domain)
    return radiograph.with_domain(harmonizer.domain_of(named.header))


def passed_through(
    harmonizer: ToneCurveHarmonizer, domain: str | None, header: Header, allow: Collection[str]
) -> Outcome:
    """The outcome of an image that stays as it is.

    Raises
    ------
    RadiographError
        E_ALREADY: it is kept, and isotone made it.
    """
    status = harmonizer.passing(domain, allow) or ""
    if status == "kept":
        refuse_ours(header, allow)
    why = harmonizer.scanners[domain or ""].kept_for if status == "kept" else None
    return Outcome(status, instance=instance_of(header), warnings=(*header.codes, *([why] if why else ())))


def curve_of(
    harmonizer: ToneCurveHarmonizer, radiograph: Radiograph, allow: Collection[str]
) -> tuple[ToneCurve, NDArray[np.float64] | None]:
    """The curve of an image, and what it was compared with the fit by; errors as for `ToneCurveHarmonizer.curve`."""
    seen = harmonizer.look(radiograph)
    return harmonizer.curve(radiograph, allow=allow, seen=seen), seen


def record_of(
    harmonizer: ToneCurveHarmonizer,
    curve: ToneCurve,
    deliver: Deliver,
    table: Table | None = None,
    domain: str | None = None,
    *,
    bits: int = BITS,
) -> Record:
    """The record of a delivery, which says where fewer bits than usual make grey levels meet."""
    record = Record(curve, harmonizer.name, harmonizer.digest, deliver, table, domain, bits=bits)
    if table is None or bits == BITS or (kept := levels_in(table)) == len(table):
        return record
    return replace(record, altered=(f"of {len(table)} grey levels {kept} are left in {bits} bits",))


def outcome_of(
    harmonizer: ToneCurveHarmonizer,
    curve: ToneCurve,
    radiograph: Radiograph,
    table: Table,
    seen: NDArray[np.float64] | None,
) -> Outcome:
    """The numbers of one harmonized image."""
    low, high, unclipped = _facts(curve)
    return Outcome(
        "harmonized",
        curve,
        low,
        high,
        levels_kept=levels_in(table),
        clipped_share=_clipped_share(radiograph, unclipped),
        instance=instance_of(radiograph.header),
        warnings=radiograph.header.codes + harmonizer.warnings(radiograph.header),
        look=None if seen is None else tuple(np.round(seen, 6).tolist()),
    )


def instance_of(header: Header) -> str | None:
    """SHA-256 of the SOP Instance UID, cut to 128 bits: enough to find duplicates, and no patient data."""
    uid = header.instance_uid
    return None if uid is None else hashlib.sha256(uid.encode()).hexdigest()[:32]


def refuse_ours(header: Header, allow: Collection[str] = ()) -> None:
    """Refuse an image that isotone made, unless `allow` holds "harmonized".

    Raises
    ------
    RadiographError
        E_ALREADY.
    """
    if "harmonized" not in allow and "W_HARMONIZED" in header.codes:
        raise RadiographError("E_ALREADY", "isotone made this image")


def safe_target(output: Path, relative: str) -> Path:
    """The path of an output file, which no link leads to.

    Raises
    ------
    RadiographError
        E_WRITE: a link stands in the output folder, there or on the way, or a folder in the place of the file.
    """
    name = str(output)
    for part in Path(relative).parts:
        name = os.path.join(name, part)
        if part == ".." or os.path.islink(name):
            raise RadiographError(
                "E_WRITE", "a link stands in the output folder", next_step="Remove the link, or name another output=."
            )
    if os.path.isdir(name):
        raise RadiographError(
            "E_WRITE", "a folder stands in the place of its output", next_step="Remove it, or name another output=."
        )
    return Path(name)


_curve_in = lru_cache(maxsize=64)(ToneCurve.from_json)
"""The curve of a text: the entries of a scanner's images have the same."""


@lru_cache(maxsize=64)
def _facts(curve: ToneCurve) -> tuple[float, float, tuple[float, float]]:
    return *curve.slope_bounds(), curve.unclipped()


def _clipped_share(radiograph: Radiograph, unclipped: tuple[float, float]) -> float:
    clipped = (radiograph.tone < unclipped[0]) | (radiograph.tone > unclipped[1])
    if not clipped.any():
        return 0.0
    return float(clipped[radiograph.stored][radiograph.valid].mean())
