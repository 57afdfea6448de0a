"""`--deliver gsps`: Grayscale Softcopy Presentation States (PS3.3 A.33.1), which leave the images alone."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import highdicom
from highdicom.pr import GrayscaleSoftcopyPresentationState, SoftcopyVOILUTTransformation
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import Tag
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian

from isotone._version import __version__
from isotone.deployment.dicom_objects.displayed_area import aspect_ratio, shutter_of
from isotone.deployment.dicom_objects.provenance import SERIES_OFFSET, series_description
from isotone.deployment.dicom_objects.voi_lut import explanation
from isotone.deployment.dicom_objects.write import element_of, write_dicom
from isotone.deployment.record import INTENDED_USE, Record, Table
from isotone.errors import RadiographError
from isotone.imaging.dicom.functional_groups import MODALITY, holder
from isotone.imaging.own_files import NAME
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
DEIDENTIFIED = ("PatientIdentityRemoved", "DeidentificationMethod", "LongitudinalTemporalInformationModified")
"""What says that, and how, the images were de-identified (PS3.15 E): a state says the same."""
METHODS = "DeidentificationMethodCodeSequence"
PATIENT = ("PatientID", "IssuerOfPatientID", "PatientName", "PatientBirthDate")
"""What tells patients apart; an ID may be missing, or of another hospital."""
REFERENCE = ("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
MADE = [Tag(keyword) for keyword in ("SoftcopyVOILUTSequence", "ReferencedSeriesSequence", "PresentationLUTShape")]
"""What is compared when a state is read back, beyond its UIDs."""
KNOWN = ComputedRadiographyImageStorage
"""SOP class that stands for those of the images until the state is made."""


@dataclass(frozen=True, eq=False)
class Shown:
    """One image of a presentation state.

    Attributes
    ----------
    dataset : Dataset
        Its header; pixel data are not needed.
    header : Header
    table : uint16 array of shape (2**bits_stored,)
        From `isotone.deployment.dicom_objects.derived_image.output_table`.
    """

    dataset: Dataset
    header: Header
    table: Table


def group_of(dataset: Dataset, header: Header) -> str:
    """A key, without patient data, that images of one presentation state share.

    Patient, study, rescale, polarity, shutter and de-identification. Two patients under one study's UID are somebody's
    mistake, and a state must not carry one's name to the other's image.

    Raises
    ------
    RadiographError
        E_UNSUPPORTED: it lacks a UID that a presentation state must refer to, or has several.
    """
    for keyword in REFERENCE:
        uid = element_of(dataset, Tag(keyword)).value if keyword in dataset else ""
        if not isinstance(uid, str) or not uid:  # an invalid one is still the name of its image; two are none
            raise RadiographError(
                "E_UNSUPPORTED",
                f"its {keyword} is not one UID" if uid else f"it has no {keyword}",
                file=header.path,
                next_step="Correct it in the source: a presentation state refers to its images by UIDs.",
            )
    facts = (
        str(dataset.StudyInstanceUID),
        _patient_of(dataset),
        header.inverted,
        header.bits_stored if header.signed else None,
        _modality_of(dataset),
        sorted(shutter_of(dataset).items()),
        *(str(dataset.get(keyword)) for keyword in (*DEIDENTIFIED, METHODS) if keyword in dataset),
    )
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _patient_of(dataset: Dataset) -> str:
    return "|".join(str(dataset.get(keyword, "")) for keyword in PATIENT)


def _modality_of(dataset: Dataset) -> object:
    """Equal for equal modality stages; one that is not given is the identity."""
    if dataset.get("ModalityLUTSequence"):
        item = dataset.ModalityLUTSequence[0]
        return str(item.LUTDescriptor) + str(item.LUTData)
    rescale = holder(dataset, MODALITY, "RescaleSlope", "RescaleIntercept")
    slope, intercept = rescale.get("RescaleSlope"), rescale.get("RescaleIntercept")
    return 1.0 if slope is None else float(slope), 0.0 if intercept is None else float(intercept) + 0.0  # not -0.0


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
        referenced_images=[_stand_in(image.dataset) for image in shown],
        series_instance_uid=record.uid("series", str(first.dataset.StudyInstanceUID), _patient_of(first.dataset)),
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
    _name_classes(state, shown)
    _show_all_of(state, shown)
    _say_of_patient_and_study(state, first.dataset)
    for keyword, value in shutter_of(first.dataset).items():
        setattr(state, keyword, value)
    if "Laterality" not in state:
        state.Laterality = ""  # type 2C in the General Series of every object
    write_dicom(state, ExplicitVRLittleEndian, target, made=MADE)


def _content(image: Shown) -> str:
    """Image and table: read reduced, an image may get another table, and that must not travel under the same UID."""
    return f"{image.dataset.SOPInstanceUID} {hashlib.sha256(image.table.tobytes()).hexdigest()}"


def _stand_in(dataset: Dataset) -> Dataset:
    """What highdicom is shown of an image.

    It refuses SOP classes that it does not know, and dates, names and sexes that break the rules, of which foreign
    headers are full; it also insists on one size, for a display area that is replaced. So it gets the UIDs alone.
    """
    image = Dataset()
    for keyword in REFERENCE:
        setattr(image, keyword, dataset.get(keyword))
    image.SOPClassUID = KNOWN
    for keyword in PATIENT_AND_STUDY:
        setattr(image, keyword, None)
    image.Rows = image.Columns = image.SamplesPerPixel = 1
    return image


def _softcopy_voi_lut(image: Shown, record: Record) -> SoftcopyVOILUTTransformation:
    return SoftcopyVOILUTTransformation(
        voi_luts=[highdicom.VOILUT(0, image.table, explanation(record))],
        referenced_images=highdicom.ReferencedImageSequence([_stand_in(image.dataset)]),
    )


def _name_classes(state: Dataset, shown: Sequence[Shown]) -> None:
    """Put the images' own SOP classes in place of the stand-in's."""
    classes = {image.dataset.SOPInstanceUID: image.dataset.SOPClassUID for image in shown}
    for sequence in (state.ReferencedSeriesSequence, state.SoftcopyVOILUTSequence):
        for item in sequence:
            for reference in item.ReferencedImageSequence:
                reference.ReferencedSOPClassUID = classes[reference.ReferencedSOPInstanceUID]


def _say_of_patient_and_study(state: Dataset, source: Dataset) -> None:
    """Byte for byte, whatever they are: the state must lie beside its images in an archive."""
    if METHODS in source:
        state[METHODS] = source[METHODS]
    for keyword in (*PATIENT_AND_STUDY, *DEIDENTIFIED, "SpecificCharacterSet"):
        tag, vr = Tag(keyword), dictionary_VR(keyword)
        element = source.get_item(tag)
        if isinstance(element, RawDataElement) and isinstance(element.value, bytes):
            value = element.value + b" " * (len(element.value) % 2)
            state[tag] = RawDataElement(tag, vr, len(value), value, 0, False, True)
        elif isinstance(element, DataElement) and vr == element.VR:  # parsed by who wanted to know it
            state[tag] = element


def _show_all_of(state: Dataset, shown: Sequence[Shown]) -> None:
    """One displayed area for each size of image and shape of its pixels (PS3.3 C.10.4)."""
    alike: dict[tuple[tuple[int, int], tuple[int, int]], list[Dataset]] = {}
    for image in shown:
        item = Dataset()
        item.ReferencedSOPClassUID = image.dataset.SOPClassUID
        item.ReferencedSOPInstanceUID = image.dataset.SOPInstanceUID
        shape = (image.header.columns, image.header.rows), aspect_ratio(image.dataset)
        alike.setdefault(shape, []).append(item)
    areas = []
    for (size, ratio), references in alike.items():
        area = Dataset()
        area.ReferencedImageSequence = references
        area.DisplayedAreaTopLeftHandCorner = [1, 1]
        area.DisplayedAreaBottomRightHandCorner = list(size)
        area.PresentationSizeMode = "SCALE TO FIT"
        area.PresentationPixelAspectRatio = list(ratio)
        areas.append(area)
    state.DisplayedAreaSelectionSequence = areas
