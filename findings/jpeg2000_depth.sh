#!/usr/bin/env bash
# Packages: Pillow 13.0.0, imagecodecs 2026.3.6, pydicom 3.0.2. Date: 2026-11-27.
#
# Behaviour: Pillow multiplies the samples of a JPEG 2000 image of 9 to 15 bits so that they fill 16 bits, and keeps no
# trace of the original depth. The values 0, 100, 500, 1023 come back as
#   10 bits: 0, 6400, 32000, 65472; 12 bits: 0, 1600, 8000, 16368; 14 bits: 0, 400, 2000, 4092; 16 bits: unchanged.
# imagecodecs returns 0, 100, 500, 1023 for all four. So does pydicom with its Pillow plugin, which shifts them back.
#
# Why it matters: frames of X-ray archives are often JPEG 2000 with the depth of the detector. The same frame has levels
# of another scale when it is opened outside a DICOM library, and the factor differs from scanner to scanner with the
# depth: a difference between vendors that no detector made.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -qq numpy==2.4.6 pillow==13.0.0 imagecodecs==2026.3.6 pydicom==3.0.2
cd "$folder"
"$folder/venv/bin/python" -I - <<'PYTHON'
import io
import sys

import imagecodecs
import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000Lossless

pixels = np.kron(np.array([[0, 100], [500, 1023]], np.uint16), np.ones((16, 16), np.uint16))
decoder = get_decoder(JPEG2000Lossless)


def levels(values):
    return np.unique(values).tolist()


seen = {}
for bits in (10, 12, 14, 16):
    frame = imagecodecs.jpeg2k_encode(pixels, reversible=True, bitspersample=bits, codecformat="j2k")
    decoded, _ = decoder.as_array(
        encapsulate([frame]),
        decoding_plugin="pillow",
        transfer_syntax_uid=JPEG2000Lossless,
        rows=32,
        columns=32,
        samples_per_pixel=1,
        photometric_interpretation="MONOCHROME2",
        bits_allocated=16,
        bits_stored=bits,
        pixel_representation=0,
        number_of_frames=1,
        pixel_keyword="PixelData",
    )
    seen[bits] = {
        "Pillow": levels(Image.open(io.BytesIO(frame))),
        "imagecodecs": levels(imagecodecs.jpeg2k_decode(frame)),
        "pydicom": levels(decoded),
    }
true = [0, 100, 500, 1023]
expected = {
    10: {"Pillow": [0, 6400, 32000, 65472], "imagecodecs": true, "pydicom": true},
    12: {"Pillow": [0, 1600, 8000, 16368], "imagecodecs": true, "pydicom": true},
    14: {"Pillow": [0, 400, 2000, 4092], "imagecodecs": true, "pydicom": true},
    16: {"Pillow": true, "imagecodecs": true, "pydicom": true},
}
for bits, readers in seen.items():
    print(f"{bits} bits:", "; ".join(f"{reader} {values}" for reader, values in readers.items()))
sys.exit(0 if seen == expected else "The behaviour has changed.")
PYTHON
