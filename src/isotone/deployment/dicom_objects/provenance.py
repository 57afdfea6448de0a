"""What a new DICOM object says of where it comes from (PS3.3 C.7.6.1.1, C.7.5.1, C.12.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime, timedelta, timezone

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID

from isotone._version import __version__
from isotone.curves.stages import Affine, Knots
from isotone.deployment.dicom_objects.write import element_of
from isotone.deployment.record import INTENDED_USE, Record, Table
from isotone.errors import RadiographError
from isotone.imaging.own_files import CREATOR, GROUP, NAME

SCHEME = "99ISOTONE"
SERIES_OFFSET = 9000
TONE_CURVE = Code("TONE_CURVE", SCHEME, "Monotone tone curve applied to every pixel")
OF_THE_BYTES = [
    Tag(keyword)
    for keyword in (
        "IconImageSequence",
        "HistogramSequence",
        "MACParametersSequence",
        "DigitalSignaturesSequence",
    )
]
"""Elements that are valid for the source's pixels or bytes only; the new object drops them."""
REPLACED = [Tag(keyword) for keyword in ("InstanceCreatorUID", "SeriesDescriptionCodeSequence")]
MAX_IS = 2**31 - 1
"""Largest integer string (PS3.5 6.2)."""


def stamp(dataset: Dataset, record: Record, table: Table, changes: Dataset, removed: Iterable[BaseTag]) -> None:
    """Make a dataset into the new object that is derived from it, in place.

    Parameters
    ----------
    dataset : Dataset
        The source as read, with its file meta information.
    record : Record
        Travels in a private block together with every element that is replaced or removed here.
    table : uint16 array
        The look-up table of the image. It enters the SOP Instance UID, so each table has its own UID.
    changes : Dataset
        Elements that the delivery sets.
    removed : iterable of tag
        Elements that the delivery takes away.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: it has no SOP class or no UID.
    """
    instance = text_of(dataset, "SOPInstanceUID")
    if not instance or not text_of(dataset, "SOPClassUID"):
        raise RadiographError(
            "E_UNSUPPORTED",
            "it has no SOP class or no SOP instance UID",
            next_step="Give it those that it lacks in the source: what is derived from an image refers to it by UIDs.",
        )
    _identify(dataset, record, table, changes, instance)
    _say_where_from(dataset, record, changes, instance)
    _replace(dataset, record, changes, [*removed, *OF_THE_BYTES, *REPLACED])


def values_of(dataset: Dataset, keyword: str) -> list[str]:
    """The values of an element as text. A file may hold several values where DICOM allows one.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: they cannot be parsed.
    """
    value = element_of(dataset, Tag(keyword)).value if keyword in dataset else None
    return [str(one) for one in (value if isinstance(value, MultiValue | list) else [value]) if one is not None]


def text_of(dataset: Dataset, keyword: str) -> str:
    """The same values, joined by spaces; empty without values."""
    return " ".join(values_of(dataset, keyword))


def derived_type(dataset: Dataset) -> list[str]:
    """ImageType (PS3.3 C.7.6.1.1.2) of what is derived from an image."""
    return ["DERIVED", *(values_of(dataset, "ImageType")[1:] or ["PRIMARY"])]


def series_description(source: str = "") -> str:
    """At most 64 characters: the start of the source's, and what the images are for."""
    plain = source.isascii() and source.isprintable()
    return f"{source[:13]} | {INTENDED_USE}" if source and plain else f"{NAME}: {INTENDED_USE}"


def describe(record: Record) -> str:
    """The derivation in words, the coefficients to six digits."""
    stages = record.curve.stages
    numbers = ", ".join(f"{alpha:.6f}" for alpha in record.curve.coefficients)
    parts = [f"N = {len(record.curve.coefficients)} ({numbers})"] if numbers else []
    parts += [f"affine {s.gain:.6f}, {s.offset:.6f}" for s in stages if isinstance(s, Affine)]
    parts += [f"free curve of {len(s.x)} points" for s in stages if isinstance(s, Knots)]
    # Whatever character set the source declares, ASCII is in it.
    harmonizer = record.harmonizer[:64].encode("ascii", "replace").decode()
    depth = ""
    if record.table is not None:
        depth = f"; {len(record.table).bit_length() - 1} bits in, {record.bits} bits out"
    return (
        f"{NAME} {__version__}: monotone tone curve, {'; '.join(parts) or 'identity'}, over the full range of stored "
        f"values{depth}; harmonizer {harmonizer}, SHA-256 {record.digest[:12]}; {INTENDED_USE}."
    )


