#!/usr/bin/env bash
# Packages: Pillow 13.0.0, opencv-python-headless 5.0.0.93, tifffile 2026.3.3. Date: 2026-11-27.
#
# Behaviour: a TIFF file may say WhiteIsZero (PhotometricInterpretation 0), the counterpart of DICOM's MONOCHROME1.
#   8 bits, stored 0, 6, 187, 255: Pillow and OpenCV return 255, 249, 68, 0; tifffile returns the stored values.
#   16 bits, stored 0, 100, 3000, 4095: all three return the stored values.
# So Pillow and OpenCV invert one depth and not the other. Pillow's mode is then L or I;16, as for BlackIsZero.
#
# Why it matters: film digitizers and radiography stations export TIFF with WhiteIsZero. The 8-bit and the 16-bit export
# of one X-ray image come out with opposite greys, and a curve fitted on one is the wrong way round for the other.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq numpy==2.4.6 pillow==13.0.0 opencv-python-headless==5.0.0.93 tifffile==2026.3.3
cd "$folder"
"$folder/venv/bin/python" -I - <<'PYTHON'
import sys

import cv2
import numpy as np
import tifffile
from PIL import Image

stored = {8: np.array([[0, 6], [187, 255]], np.uint8), 16: np.array([[0, 100], [3000, 4095]], np.uint16)}


def flat(pixels):
    return np.asarray(pixels).ravel().tolist()


seen = {}
for bits, pixels in stored.items():
    path = f"{bits}.tif"
    tifffile.imwrite(path, pixels, photometric="miniswhite")
    with Image.open(path) as image:
        seen[f"Pillow, {bits} bits"] = flat(image)
    seen[f"OpenCV, {bits} bits"] = flat(cv2.imread(path, cv2.IMREAD_UNCHANGED))
    seen[f"tifffile, {bits} bits"] = flat(tifffile.imread(path))
expected = {
    "Pillow, 8 bits": [255, 249, 68, 0],
    "OpenCV, 8 bits": [255, 249, 68, 0],
    "tifffile, 8 bits": [0, 6, 187, 255],
    "Pillow, 16 bits": [0, 100, 3000, 4095],
    "OpenCV, 16 bits": [0, 100, 3000, 4095],
    "tifffile, 16 bits": [0, 100, 3000, 4095],
}
for what, value in seen.items():
    print(f"{what}: {value}")
sys.exit(0 if seen == expected else "The behaviour has changed.")
PYTHON
