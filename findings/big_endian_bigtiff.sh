#!/usr/bin/env bash
# Packages: pillow 13.0.0, tifffile 2026.3.3, numpy 2.4.6. Date: 2026-11-28.
#
# Behaviour: tifffile writes a 16-bit grey image as BigTIFF in either byte order. Pillow opens the little-endian one, and
# does not identify the big-endian one (UnidentifiedImageError), though it opens big-endian classic TIFF.
#
# Why it matters: exports of whole radiograph collections use BigTIFF, and files from big-endian systems are valid. A
# reader that is built on Pillow has to say that the byte order is the reason, not that the file is damaged.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq pillow==13.0.0 tifffile==2026.3.3 numpy==2.4.6
"$folder/venv/bin/python" -I - "$folder" <<'PYTHON'
import sys
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image, UnidentifiedImageError

grey = np.arange(64 * 48, dtype=np.uint16).reshape(64, 48)
found = {}
for order, big in ((order, big) for order in "<>" for big in (False, True)):
    path = Path(sys.argv[1], "image.tiff")
    tifffile.imwrite(path, grey, byteorder=order, bigtiff=big)
    assert np.array_equal(tifffile.imread(path), grey)
    try:
        with Image.open(path) as image:
            found[order, big] = np.array_equal(np.asarray(image), grey)
    except UnidentifiedImageError:
        found[order, big] = "not identified"
    print("big-endian" if order == ">" else "little-endian", "BigTIFF" if big else "TIFF", found[order, big])
expected = {("<", False): True, ("<", True): True, (">", False): True, (">", True): "not identified"}
if found != expected:
    sys.exit("The behaviour has changed.")
PYTHON
