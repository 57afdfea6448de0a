"""False alarms in a year, and images until an alarm, of the sequential test of drift.

    python -m benchmarks.sequential [--folder DIR] [--real DIR [--spacing S]] [--seed N] [--years N]

The fits and the changes of response are those of `gate.py` (phantom, 340 patients, 96 px, drawn into DIR). A year is
simulated by drawing images of the test patients with replacement, at the given number a day. A row for each number of
images a day; the delay is counted from the change on. `--real` names a folder with the `manifest.csv` of NIH chests
(`domain` is the pixel spacing): each half of the patients of a spacing is fitted, and the other half tested, three
times over. A year of a few hundred images drawn again and again is harder than one of new images: what the test half
differs from the other by chance comes again in every block.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.gate import CHANGES, Tone, halves
from isotone import Manifest, make_phantom
from isotone.data.descriptors.appearance import through
from isotone.data.descriptors.image_set import ImageSet, image_set
from isotone.data.phantom.scanners import ALDER, BIRCH, CEDAR
from isotone.data.sample import Sample, load_samples
from isotone.estimation.fit_source import fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.settings import FitOptions, ScannerSettings
from isotone.monitoring.novelty import Novelty
from isotone.monitoring.response_drift import ResponseDrift
from isotone.monitoring.sequential_test import LENGTHS, YEAR, judge_block, level_of

Floats = NDArray[np.float64]
PER_DAY = (5, 20, 100)
PER_YEAR = 1.0
GENTLE: dict[str, Tone] = {"gamma 1.1": lambda x: x**1.1, "gamma 1.05": lambda x: x**1.05}


def fitted_on(source: list[Sample], reference: ReferenceModel) -> tuple[Novelty, ResponseDrift]:
    """What watches a scanner, fitted on its images."""
    fit = fit_source(source, reference, FitOptions(settings=ScannerSettings(resamples=0)))
    drift = ResponseDrift.of_fit(fit)
    assert drift is not None
    return Novelty.of_fit(fit), drift


def fits_of_phantom(folder: Path, seed: int) -> Iterator[tuple[str, Novelty, ResponseDrift, ImageSet, bool]]:
    """Both source scanners, fitted on all of their images and on 25, each with the images of its test patients."""
    if not (folder / "manifest.csv").exists():
        make_phantom(folder, patients=340, size=96, seed=seed, workers=1, quiet=True, force=True)
    samples, _ = load_samples(list(Manifest.read(folder / "manifest.csv")), workers=1, quiet=True)
    reference = ReferenceModel([s for s in samples if s.domain == ALDER.domain and s.split != "test"])
    for scanner in (BIRCH, CEDAR):
        fitted = [s for s in samples if s.domain == scanner.domain and s.split != "test"]
        test = image_set([s for s in samples if s.domain == scanner.domain and s.split == "test"])
        yield scanner.domain, *fitted_on(fitted, reference), test, reference.air
        for number in range(4):
            few = [fitted[i] for i in np.random.default_rng(number).permutation(len(fitted))[:25]]
            yield f"{scanner.domain}, 25 images", *fitted_on(few, reference), test, reference.air


SPACINGS = {
    "spacing 0.143": ("spacing 0.168", "spacing 0.171"),
    "spacing 0.168": ("spacing 0.143",),
}
"""Source and reference."""


def fits_of_chests(
    folder: Path, seed: int, spacing: str
) -> Iterator[tuple[str, Novelty, ResponseDrift, ImageSet, bool]]:
    """Either half of the patients of a spacing, three times over, each with the images of the other half."""
    samples, _ = load_samples(list(Manifest.read(folder / "manifest.csv")), workers=1, quiet=True)
    for source, references in SPACINGS.items():
        if spacing not in source:
            continue
        reference = ReferenceModel([s for s in samples if s.domain in references])
        for halving in range(3 * seed, 3 * seed + 3):
            parts = halves([s for s in samples if s.domain == source], halving)
            for fitted, test in (parts, parts[::-1]):
                name = f"{source}, {len(fitted)} images"
                yield name, *fitted_on(fitted, reference), image_set(test), reference.air


def seen_through(tests: ImageSet, drift: ResponseDrift, air: bool, tone: Tone) -> Floats:
    """Looks and deviations of the test images through a change of response (as in `gate.measure`)."""
    views = tests.descriptors_with(air)
    changed = replace(views, quantiles=tone(views.quantiles))
    deviations = drift.residual.of(changed, drift.residual.behind(changed, drift.curves))
    return np.concatenate([through(tests.looks_with(air), tone), deviations], 1)


class Remembering:
    """A gate that judges each image once: the years draw the same ones again and again."""

    def __init__(self, gate: Novelty) -> None:
        self.layout, self._gate = gate.layout, gate
        self._said: dict[bytes, str | None] = {}

    def complaint(self, look: Floats) -> str | None:
        key = look.tobytes()
        if key not in self._said:
            self._said[key] = self._gate.complaint(look)
        return self._said[key]


class Alarm(NamedTuple):
    """After how many images it comes, the length of its block, and what deviates."""

    after: int
    length: int
    cause: str


def alarms(gate: Novelty, drift: ResponseDrift, looks: Floats, per_day: float) -> list[Alarm]:
    """The alarms, the first one first."""
    found = []
    for length in LENGTHS:
        level = level_of(length / per_day, PER_YEAR)
        for start in range(0, len(looks) - length + 1, length):
            test = judge_block(gate, drift, list(looks[start : start + length]), level)
            if test.alarm:
                found.append(Alarm(start + length, length, test.cause))
    return sorted(found)


def table(false: dict[int, list[int]], delays: dict[tuple[str, int], list[int]]) -> str:
    """False alarms and delays of the fits so far."""
    lines = ["| | " + " | ".join(f"{n} a day" for n in PER_DAY) + " |", "|---|" + "---|" * len(PER_DAY)]
    cells = [f"{np.mean(one):.2f} (at most {PER_YEAR:g} allowed; {len(one)} years)" for one in false.values()]
    lines.append("| false alarms a year | " + " | ".join(cells) + " |")
    for kind in CHANGES | GENTLE:
        cells = []
        for per_day in PER_DAY:
            each = np.array(delays[kind, per_day])
            missed = int((each > 10**8).sum())
            middle = np.median(each)
            said = "not found" if middle > 10**8 else f"{middle:.0f} images, {middle / per_day:.1f} days"
            cells.append(said + (f" ({missed} of {len(each)} not within 2048)" if missed else ""))
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--spacing", default="", help="of the one source to fit; default: both")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--years", type=int, default=5)
    given = parser.parse_args()
    folder = given.folder or Path(__file__).parent / "out" / f"gate-{given.seed}"
    rng = np.random.default_rng(given.seed)
    false: dict[int, list[int]] = {per_day: [] for per_day in PER_DAY}
    delays: dict[tuple[str, int], list[int]] = {}
    fits = fits_of_chests(given.real, given.seed, given.spacing) if given.real else fits_of_phantom(folder, given.seed)
    for name, fitted, drift, tests, air in fits:
        gate: Any = Remembering(fitted)
        plain = seen_through(tests, drift, air, lambda x: x)
        causes: Counter[tuple[int, str]] = Counter()
        for per_day in PER_DAY:
            for _ in range(given.years):
                year = plain[rng.integers(0, len(plain), round(per_day * YEAR))]
                found = alarms(gate, drift, year, per_day)
                false[per_day].append(len(found))
                causes.update((one.length, one.cause) for one in found)
            for kind, tone in (CHANGES | GENTLE).items():
                changed = seen_through(tests, drift, air, tone)
                stream = changed[rng.integers(0, len(changed), 2048)]
                found = alarms(gate, drift, stream, per_day)
                delays.setdefault((kind, per_day), []).append(found[0].after if found else 10**9)
        means = [float(np.mean(one[-given.years :])) for one in false.values()]
        print(f"{name}: false alarms a year {means}; by length and cause {dict(causes)}", flush=True)
        print(table(false, delays), flush=True)


if __name__ == "__main__":
    main()
