#!/usr/bin/env bash
# Packages: imagecodecs 2026.3.6, numpy 2.4.6. Date: 2026-11-27.
#
# Behaviour: imagecodecs.htj2k_decode of a damaged codestream returns an array. Where OpenJPH raises an error on the way,
#   Python reports it as "Exception ignored", and the array holds what memory held from there on. Of a cut codestream with
#   an end marker OpenJPH raises nothing, and the rest of the array is not written either. imagecodecs.jpeg2k_decode
#   (OpenJPEG) raises Jpeg2kError for both.
#
# Why it matters: a radiograph that was cut on its way into an archive becomes an image whose lower part is noise, zeros, or
# part of an image decoded before, possibly another patient's, and nothing tells the program that fed it to a classifier.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq numpy==2.4.6 imagecodecs==2026.3.6

"$folder/venv/bin/python" -I - <<'PYTHON'
import sys

import imagecodecs
import numpy as np

ignored = []
sys.unraisablehook = ignored.append
rng = np.random.default_rng(0)
image = (np.add.outer(np.arange(256), np.arange(256)) * 8 + rng.integers(0, 20, (256, 256))).astype(np.uint16)
frame = bytes(imagecodecs.htj2k_encode(image))
spoilt = bytearray(frame)
spoilt[240:260] = bytes(20)
seen = {}
for what, data in {"cut": frame[: len(frame) // 2] + b"\xff\xd9", "zeros": bytes(spoilt)}.items():
    for decode in (imagecodecs.htj2k_decode, imagecodecs.jpeg2k_decode):
        ignored.clear()
        try:
            found = decode(data)
            seen[what, decode.__name__] = "an array"
            wrong = np.mean(found != image)
            print(f"{what}, {decode.__name__}: an array, {wrong:.0%} of it wrong; errors ignored: {len(ignored)}")
        except Exception as error:
            seen[what, decode.__name__] = "an error"
            print(f"{what}, {decode.__name__}: {type(error).__name__}")
wanted = {
    (what, name): said
    for what in ("cut", "zeros")
    for name, said in (("htj2k_decode", "an array"), ("jpeg2k_decode", "an error"))
}
sys.exit(0 if seen == wanted else "The behaviour has changed.")
PYTHON
