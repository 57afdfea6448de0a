"""Small DICOM files made by script: conformant MG, DX and CR of several vendors, in every transfer syntax.

``python tests/dicoms.py FOLDER`` writes one of each, for looking at or for dciodvfy. The faulty ones are in
`bad_dicoms`.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
    generate_uid,
)

SOP_CLASSES = {
    ("MG", "FOR PRESENTATION"): "1.2.840.10008.5.1.4.1.1.1.2",
    ("MG", "FOR PROCESSING"): "1.2.840.10008.5.1.4.1.1.1.2.1",
    ("DX", "FOR PRESENTATION"): "1.2.840.10008.5.1.4.1.1.1.1",
    ("DX", "FOR PROCESSING"): "1.2.840.10008.5.1.4.1.1.1.1.1",
    ("CR", None): "1.2.840.10008.5.1.4.1.1.1",
}
VENDORS = {
    "hologic": {"Manufacturer": "HOLOGIC, Inc.", "ManufacturerModelName": "Selenia Dimensions"},
    "ge": {"Manufacturer": "GE MEDICAL SYSTEMS", "ManufacturerModelName": "Senograph 2000D ADS_17.4.5"},
    "fuji": {"Manufacturer": "FUJIFILM Corporation", "ManufacturerModelName": "Clearview CSm"},
    "philips": {"Manufacturer": "Philips Medical Systems", "ManufacturerModelName": "digital DIAGNOST"},
}


def pixels(bits: int = 12, *, rows: int = 48, columns: int = 64, seed: int = 0) -> NDArray[np.uint16]:
    """A smooth object on a dark ground with a little noise; uses 0 and the largest value."""
    y, x = np.mgrid[-1 : 1 : rows * 1j, 0 : 1 : columns * 1j]
    rng = np.random.default_rng(seed)
    grey = np.clip(1.1 - np.hypot(x * 1.3, y) + 0.02 * rng.standard_normal((rows, columns)), 0, 1)
    return np.rint(grey / grey.max() * (2**bits - 1)).astype(np.uint16)


def radiograph(
    stored: NDArray[np.integer] | None = None,
    *,
    modality: str = "MG",
    intent: str | None = "FOR PRESENTATION",
    vendor: str = "hologic",
    bits: int = 12,
    inverted: bool = False,
    seed: int = 0,
    **attributes: object,
) -> Dataset:
    """A conformant single-frame object in Explicit VR Little Endian.

    `stored` defaults to `pixels`; a signed array makes PixelRepresentation 1. `attributes` are set last, by keyword;
    None deletes one. UIDs depend on the seed, modality and vendor alone.
    """
    if modality == "CR":
        intent = None
    stored = pixels(bits, seed=seed) if stored is None else stored
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds = Dataset()
    ds.file_meta = meta
    ds.SOPClassUID = SOP_CLASSES[modality, intent]
    uid_source = [str(seed), modality, vendor, str(intent)]
    ds.SOPInstanceUID = generate_uid(entropy_srcs=[*uid_source, "instance"])
    ds.StudyInstanceUID = generate_uid(entropy_srcs=[*uid_source, "study"])
    ds.SeriesInstanceUID = generate_uid(entropy_srcs=[*uid_source, "series"])
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    _patient(ds, modality, VENDORS[vendor])
    if modality == "CR":
        ds.BodyPartExamined, ds.ViewPosition = "CHEST", "PA"
        ds.WindowCenter, ds.WindowWidth = 2 ** (bits - 1), 2**bits
    else:
        _digital(ds, modality, intent)
        ds.WindowCenter, ds.WindowWidth = 2 ** (bits - 1), 2**bits
        if intent == "FOR PROCESSING":
            del ds.WindowCenter, ds.WindowWidth
    ds.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    if modality != "CR":
        ds.PresentationLUTShape = "INVERSE" if inverted else "IDENTITY"
    _pixel_module(ds, stored, bits)
    for keyword, value in attributes.items():
        if value is None:
            delattr(ds, keyword)
        else:
            setattr(ds, keyword, value)
    return ds


def grouped(ds: Dataset, place: str, **voi: object) -> Dataset:
    """The same as a Breast Projection X-Ray Image, in place: window and rescale in a functional group alone.

    `place` is the keyword of the group that holds them; `voi` becomes the Frame VOI LUT, without it there is none.
    """
    raw = ds.get("PresentationIntentType") == "FOR PROCESSING"
    ds.SOPClassUID = "1.2.840.10008.5.1.4.1.1.13.1.5" if raw else "1.2.840.10008.5.1.4.1.1.13.1.4"
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.NumberOfFrames = 1
    for keyword in ("WindowCenter", "WindowWidth"):
        ds.pop(keyword, None)
    rescale = Dataset()
    for keyword, identity in (("RescaleIntercept", "0"), ("RescaleSlope", "1"), ("RescaleType", "US")):
        setattr(rescale, keyword, ds.pop(keyword).value if keyword in ds else identity)
    kind = Dataset()
    kind.FrameType = ["ORIGINAL", "PRIMARY", "", "NONE"]
    held, other = Dataset(), Dataset()
    if voi:
        item = Dataset()
        for keyword, value in voi.items():
            setattr(item, keyword, value)
        held.FrameVOILUTSequence = [item]
    held.PixelValueTransformationSequence, held.XRay3DFrameTypeSequence = [rescale], [kind]
    places = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    for keyword in places:
        setattr(ds, keyword, [held if keyword == place else other])
    return ds


def _patient(ds: Dataset, modality: str, vendor: dict[str, str]) -> None:
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Doe^Jane", "P-1", "19500101", "F"
    ds.StudyDate = ds.ContentDate = ds.AcquisitionDate = "20250107"
    ds.StudyTime = ds.ContentTime = ds.AcquisitionTime = "090000"
    ds.AccessionNumber, ds.ReferringPhysicianName, ds.StudyID = "A-1", "Roe^Richard", "1"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = modality, 1, 1
    ds.ImageType = ["DERIVED", "PRIMARY", ""] if modality == "DX" else ["DERIVED", "PRIMARY"]
    for keyword, value in vendor.items():
        setattr(ds, keyword, value)
    ds.DeviceSerialNumber, ds.SoftwareVersions = "SN-1", "1.0"
    ds.BurnedInAnnotation, ds.LossyImageCompression = "NO", "00"
    ds.PatientOrientation = ["P", "L"] if modality == "MG" else ["L", "F"]


def _digital(ds: Dataset, modality: str, intent: str | None) -> None:
    """The modules that DX and MG have and CR has not."""
    breast = modality == "MG"
    ds.PresentationIntentType = intent
    ds.BodyPartExamined, ds.ViewPosition = ("BREAST", "CC") if breast else ("CHEST", "PA")
    ds.ImageLaterality, ds.PositionerType = ("L", "MAMMOGRAPHIC") if breast else ("U", "")
    view = _code("399162004", "cranio-caudal") if breast else _code("399348003", "postero-anterior")
    if breast:
        view.ViewModifierCodeSequence = Sequence([])
        ds.OrganExposed, ds.PartialView, ds.BreastImplantPresent = "BREAST", "NO", "NO"
        ds.PositionerPrimaryAngle = 0
    ds.ViewCodeSequence = Sequence([view])
    ds.AnatomicRegionSequence = Sequence([_code("76752008", "Breast") if breast else _code("51185008", "Chest")])
    ds.DetectorType, ds.DetectorID = "DIRECT", "D-1"
    ds.ImagerPixelSpacing = ["0.1", "0.1"]
    ds.PixelIntensityRelationship, ds.PixelIntensityRelationshipSign = "LOG", -1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = "0", "1", "US"
    ds.AcquisitionContextSequence = Sequence([])


def _code(value: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "SCT", meaning
    return item


def _pixel_module(ds: Dataset, stored: NDArray[np.integer], bits: int) -> None:
    ds.SamplesPerPixel = 1
    ds.Rows, ds.Columns = stored.shape
    ds.BitsAllocated = 8 if bits <= 8 else 16
    ds.BitsStored, ds.HighBit = bits, bits - 1
    ds.PixelRepresentation = int(stored.dtype.kind == "i")
    data = stored.astype(f"<{stored.dtype.kind}{ds.BitsAllocated // 8}").tobytes()
    ds["PixelData"] = _pixel_element(data, ds.BitsAllocated)


def _pixel_element(data: bytes, allocated: int) -> DataElement:
    return DataElement(0x7FE00010, "OB" if allocated == 8 else "OW", data + b"\0" * (len(data) % 2))


LOSSLESS = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
    "rle": RLELossless,
    "jpeg-lossless": JPEGLossless,
    "jpeg-lossless-sv1": JPEGLosslessSV1,
    "jpeg-ls": JPEGLSLossless,
    "jpeg-2000": JPEG2000Lossless,
    "htj2k": HTJ2KLossless,
}
LOSSY = {
    "jpeg": JPEGBaseline8Bit,
    "jpeg-extended": JPEGExtended12Bit,
    "jpeg-ls-near": JPEGLSNearLossless,
    "jpeg-2000-lossy": JPEG2000,
    "htj2k-lossy": HTJ2K,
}


def encoded(ds: Dataset, syntax: UID) -> Dataset:
    """The same object in another transfer syntax, in place."""
    if syntax == ExplicitVRLittleEndian:
        return ds
    word = f"{'i' if ds.PixelRepresentation else 'u'}{ds.BitsAllocated // 8}"
    stored = np.frombuffer(ds.PixelData, f"<{word}")[: ds.Rows * ds.Columns].reshape(ds.Rows, ds.Columns)
    unsigned = np.ascontiguousarray(stored.view(f"u{ds.BitsAllocated // 8}"))
    bits = ds.BitsStored
    ds.file_meta.TransferSyntaxUID = syntax
    encoders = {
        JPEGBaseline8Bit: lambda: imagecodecs.jpeg8_encode(unsigned, level=95),
        JPEGExtended12Bit: lambda: imagecodecs.jpeg8_encode(unsigned, level=95, bitspersample=12),
        JPEGLossless: lambda: imagecodecs.jpeg8_encode(unsigned, lossless=True, predictor=4, bitspersample=bits),
        JPEGLosslessSV1: lambda: imagecodecs.jpeg8_encode(unsigned, lossless=True, bitspersample=bits),
        JPEGLSLossless: lambda: imagecodecs.jpegls_encode(unsigned),
        JPEGLSNearLossless: lambda: imagecodecs.jpegls_encode(unsigned, level=2),
        JPEG2000Lossless: lambda: imagecodecs.jpeg2k_encode(stored, codecformat="j2k", bitspersample=bits),
        JPEG2000: lambda: imagecodecs.jpeg2k_encode(stored, level=60, codecformat="j2k", bitspersample=bits),
        HTJ2KLossless: lambda: imagecodecs.htj2k_encode(stored),
        HTJ2K: lambda: imagecodecs.htj2k_encode(stored, level=0.001, reversible=False),
    }
    if syntax in encoders:
        frame = encoders[syntax]()
        ds["PixelData"] = _pixel_element(encapsulate([frame]), 8)
        ds["PixelData"].is_undefined_length = True
    elif syntax == RLELossless:
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        ds.compress(RLELossless, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian and ds.BitsAllocated == 16:
        ds.PixelData = unsigned.astype(">u2").tobytes()
    if syntax in LOSSY.values():
        ds.LossyImageCompression, ds.LossyImageCompressionRatio = "01", "10"
        ds.LossyImageCompressionMethod = "ISO_10918_1"
    return ds


def write(ds: Dataset, path: str | Path, *, preamble: bytes = b"\0" * 128) -> Path:
    """Write the object as it is, faults and all."""
    ds.preamble = preamble
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom objects to the faults
        dcmwrite(path, ds, enforce_file_format=True)
        for keyword in ("SOPClassUID", "SOPInstanceUID"):
            if not ds.get(keyword):  # nor may the file meta information tell it
                uid = str(ds.file_meta[f"MediaStorage{keyword}"].value).encode()
                Path(path).write_bytes(Path(path).read_bytes().replace(uid, bytes(len(uid)), 1))
    return Path(path)


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.mkdir(parents=True, exist_ok=True)
    for modality, intent in SOP_CLASSES:
        for vendor in VENDORS:
            name = f"{modality}_{(intent or '').replace(' ', '_')}_{vendor}.dcm"
            write(radiograph(modality=modality, intent=intent, vendor=vendor), out / name)
    for name, syntax in (LOSSLESS | LOSSY).items():
        bits = 8 if syntax == JPEGBaseline8Bit else 12
        write(encoded(radiograph(bits=bits), syntax), out / f"MG_{name}.dcm")
