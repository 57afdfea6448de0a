"""How fast a curve is applied: in memory, and from file to file.

    python -m benchmarks.apply [--rounds N]

Wanted: in memory at least 15 times as fast as Eq. 1 on full-resolution floats; read + harmonize + write at most 1.6
times read + write unchanged (uncompressed DICOM). The test images are made by tests/dicoms.py.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom

from benchmarks.paired import medians
from dicoms import pixels, radiograph, write
from harmonizers import scanner_harmonizer
from isotone._runtime.files import replace_file
from isotone.curves.stages import apply_steps
from isotone.curves.tone_curve import ToneCurve
from isotone.deployment.deliver import Delivery, Job
from isotone.deployment.dicom_objects.derived_image import output_table
from isotone.imaging.grey_levels.lookup import gather
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.read import read_radiograph

CURVE = ToneCurve([0.5, -0.3, 0.4, 0.2, -0.1, 0.3, 0.1, -0.2])
ROWS, COLUMNS = 3328, 2560


def in_memory(image: Radiograph, rounds: int) -> float:
    """Ratio of Eq. 1 on float32 pixels to coefficients → table → look-up."""
    floats = image.pixels
    coefficients = [np.float32(alpha) for alpha in CURVE.coefficients]
    seconds, ratios = medians(
        {
            "table": lambda: gather(output_table(image.map_tone(CURVE)), image.stored),
            "eight steps": lambda: apply_steps(floats, coefficients),
        },
        rounds,
    )
    print(f"{'in memory':34}{'ms':>8}")
    for name, value in seconds.items():
        print(f"  {name:32}{value * 1e3:8.1f}")
    print(f"  the table is {ratios['eight steps']:.1f} times as fast (wanted: 15)\n")
    return ratios["eight steps"]


def file_to_file(path: Path, folder: Path, rounds: int) -> float:
    """Ratio of `apply` for one file to reading it and writing it unchanged, both with fsync and rename."""
    delivery = Delivery(scanner_harmonizer("any", curve=CURVE), folder, "pixels")

    def unchanged() -> None:
        dataset = pydicom.dcmread(path)
        dataset.PixelData = dataset.pixel_array.tobytes()
        with replace_file(folder / "unchanged.dcm") as temporary:
            dataset.save_as(temporary)

    ways: dict[str, Callable[[], object]] = {"read + write unchanged": unchanged}
    ways["read + harmonize + write"] = lambda: delivery(Job(path, "any", "harmonized.dcm", "key"))
    seconds, ratios = medians(ways, rounds)
    print(f"{'uncompressed DICOM':34}{'ms':>8}")
    for name, value in seconds.items():
        print(f"  {name:32}{value * 1e3:8.1f}")
    ratio = ratios["read + harmonize + write"]
    print(f"  {ratio:.2f} times as long (wanted: at most 1.6)")
    return ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = write(radiograph(pixels(12, rows=ROWS, columns=COLUMNS)), folder / "source.dcm")
        print(f"{ROWS} × {COLUMNS}, 12 bits, {rounds} rounds, medians\n")
        faster = in_memory(read_radiograph(path), rounds)
        slower = file_to_file(path, folder, rounds)
    raise SystemExit(int(faster < 15 or slower > 1.6))


if __name__ == "__main__":
    main()
