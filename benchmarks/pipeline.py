"""How fast a harmonizer maps cached arrays of 512 px, beside the bare look-up of every pixel.

``python -m benchmarks.pipeline``: milliseconds of processor time per image, the median of repeated rounds in which all
ways take turns, and the ratio to the bare look-up. The gate compares an image with those of the fit unless look is
allowed, as `Harmonize.checked` does for images that the gate has seen.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import thread_time
from typing import Any

import numpy as np

from isotone.data.manifests.manifest import Manifest
from isotone.data.phantom.make_phantom import make_phantom
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.imaging.grey_levels.lookup import gather
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.read import read_radiograph
from isotone.interop.harmonize import Harmonize

REFERENCE, SOURCE = "Alder Mammo One", "Birch Mammo Two"
SIZE = 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        manifest, image = cohort(Path(folder))
        harmonizer = ToneCurveHarmonizer(REFERENCE, SOURCE).fit(manifest)
    stored, bits, inverted = image.stored, image.header.bits_stored, image.header.inverted
    grey = image.pixels
    between = grey ** np.float32(1.01)  # no whole numbers over 2**bits - 1, as after an augmentation
    table = harmonizer.scanners[SOURCE].mapper.curve(image).to_lut(bits, 16)
    checked: dict[str, Any] = {"domain": SOURCE, "bits": bits, "inverted": inverted}
    floats: dict[str, Any] = {"domain": SOURCE, "allow": ["look"]}
    ways = {
        "bare look-up, table[stored]": lambda: table[stored],
        "look-up by isotone's gather": lambda: gather(table, stored),
        "Harmonize, integers, look allowed": bound(Harmonize(harmonizer, **checked, allow=["look"]), stored),
        "Harmonize, integers, with the gate": bound(Harmonize(harmonizer, **checked), stored),
        "Harmonize, float32 of the image, look allowed": bound(Harmonize(harmonizer, **floats), grey),
        "Harmonize, any float32, look allowed": bound(Harmonize(harmonizer, **floats), between),
        "Harmonize, float32, with the gate": bound(Harmonize(harmonizer, domain=SOURCE), grey),
    }
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(arguments.rounds):
        for name, way in ways.items():
            way()  # the gate of another way has emptied the caches
            start = thread_time()
            way()
            taken[name].append(1000 * (thread_time() - start))
    bare = median(next(iter(taken.values())))
    print(f"{stored.shape[0]} × {stored.shape[1]} px, {bits} bits, median of {arguments.rounds} rounds\n")
    print("| way | ms per image | ratio |\n|---|---|---|")
    for name, times in taken.items():
        print(f"| {name} | {median(times):.2f} | {median(times) / bare:.1f} |")


def cohort(folder: Path) -> tuple[Manifest, Radiograph]:
    """The phantom, and an image of its second scanner."""
    manifest = make_phantom(folder / "phantom", patients=72, size=SIZE, quiet=True)
    row = next(row for row in manifest if row.domain == SOURCE and row.split == "test")
    return manifest, read_radiograph(row.path)


def bound(step: Harmonize, array: np.ndarray) -> Callable[[], object]:
    """The step with its image."""
    return lambda: step(array)


if __name__ == "__main__":
    main()
