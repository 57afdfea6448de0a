#!/usr/bin/env bash
# Packages: highdicom 0.28.2, pydicom 3.0.2. Date: 2026-11-27.
#
# Behaviour: VOI LUT tables that the standard allows and that one library or the other cannot use.
#   256 entries of 8 bits, as highdicom writes them (one byte an entry):
#   highdicom applies them; pydicom's apply_voi_lut raises struct.error, because it takes every entry for two bytes.
#   The same table padded to two bytes an entry, a form that older writers use: pydicom wraps values of 256 and above
#   instead of taking the last entry. Values 0, 100, 255, 256, 300, 4095 give 0, 100, 255, 0, 44, 255; the table says
#   0, 100, 255, 255, 255, 255.
#   65,536 entries of 16 bits (written as 0 in the descriptor): pydicom applies them. highdicom's VOILUT writes them
#   without a word, but its lut_data and its get_frame(apply_voi_transform=True) raise RuntimeError. 65,535 entries work.
#
# Why it matters: a VOI LUT carries a tone curve beside untouched pixels. A source of 16 bits needs 65,536 entries, which
# highdicom cannot read back. A table of 8 bits shows the brightest parts of a 12-bit image as dark in pydicom.
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


def padded(table):
    """A table of 8 bits whose entries take two bytes each."""
    item = pydicom.Dataset()
    item.add_new("LUTDescriptor", "US", [len(table), 0, 8])
    item.add_new("LUTData", "OW", table.astype("<u2").tobytes())
    return item


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


def answer(function):
    """What a reader returns, or the name of the error that it raises."""
    try:
        return np.asarray(function()).ravel().round().astype(int).tolist()
    except Exception as error:
        return f"{type(error).__module__}.{type(error).__name__}"


def with_pydicom(path):
    image = pydicom.dcmread(path)
    return answer(lambda: apply_voi_lut(image.pixel_array, image))


def with_highdicom(path):
    # The tables here use their whole range, and the output range is the same: entries are returned as they are.
    image = highdicom.imread(path)
    entry_bits = image.VOILUTSequence[0].LUTDescriptor[2]
    whole = (0, 2**entry_bits - 1)
    return answer(lambda: image.get_frame(1, apply_voi_transform=True, voi_output_range=whole))


bytes_table = np.arange(256, dtype=np.uint8)
values = [0, 100, 255, 256, 300, 4095]
write("8_bits.dcm", values, highdicom.VOILUT(first_mapped_value=0, lut_data=bytes_table))
write("8_bits_padded.dcm", values, padded(bytes_table))
for entries in (65535, 65536):
    falling = np.linspace(65535, 0, entries).round().astype(np.uint16)
    table = highdicom.VOILUT(first_mapped_value=0, lut_data=falling)
    write(f"{entries}.dcm", [65535, 1], table)

seen = {
    "8 bits, pydicom": with_pydicom("8_bits.dcm"),
    "8 bits, highdicom": with_highdicom("8_bits.dcm"),
    "8 bits padded, pydicom": with_pydicom("8_bits_padded.dcm"),
    "65,535 entries, pydicom": with_pydicom("65535.dcm"),
    "65,535 entries, highdicom": with_highdicom("65535.dcm"),
    "65,536 entries, pydicom": with_pydicom("65536.dcm"),
    "65,536 entries, highdicom": with_highdicom("65536.dcm"),
    "65,536 entries, highdicom's lut_data": answer(lambda: table.lut_data),
}
for what, value in seen.items():
    print(f"{what}: {value}")
expected = {
    "8 bits, pydicom": "struct.error",
    "8 bits, highdicom": [0, 100, 255, 255, 255, 255],
    "8 bits padded, pydicom": [0, 100, 255, 0, 44, 255],
    "65,535 entries, pydicom": [0, 65534],
    "65,535 entries, highdicom": [0, 65534],
    "65,536 entries, pydicom": [0, 65534],
    "65,536 entries, highdicom": "builtins.RuntimeError",
    "65,536 entries, highdicom's lut_data": "builtins.RuntimeError",
}
sys.exit(0 if seen == expected else "The behaviour has changed.")
PYTHON
