#!/usr/bin/env bash
# Packages: SimpleITK 2.5.7, highdicom 0.28.2, pydicom 3.0.2, dicomsdl 0.109.4. Date: 2026-11-27.
#
# Behaviour: four libraries read one valid X-ray image with PhotometricInterpretation MONOCHROME1 (0 is white).
#   pydicom and dicomsdl return the stored values: [0, 1000, 3000, 4095].
#   SimpleITK and highdicom's get_frame return them inverted: [4095, 3095, 1095, 0].
#   SimpleITK leaves the metadata as they were: still MONOCHROME1, and a window centre of 1000 that belongs to the
#   stored values (inverted it is 3095).
#
# Why it matters: some vendors deliver chest X-rays as MONOCHROME1, others as MONOCHROME2. A training set read with one
# library and a clinic's images read with another differ by an inversion that no value in the metadata shows.
# Whoever trusts SimpleITK's metadata inverts a second time.
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

stored = np.array([[0, 1000], [3000, 4095]], np.uint16)


def write(path):
    """A Computed Radiography image of two by two pixels, 12 bits, MONOCHROME1."""
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
    image.SamplesPerPixel, image.PhotometricInterpretation = 1, "MONOCHROME1"
    image.Rows, image.Columns = stored.shape
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 12, 11, 0
    image.WindowCenter, image.WindowWidth = 1000, 500
    image.PixelData = stored.tobytes()
    image["PixelData"].VR = "OW"
    image.save_as(path, enforce_file_format=True)


def flat(pixels):
    return np.asarray(pixels).ravel().astype(int).tolist()


write("image.dcm")
itk = SimpleITK.ReadImage("image.dcm")
seen = {
    "pydicom": flat(pydicom.dcmread("image.dcm").pixel_array),
    "dicomsdl": flat(dicomsdl.open("image.dcm").pixelData()),
    "SimpleITK": flat(SimpleITK.GetArrayFromImage(itk)),
    "SimpleITK, photometric interpretation": itk.GetMetaData("0028|0004").strip(),
    "SimpleITK, window centre": float(itk.GetMetaData("0028|1050")),
    "highdicom": flat(highdicom.imread("image.dcm").get_frame(1)),
}
expected = {
    "pydicom": [0, 1000, 3000, 4095],
    "dicomsdl": [0, 1000, 3000, 4095],
    "SimpleITK": [4095, 3095, 1095, 0],
    "SimpleITK, photometric interpretation": "MONOCHROME1",
    "SimpleITK, window centre": 1000.0,
    "highdicom": [4095, 3095, 1095, 0],
}
for what, value in seen.items():
    print(f"{what}: {value}")
sys.exit(0 if seen == expected else "The behaviour has changed.")
PYTHON
