#!/usr/bin/env bash
# Packages: Pillow 13.0.0, imagecodecs 2026.3.6. Date: 2026-11-27.
#
# Behaviour: a valid PNG of 16 bits a sample with more than one channel is read by Pillow as 8 bits a sample, without a
# warning; with one channel all 16 bits are kept. For a largest value of 61517 Pillow returns
#   grey: mode I;16, 61517; grey and alpha: mode RGBA, 240; RGB: mode RGB, 240; RGBA: mode RGBA, 240.
# imagecodecs returns 61517 for all four.
#
# Why it matters: X-ray collections are often delivered as PNG, and exporters write three equal channels for networks
# that were trained on photographs. The detector's 10 to 16 bits then shrink to 256 levels on reading, and no metadata
# of the opened image say so. A mixed folder has both depths.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq numpy==2.4.6 pillow==13.0.0 imagecodecs==2026.3.6
cd "$folder"
"$folder/venv/bin/python" -I -W error - <<'PYTHON'
import io
import sys

import imagecodecs
import numpy as np
from PIL import Image

grey = (np.arange(16, dtype=np.uint16) * 4096 + 77).reshape(4, 4)

seen = {}
for channels in (1, 2, 3, 4):
    pixels = grey if channels == 1 else np.stack([grey] * channels, axis=-1)
    png = imagecodecs.png_encode(pixels)
    image = Image.open(io.BytesIO(png))
    seen[channels] = (image.mode, int(np.asarray(image).max()), int(imagecodecs.png_decode(png).max()))
expected = {
    1: ("I;16", 61517, 61517),
    2: ("RGBA", 240, 61517),
    3: ("RGB", 240, 61517),
    4: ("RGBA", 240, 61517),
}
for channels, (mode, pillow, decoded) in seen.items():
    print(f"{channels} channels of 16 bits: Pillow mode {mode}, largest value {pillow}; imagecodecs {decoded}")
sys.exit(0 if seen == expected else "The behaviour has changed.")
PYTHON
