"""`--deliver gsps`: Grayscale Softcopy Presentation States (PS3.3 A.33.1), which leave the images alone."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom
from highdicom.pr import GrayscaleSoftcopyPresentationState, SoftcopyVOILUTTransformation
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian

from isotone._version import __version__
from isotone.errors import RadiographError
from isotone.export.record import INTENDED_USE, Record, Table
from isotone.export.stamp import SERIES_OFFSET, series_description
from isotone.export.voi_lut import explanation
from isotone.export.write import write_dicom
from isotone.imaging.ours import NAME
from isotone.imaging.radiograph import Header

logging.getLogger("highdicom").setLevel(logging.CRITICAL)  # its log lines name UIDs

PATIENT_AND_STUDY = (
    "PatientID",
    "PatientName",
    "PatientBirthDate",
    "PatientSex",
    "AccessionNumber",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "ReferringPhysicianName",
)
"""Type 2: present, and empty where the source lacks them."""
REFERENCE = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")


@dataclass(frozen=True, eq=False)
class Shown:
    """One image of a presentation state.

    Attributes
    ----------
    dataset : Dataset
        Its header; pixel data are not needed.
    header : Header
    table : uint16 array of shape (2**bits_stored,)
        From `isotone.export.derived_image.output_table`.
    """

    dataset: Dataset
    header: Header
    table: Table


def group_of(dataset: Dataset, header: Header) -> str:
    """A key, without patient data, that images of one presentation state share: study, rescale and polarity.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: it lacks a UID that a presentation state must refer to.
    """
    for keyword in REFERENCE:
        if not dataset.get(keyword):
            raise RadiographError("E_UNSUPPORTED", f"it has no {keyword}", file=header.path)
    modality = dataset.get("ModalityLUTSequence")
    facts = (
        str(dataset.StudyInstanceUID),
        header.inverted,
        header.bits_stored if header.signed else None,
        str(modality[0].LUTDescriptor) + str(modality[0].LUTData)
        if modality
        else [str(dataset.get(k)) for k in ("RescaleSlope", "RescaleIntercept")],
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def write_presentation_state(shown: Sequence[Shown], record: Record, number: int, target: Path) -> None:
    """Write one presentation state with a VOI LUT for each image.

    The modality stage of a presentation state replaces the image's (PS3.4 N.2), so here it only shifts signed values
    up: each table is indexed by stored values and holds the curve exactly, whatever the rescale.

    Parameters
    ----------
    shown : sequence of Shown
        Images of one `group_of`, at least one.
    record : Record
        Names the model.
    number : int
        Instance number.
    target : Path

    Raises
    ------
    IsotoneError
        E_WRITE.
    """
    first = shown[0]
    bits = first.header.bits_stored
    state = GrayscaleSoftcopyPresentationState(
        referenced_images=[_referable(image.dataset, first.dataset) for image in shown],
        series_instance_uid=record.uid("series", str(first.dataset.StudyInstanceUID)),
        series_number=SERIES_OFFSET,
        series_description=series_description(),
        sop_instance_uid=record.uid("instance", *sorted(map(_content, shown))),
        instance_number=number,
        manufacturer=NAME,
        manufacturer_model_name=NAME,
        software_versions=__version__,
        device_serial_number=record.digest[:12],
        content_label=NAME.upper(),
        content_description=INTENDED_USE,
        modality_lut_transformation=highdicom.ModalityLUTTransformation(
            rescale_intercept=2.0 ** (bits - 1) if first.header.signed else 0.0, rescale_slope=1.0, rescale_type="US"
        ),
        voi_lut_transformations=[_softcopy_voi_lut(image, record) for image in shown],
        presentation_lut_transformation=highdicom.PresentationLUTTransformation(
            "INVERSE" if first.header.inverted else "IDENTITY"
        ),
    )
    _show_all_of(state, shown)
    if "Laterality" not in state:
        state.Laterality = ""  # type 2C in the General Series of every object
    write_dicom(state, ExplicitVRLittleEndian, target)


def _content(image: Shown) -> str:
    """Image and table: read reduced, an image may get another table, and that must not travel under the same UID."""
    return f"{image.dataset.SOPInstanceUID} {hashlib.sha256(image.table.tobytes()).hexdigest()}"


def _referable(dataset: Dataset, first: Dataset) -> Dataset:
    """What highdicom reads of an image; it insists on one size, for a display area that is replaced below."""
    image = Dataset()
    for keyword in (*REFERENCE, *PATIENT_AND_STUDY, "SpecificCharacterSet"):
        if keyword in dataset or keyword in PATIENT_AND_STUDY:
            setattr(image, keyword, dataset.get(keyword))
    image.Rows, image.Columns, image.SamplesPerPixel = first.Rows, first.Columns, 1
    return image


def _softcopy_voi_lut(image: Shown, record: Record) -> SoftcopyVOILUTTransformation:
    return SoftcopyVOILUTTransformation(
        voi_luts=[highdicom.VOILUT(0, image.table, explanation(record))],
        referenced_images=highdicom.ReferencedImageSequence([_referable(image.dataset, image.dataset)]),
    )


def _show_all_of(state: Dataset, shown: Sequence[Shown]) -> None:
    """One displayed area for each size of image (PS3.3 C.10.4)."""
    by_size: dict[tuple[int, int], list[Dataset]] = {}
    for image in shown:
        item = Dataset()
        item.ReferencedSOPClassUID = image.dataset.SOPClassUID
        item.ReferencedSOPInstanceUID = image.dataset.SOPInstanceUID
        by_size.setdefault((image.header.columns, image.header.rows), []).append(item)
    areas = []
    for size, references in by_size.items():
        area = Dataset()
        area.ReferencedImageSequence = references
        area.DisplayedAreaTopLeftHandCorner = [1, 1]
        area.DisplayedAreaBottomRightHandCorner = list(size)
        area.PresentationSizeMode = "SCALE TO FIT"
        area.PresentationPixelAspectRatio = [1, 1]
        areas.append(area)
    state.DisplayedAreaSelectionSequence = areas
