#!/usr/bin/env bash
# Packages: highdicom 0.28.2, pydicom 3.0.2. Date: 2026-11-27.
#
# Behaviour: a VOI LUT of 16 bits an entry that rises from 10000 to 30000, on stored values 0, 100, 200, 255.
#   pydicom's apply_voi_lut returns the entries: 10000, 17843, 25686, 30000.
#   highdicom's get_frame(apply_voi_transform=True, voi_output_range=(0, 65535)) stretches the table's own smallest and
#   largest entry to the whole range: 0, 25700, 51399, 65535. Its documentation of get_scaled_lut_data says so; by
#   PS3.3 C.11.2.1.1 the range of the output is that of the bits of an entry, 0 to 65535, whichever entries occur.
#
# Why it matters: a VOI LUT can carry the tone curve that makes one scanner's X-rays look like another's. A curve that
# lowers contrast or lifts black is undone in part, and two images with different curves are stretched differently.
# A classifier that reads through highdicom does not see the levels that were delivered.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq numpy==2.4.6 pydicom==3.0.2 highdicom==0.28.2
cd "$folder"
"$folder/venv/bin/python" -I - <<'PYTHON'
import sys

import highdicom
import numpy as np
import pydicom
from pydicom.pixels import apply_voi_lut
from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid


def write(path, values, table):
    """A Computed Radiography image of one row of 16 bits with a VOI LUT."""
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
    image.Rows, image.Columns = 1, len(values)
    image.BitsAllocated, image.BitsStored, image.HighBit, image.PixelRepresentation = 16, 16, 15, 0
    image.VOILUTSequence = [table]
    image.PixelData = np.asarray(values, np.uint16).tobytes()
    image["PixelData"].VR = "OW"
    image.save_as(path, enforce_file_format=True)


def rounded(pixels):
    return np.asarray(pixels).ravel().round().astype(int).tolist()


rising = np.linspace(10000, 30000, 256).astype(np.uint16)
write("image.dcm", [0, 100, 200, 255], highdicom.VOILUT(first_mapped_value=0, lut_data=rising))
image = pydicom.dcmread("image.dcm")
whole = (0, 2**16 - 1)
seen = {
    "pydicom": rounded(apply_voi_lut(image.pixel_array, image)),
    "highdicom": rounded(highdicom.imread("image.dcm").get_frame(1, apply_voi_transform=True, voi_output_range=whole)),
}
for what, value in seen.items():
    print(f"{what}: {value}")
expected = {"pydicom": [10000, 17843, 25686, 30000], "highdicom": [0, 25700, 51399, 65535]}
sys.exit(0 if seen == expected else "The behaviour has changed.")
PYTHON
