#!/usr/bin/env bash
# Packages: pydicom 3.0.2, imagecodecs 2026.3.6. Date: 2026-11-27.
#
# Behaviour: DICOM files with a frame in JPEG XL (1.2.840.10008.1.2.4.110) or Deflated Image Frame Compression
# (1.2.840.10008.1.2.8.1), both in the standard.
#   pydicom reads the header and the frame's bytes. Then UID.is_compressed and is_encapsulated raise ValueError ("UID is
#   not a transfer syntax"), pixel_array raises NotImplementedError, and saving the unchanged dataset raises ValueError.
#   Saving works with implicit_vr=False, little_endian=True, force_encoding=True, but not with enforce_file_format=True.
#   After pydicom.uid.register_transfer_syntax, which is meant for private ones, even dcmread raises ValueError.
#
# Why it matters: archives move to JPEG XL to save space. A tool that only reads headers, de-identifies or copies an X-ray
# fails on such a file although it never decodes a pixel, and a check "is it compressed?" fails instead of answering.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq numpy==2.4.6 pydicom==3.0.2 imagecodecs==2026.3.6
cd "$folder"
"$folder/venv/bin/python" -I - <<'PYTHON'
import sys
import zlib

import imagecodecs
import numpy as np
import pydicom
from pydicom.encaps import encapsulate
from pydicom.uid import UID, ComputedRadiographyImageStorage, generate_uid, register_transfer_syntax

pixels = (np.arange(32 * 32, dtype=np.uint16) * 3).reshape(32, 32)
forced = {"implicit_vr": False, "little_endian": True, "force_encoding": True}
deflate = zlib.compressobj(wbits=-15)
frames = {
    "1.2.840.10008.1.2.4.110": imagecodecs.jpegxl_encode(pixels, lossless=True, numthreads=1),
    "1.2.840.10008.1.2.8.1": deflate.compress(pixels.tobytes()) + deflate.flush(),
}


def write(path, syntax, frame):
    """A Computed Radiography image of 12 bits with one encapsulated frame."""
    image = pydicom.dataset.FileDataset(path, {}, preamble=bytes(128))
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.FileMetaInformationVersion = b"\x00\x01"
    image.file_meta.FileMetaInformationGroupLength = 0
    image.file_meta.TransferSyntaxUID = UID(syntax)
    image.file_meta.ImplementationClassUID = generate_uid()
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    image.StudyInstanceUID, image.SeriesInstanceUID = generate_uid(), generate_uid()
    for keyword in (
        "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber "
        "ReferringPhysicianName SeriesNumber InstanceNumber Manufacturer BodyPartExamined ViewPosition"
    ).split():
        setattr(image, keyword, None)
    image.Modality = "CR"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = pixels.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.PixelData = encapsulate([frame])
    image["PixelData"].VR = "OB"
    image["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(path, image, **forced)


def answer(function):
    """The word "works", or the name of the error that is raised."""
    try:
        function()
    except Exception as error:
        return type(error).__name__
    return "works"


seen = {}
for syntax, frame in frames.items():
    write("image.dcm", syntax, frame)
    image = pydicom.dcmread("image.dcm")
    read = image.file_meta.TransferSyntaxUID
    seen[syntax] = {
        "rows": image.Rows,
        "is_compressed": answer(lambda read=read: read.is_compressed),
        "is_encapsulated": answer(lambda read=read: read.is_encapsulated),
        "pixel_array": answer(lambda image=image: image.pixel_array),
        "save_as": answer(lambda image=image: image.save_as("copy.dcm")),
    }
    seen[syntax]["save_as, forced"] = answer(lambda image=image: image.save_as("copy.dcm", **forced))
    seen[syntax]["save_as, forced and enforced"] = answer(
        lambda image=image: image.save_as("copy.dcm", enforce_file_format=True, **forced)
    )
    register_transfer_syntax(syntax, implicit_vr=False, little_endian=True)
    seen[syntax]["dcmread after registering"] = answer(lambda: pydicom.dcmread("image.dcm"))
expected = dict.fromkeys(
    frames,
    {
        "rows": 32,
        "is_compressed": "ValueError",
        "is_encapsulated": "ValueError",
        "pixel_array": "NotImplementedError",
        "save_as": "ValueError",
        "save_as, forced": "works",
        "save_as, forced and enforced": "ValueError",
        "dcmread after registering": "ValueError",
    },
)
for syntax, answers in seen.items():
    print(f"{syntax}:", "; ".join(f"{what}: {value}" for what, value in answers.items()))
sys.exit(0 if seen == expected else "The behaviour has changed.")
PYTHON
