#!/usr/bin/env bash
# Package: opencv-python-headless 5.0.0.93. Date: 2026-11-27.
#
# Behaviour: OpenCV's CLAHE (clip limit 2, 8 x 8 tiles) of one image of 12 bits (values 442 to 3573), held in three ways.
#   12 bits in uint16: the result spans 26 % of 0..65535 and correlates 0.80 with the image; the values leave 0..4095.
#   The same, times 16, in uint16: it spans 83 % of the range and correlates 0.99.
#   Divided by 16, in uint8: it spans 85 % of the range and correlates 0.96.
# For uint16 the histogram always has 65,536 bins. The 12-bit levels occupy a sixteenth of them, and the counts that the
# clip limit cuts off are shared out among all bins, of which the image holds few.
#
# Why it matters: CLAHE is a usual way to make X-ray images of different scanners alike. With one clip limit,
# detectors of 10, 12 and 16 bits get different enhancements, and a 12-bit image comes back on a scale of neither 12 nor
# 16 bits.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq numpy==2.4.6 opencv-python-headless==5.0.0.93
cd "$folder"
"$folder/venv/bin/python" -I - <<'PYTHON'
import sys

import cv2
import numpy as np

rows, columns = np.mgrid[:512, :512]
noise = np.random.default_rng(0).normal(0, 20, rows.shape)
image = (2000 + 1500 * np.sin(columns / 90) * np.cos(rows / 70) + noise).clip(0, 4095).astype(np.uint16)
clahe = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8))
held = {
    "12 bits in uint16": image,
    "times 16, in uint16": image * 16,
    "divided by 16, in uint8": (image // 16).astype(np.uint8),
}

print("image:", int(image.min()), "to", int(image.max()))
seen = {}
for what, pixels in held.items():
    result = clahe.apply(pixels)
    span = (int(result.max()) - int(result.min())) / np.iinfo(result.dtype).max
    correlation = float(np.corrcoef(result.ravel(), pixels.ravel())[0, 1])
    print(f"{what}: {result.min()} to {result.max()}, span {span:.2f}, correlation {correlation:.2f}")
    seen[what] = (bool(span < 0.4), bool(correlation < 0.85), int(result.max()) > 4095)
expected = {
    "12 bits in uint16": (True, True, True),
    "times 16, in uint16": (False, False, True),
    "divided by 16, in uint8": (False, False, False),
}
sys.exit(0 if seen == expected else "The behaviour has changed.")
PYTHON
