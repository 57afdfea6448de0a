"""A phantom mammogram as a DICOM object: Digital Mammography X-Ray Image, For Presentation (PS3.3 A.27)."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import (
    DigitalMammographyXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

from isotone._runtime.files import replace_file
from isotone.data.phantom.anatomy import FIELD_MM, Anatomy
from isotone.data.phantom.scanners import Scanner

STAMP = ("20250107", "090000")
"""Date and time of every examination: the same run gives the same bytes."""


@dataclass(frozen=True)
class Exam:
    """One exposure of one breast.

    Attributes
    ----------
    patient_id : str
        Invented.
    laterality : str
        "L" or "R".
    anatomy : Anatomy
        Of that breast.
    key : str
        Tells this cohort from others: enters every UID.
    """

    patient_id: str
    laterality: str
    anatomy: Anatomy
    key: str


def write_mammogram(path: Path, stored: NDArray[np.uint16], exam: Exam, scanner: Scanner) -> None:
    """Write one uncompressed file, whole or not at all.

    Parameters
    ----------
    path : Path
        Target.
    stored : uint16 array of shape (rows, columns)
        Stored values of `scanner`.
    exam : Exam
        Patient, side and breast.
    scanner : Scanner
        Whose header it gets.
    """
    ds = Dataset()
    _patient_and_study(ds, exam, scanner)
    _series_and_equipment(ds, exam, scanner)
    _acquisition(ds, exam, FIELD_MM / stored.shape[0])
    _pixels(ds, stored, scanner)
    ds.SOPClassUID = DigitalMammographyXRayImageStorageForPresentation
    ds.SOPInstanceUID = _uid(exam, scanner, "instance" + exam.laterality)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = ds.SOPClassUID
    meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta = meta
    with replace_file(path) as temporary:
        ds.save_as(temporary, enforce_file_format=True)


def _uid(exam: Exam, scanner: Scanner, what: str) -> str:
    name = "|".join([exam.key, exam.patient_id, scanner.domain, what])
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def _patient_and_study(ds: Dataset, exam: Exam, scanner: Scanner) -> None:
    ds.PatientName = f"Phantom^{exam.patient_id}"
    ds.PatientID = exam.patient_id
    ds.PatientBirthDate = ""
    ds.PatientSex = "F"
    ds.StudyInstanceUID = _uid(exam, scanner, "study")
    ds.StudyID = "1"
    ds.StudyDate, ds.StudyTime = STAMP
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = "Simulated mammogram: not a patient"


def _series_and_equipment(ds: Dataset, exam: Exam, scanner: Scanner) -> None:
    ds.Modality = "MG"
    ds.PresentationIntentType = "FOR PRESENTATION"
    ds.SeriesInstanceUID = _uid(exam, scanner, "series")
    ds.SeriesNumber = 1
    ds.SeriesDescription = "CC"
    ds.Manufacturer = scanner.manufacturer
    ds.ManufacturerModelName = scanner.model
    ds.DeviceSerialNumber = f"{scanner.manufacturer.upper()}-1"
    ds.SoftwareVersions = "1.0"
    ds.InstanceNumber = 1 if exam.laterality == "R" else 2
    ds.ImageType = ["DERIVED", "PRIMARY"]
    ds.AcquisitionDate, ds.AcquisitionTime = ds.ContentDate, ds.ContentTime = STAMP
    ds.BurnedInAnnotation = "NO"
    ds.LossyImageCompression = "00"
    # Left: the chest wall is on the image's left; the top is lateral on both sides.
    ds.PatientOrientation = ["A", "R"] if exam.laterality == "L" else ["P", "L"]


def _acquisition(ds: Dataset, exam: Exam, pitch: float) -> None:
    ds.BodyPartExamined = "BREAST"
    ds.ImageLaterality = exam.laterality
    ds.OrganExposed = "BREAST"
    ds.ViewPosition = "CC"
    view = _code("399162004", "SCT", "cranio-caudal")
    view.ViewModifierCodeSequence = Sequence([])
    ds.ViewCodeSequence = Sequence([view])
    ds.AnatomicRegionSequence = Sequence([_code("76752008", "SCT", "Breast")])
    ds.PartialView = "NO"
    ds.BreastImplantPresent = "NO"
    ds.PositionerType = "MAMMOGRAPHIC"
    ds.PositionerPrimaryAngle = 0
    ds.DetectorType = "DIRECT"
    ds.ImagerPixelSpacing = [f"{pitch:.6f}"] * 2
    ds.PixelSpacing = [f"{pitch:.6f}"] * 2
    ds.BodyPartThickness = f"{exam.anatomy.thickness:.0f}"
    ds.CompressionForce = "100"
    ds.KVP = "28"
    ds.AnodeTargetMaterial = "TUNGSTEN"
    ds.FilterMaterial = "RHODIUM"
    ds.AcquisitionContextSequence = Sequence([])


def _pixels(ds: Dataset, stored: NDArray[np.uint16], scanner: Scanner) -> None:
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME1" if scanner.inverted else "MONOCHROME2"
    ds.PresentationLUTShape = "INVERSE" if scanner.inverted else "IDENTITY"
    ds.PixelIntensityRelationship = "LOG"
    ds.PixelIntensityRelationshipSign = 1 if scanner.inverted else -1
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 16, scanner.bits, scanner.bits - 1
    ds.PixelRepresentation = 0
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    center, width = scanner.window_or_identity
    ds.WindowCenter, ds.WindowWidth = f"{center:g}", f"{width:g}"
    ds.PixelData = np.ascontiguousarray(stored, "<u2").tobytes()


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item
