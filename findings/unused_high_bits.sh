#!/usr/bin/env bash
# Packages: highdicom 0.28.2, dicomsdl 0.109.4, SimpleITK 2.5.7, pydicom 3.0.2. Date: 2026-11-27.
#
# Behaviour: an X-ray image of 12 bits stored in 16 bits allocated, whose upper four bits hold something else.
#   Unsigned, bit 12 set (older archives keep an overlay there), values 0, 1000, 3000, 4095:
#   pydicom and SimpleITK return the values; highdicom and dicomsdl return [4096, 5096, 7096, 8191].
#   Signed, upper bits not filled with the sign, values -5, -2048, 7, 2047:
#   pydicom and SimpleITK return the values; highdicom and dicomsdl return [4091, 2048, 7, 2047].
#   No library gives a warning. PS3.5 8.1.1: the stored bits are the pixel, the others may hold an overlay.
#
# Why it matters: a tone curve is a table over the stored values. The same pixel is level 1000 for one reader and level
# 5096 for another, so a histogram has two ranges (inside and outside the overlay) or a dark pixel becomes bright.
# A harmonizer fitted with one library must not be applied with the other.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq numpy==2.4.6 pydicom==3.0.2 highdicom==0.28.2 SimpleITK==2.5.7 dicomsdl==0.109.4
cd "$folder"
"$folder/venv/bin/python" -I - <<'PYTHON'
import sys

import dicomsdl
import highdicom
import numpy as np
import pydicom
import SimpleITK
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid


def write(path, words, signed):
    """A Computed Radiography image of two by two pixels: 16-bit words of which 12 bits are the pixel."""
    image = pydicom.Dataset()
    image.file_meta = pydicom.dataset.FileMetaDataset()
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    image.SOPClassUID = ComputedRadiographyImageStorage
    image.SOPInstanceUID, image.StudyInstanceUID, image.SeriesInstanceUID = (generate_uid() for _ in range(3))
    for keyword in (
        "PatientName PatientID PatientBirthDate PatientSex StudyDate StudyTime StudyID AccessionNumber "
        "ReferringPhysicianName SeriesNumber InstanceNumber Manufacturer BodyPartExamined ViewPosition"
    ).split():
        setattr(image, keyword, None)
    image.Modality = "CR"
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME2"
    image.Rows, image.Columns = words.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, int(signed)
    image.PixelData = words.tobytes()
    image["PixelData"].VR = "OW"
    image.save_as(path, enforce_file_format=True)


def flat(pixels):
    return np.asarray(pixels).ravel().astype(int).tolist()


unsigned = np.array([[0, 1000], [3000, 4095]], np.uint16)
signed = np.array([[-5, -2048], [7, 2047]], np.int16)
write("unsigned.dcm", unsigned | 0x1000, signed=False)
write("signed.dcm", signed.view(np.uint16) & 0x0FFF, signed=True)

seen = {}
for name in ("unsigned", "signed"):
    path = f"{name}.dcm"
    seen[f"pydicom, {name}"] = flat(pydicom.dcmread(path).pixel_array)
    seen[f"SimpleITK, {name}"] = flat(SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(path)))
    seen[f"highdicom, {name}"] = flat(highdicom.imread(path).get_stored_frame(1))
    seen[f"dicomsdl, {name}"] = flat(dicomsdl.open(path).pixelData(storedvalue=True))
expected = {
    "pydicom, unsigned": [0, 1000, 3000, 4095],
    "SimpleITK, unsigned": [0, 1000, 3000, 4095],
    "highdicom, unsigned": [4096, 5096, 7096, 8191],
    "dicomsdl, unsigned": [4096, 5096, 7096, 8191],
    "pydicom, signed": [-5, -2048, 7, 2047],
    "SimpleITK, signed": [-5, -2048, 7, 2047],
    "highdicom, signed": [4091, 2048, 7, 2047],
    "dicomsdl, signed": [4091, 2048, 7, 2047],
}
for what, value in seen.items():
    print(f"{what}: {value}")
sys.exit(0 if seen == expected else "The behaviour has changed.")
PYTHON
