"""How often does W_VARIES fire, on scanners with one response and on settings that change from image to image?

On the first it is false: both source scanners of the phantom cohort, ten seeds, 24 to 80 images of classes B and C, two
of a patient. On the second it is true: the responses of `responses.py` that are drawn for each image, on its matched
populations. No classifier is needed. The figures stand in docs/results.md.

    python -m benchmarks.varies [--scanners] [--settings ANATOMY...]
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.responses_data import BY_IMAGE, Image, make_world, radiograph
from isotone.data.phantom.anatomy import Anatomy, draw_breast
from isotone.data.phantom.scanners import ALDER, BIRCH, CEDAR, SCANNERS, Scanner
from isotone.data.sample import Sample, TakeSample
from isotone.estimation.fit_source import fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.settings import FitOptions, ScannerSettings
from isotone.imaging.radiograph import Header, Radiograph

QUICK = ScannerSettings(resamples=0)
ROWS = 256
COUNTS = (24, 40, 60, 80)
REFERENCE = 147
"""Patients of the reference in the demo's train and val splits."""

Found = tuple[str, bool, float, float]
"""What was fitted, whether the fit warns, the largest variance as a multiple of the reference's, and the standard
deviation beyond it in grey levels of 255."""


def phantom_samples(scanner: Scanner, patients: int, classes: str, seed: int, rows: int = ROWS) -> list[Sample]:
    """Both breasts of patients of these classes in turn."""
    samples, block = [], SCANNERS.index(scanner)
    tone = np.linspace(0, 1, 2**scanner.bits)[:: -1 if scanner.inverted else 1]
    for number in range(patients):
        label = classes[number % len(classes)]
        rng = np.random.default_rng([seed, block, number])
        left = Anatomy.draw(rng, label)
        for side, anatomy in (("L", left), ("R", left.other_side(rng))):
            noise = np.random.default_rng([seed, block, number, ord(side)])
            stored = scanner.stored(draw_breast(noise, anatomy, rows, laterality=side))
            header = Header(
                path=Path("array"),
                format="array",
                domain=scanner.domain,
                bits_stored=scanner.bits,
                rows=stored.shape[0],
                columns=stored.shape[1],
            )
            sample = TakeSample()(Radiograph(stored, tone, header))
            samples.append(replace(sample, label=label, patient=f"{scanner.domain} {number}", split="train"))
    return samples


def fitted(name: str, source: Sequence[Sample], reference: Sequence[Sample], seed: int) -> Found:
    report = fit_source(source, ReferenceModel(reference, seed), FitOptions(labels=False, settings=QUICK)).report
    warns = any(warning.startswith("W_VARIES") for warning in report.warnings)
    return name, warns, report.variance, report.extra_levels_8bit


def scanners() -> Iterator[Found]:
    for seed in range(10):
        reference = phantom_samples(ALDER, REFERENCE, "ABCD", seed)
        for number, scanner in enumerate((BIRCH, CEDAR)):
            count = COUNTS[(seed + number) % len(COUNTS)]
            source = phantom_samples(scanner, count // 2, "BC", seed)
            yield fitted(f"{scanner.domain}, seed {seed}, {count} images", source, reference, seed)


def settings(anatomies: Sequence[str]) -> Iterator[Found]:
    def written(images: Sequence[Image], response: str, domain: str) -> list[Sample]:
        taken = [(TakeSample()(radiograph(image, response, i, domain)), image) for i, image in enumerate(images)]
        return [replace(s, label=image.label, patient=image.patient, split="train") for s, image in taken]

    for anatomy in anatomies:
        for seed in range(3):
            world = make_world(anatomy, seed)
            reference = written([*world.train, *world.val], "none", "reference")
            images, _ = next(iter(world.populations.values()))
            for response in ("gamma 0.7", "log", *BY_IMAGE):
                source = written(images, response, "source")
                yield fitted(f"{anatomy}, seed {seed}, {response}", source, reference, seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scanners", action="store_true", help="one response each")
    parser.add_argument("--settings", nargs="*", default=(), metavar="ANATOMY", help="phantom, kermany, nih")
    given = parser.parse_args()
    for found in (scanners() if given.scanners else (), settings(given.settings)):
        for name, warns, variance, extra in found:
            print(f"{name}: {'W_VARIES' if warns else '-'}, variance {variance:.2f}, {extra:.1f} levels", flush=True)


if __name__ == "__main__":
    main()
