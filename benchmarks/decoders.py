"""HTJ2K by OpenJPH beside OpenJPEG, which decoded it until commit 01b34ed: processor time, and the same pixels.

    python -m benchmarks.decoders [IMAGE…] [--rounds N]

IMAGE is a DICOM file whose pixels are encoded anew; default: 8.5 megapixels made by tests/dicoms.py. Wanted: at most
0.55.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np

from dicoms import pixels
from isotone.deployment.dicom_objects.compress import ENCODERS
from isotone.imaging.codecs.htj2k import htj2k_decode
from isotone.imaging.read import read_radiograph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", nargs="*", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    images = {path.name: read_radiograph(path).stored for path in options.images}
    print(f"ms of processor, medians of {options.rounds} rounds")
    print(f"{'':24}{'Mpx':>6}{'OpenJPEG':>10}{'OpenJPH':>10}{'ratio':>7}")
    for name, stored in (images or {"made": pixels(rows=3328, columns=2560)}).items():
        frame = ENCODERS["htj2k"].encode(stored.astype(np.uint16), 16)
        seconds = [[timed(decode, frame, stored) for decode in (openjpeg, htj2k_decode)] for _ in range(options.rounds)]
        before, now = np.median(seconds, axis=0)
        ratio = np.median([new / old for old, new in seconds])
        print(f"{name:24}{stored.size / 1e6:6.1f}{before * 1e3:10.0f}{now * 1e3:10.0f}{ratio:7.2f}", flush=True)


def openjpeg(frame: bytes) -> np.ndarray:
    """As 01b34ed decoded it."""
    return imagecodecs.jpeg2k_decode(frame, numthreads=1)


def timed(decode: Callable[[bytes], np.ndarray], frame: bytes, stored: np.ndarray) -> float:
    """Seconds of one decoding, whose pixels are looked at."""
    start = time.process_time()
    found = decode(frame)
    used = time.process_time() - start
    if not np.array_equal(found, stored):
        raise SystemExit("other pixels")
    return used


if __name__ == "__main__":
    main()