def _identify(dataset: Dataset, record: Record, table: Table, changes: Dataset, instance: str) -> None:
    """Set the UIDs: one instance for each table, one series for each scanner and source series."""
    series = text_of(dataset, "SeriesInstanceUID") or instance
    domain = record.domain or ""
    digest = hashlib.sha256(table.astype("<u2").tobytes()).hexdigest()
    changes.SOPInstanceUID = record.uid("instance", instance, domain, digest)
    changes.SeriesInstanceUID = record.uid("series", series, domain)
    with suppress(RadiographError, ValueError):
        number = int(text_of(dataset, "SeriesNumber") or 0) + SERIES_OFFSET
        if number <= MAX_IS:
            changes.SeriesNumber = number
    changes.SeriesDescription = series_description(text_of(dataset, "SeriesDescription"))
    now = _now(dataset)
    for event in ("InstanceCreation", "Content"):  # a series has one date (PS3.3 C.7.3.1), so it keeps the source's
        setattr(changes, f"{event}Date", now.strftime("%Y%m%d"))
        setattr(changes, f"{event}Time", now.strftime("%H%M%S"))


def _say_where_from(dataset: Dataset, record: Record, changes: Dataset, instance: str) -> None:
    before = text_of(dataset, "DerivationDescription")
    text = describe(record) + (f" Before: {before}" if before.isascii() and before else "")
    changes.DerivationDescription = text[:1024]
    _append(dataset, changes, "DerivationCodeSequence", _code(TONE_CURVE))
    scheme = Dataset()
    scheme.CodingSchemeDesignator = SCHEME
    scheme.CodingSchemeName = "isotone"
    _append(dataset, changes, "CodingSchemeIdentificationSequence", scheme)
    if UID(instance).is_valid:
        source = Dataset()
        source.ReferencedSOPClassUID = dataset.SOPClassUID
        source.ReferencedSOPInstanceUID = instance
        source.SpatialLocationsPreserved = "YES"
        source.PurposeOfReferenceCodeSequence = [_code(codes.DCM.SourceImageForImageProcessingOperation)]
        _append(dataset, changes, "SourceImageSequence", source)
    equipment = Dataset()
    equipment.PurposeOfReferenceCodeSequence = [_code(codes.DCM.ProcessingEquipment)]
    equipment.Manufacturer = equipment.ManufacturerModelName = NAME
    equipment.SoftwareVersions = __version__
    equipment.ContributionDateTime = _now(dataset).strftime("%Y%m%d%H%M%S")
    equipment.ContributionDescription = f"Tone harmonization: {INTENDED_USE}"
    _append(dataset, changes, "ContributingEquipmentSequence", equipment)


def _replace(dataset: Dataset, record: Record, changes: Dataset, removed: Iterable[BaseTag]) -> None:
    ours = CREATOR in dataset.private_creators(GROUP)  # harmonized twice: restore gives the first record back
    touched = {*changes.keys(), *removed, *(tag for tag in list(dataset.keys()) if ours and tag.group == GROUP)}
    replaced = Dataset()
    for tag in sorted(touched & dataset.keys()):
        replaced.add(element_of(dataset, tag))
        del dataset[tag]
    dataset.update(changes)
    block = dataset.private_block(GROUP, CREATOR, create=True)
    block.add_new(0x01, "UT", record.to_json())
    block.add_new(0x02, "SQ", [replaced])
    block.add_new(0x03, "AT", sorted(changes.keys() - replaced.keys()))


def _append(dataset: Dataset, changes: Dataset, keyword: str, item: Dataset) -> None:
    before = element_of(dataset, Tag(keyword)).value if keyword in dataset else None
    setattr(changes, keyword, Sequence([*(before if isinstance(before, Sequence) else []), item]))


def _code(code: Code) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def _now(dataset: Dataset) -> datetime:
    """In the time zone that the dataset says its times are in (0008,0201), else in the local one."""
    offset = text_of(dataset, "TimezoneOffsetFromUTC")
    with suppress(ValueError):
        sign = -1 if offset.startswith("-") else 1
        return datetime.now(timezone(sign * timedelta(hours=int(offset[1:3]), minutes=int(offset[3:5]))))
    return datetime.now().astimezone()
