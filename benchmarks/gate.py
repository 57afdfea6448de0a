"""How often the gate and the batch check cry wolf, and how often they catch what they should.

    python -m benchmarks.gate [--folder DIR] [--real DIR] [--seed N]

The phantom (340 patients, 96 px) is drawn once into DIR (default: benchmarks/out/gate-N). `--real` names a folder with
`nih/manifest.csv` and `kermany/manifest.csv`: their chests are planted among the mammograms, and fitted themselves, on
either half of the patients, three times over. Another seed draws another phantom, other halves and another sample of
Kermany's images. A line for each fit, then the mean over the fits of a kind.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray

from isotone import Manifest, make_phantom
from isotone.curves.tone_curve import quantize
from isotone.data.descriptors.appearance import through
from isotone.data.descriptors.image_set import image_set
from isotone.data.phantom.scanners import ALDER, BIRCH, CEDAR
from isotone.data.sample import Sample, load_samples
from isotone.deployment.check import Batch, judge
from isotone.estimation.fit_source import fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.settings import FitOptions, ScannerSettings
from isotone.monitoring.novelty import BATCH, Novelty
from isotone.monitoring.response_drift import ResponseDrift

Floats = NDArray[np.float64]
Tone = Callable[[Floats], Floats]
Shares = dict[str, float]

DRAWS = 100
CHANGES: dict[str, Tone] = {
    "gamma 1.3": lambda x: x**1.3,
    "gamma 0.77": lambda x: x**0.77,
    "gamma 1.5": lambda x: x**1.5,
    "gamma 0.67": lambda x: x**0.67,
    "lifted black": lambda x: 0.08 + 0.92 * x,
    "narrow range": lambda x: 0.05 + 0.7 * x,
    "sigmoid": lambda x: (np.tanh(3 * (x - 0.5)) / np.tanh(1.5) + 1) / 2,
}


def toned(sample: Sample, tone: Tone, bits: int = 16) -> Sample:
    """The same image through a response, rounded to a bit depth."""
    table = quantize(np.clip(tone(np.linspace(0, 1, 65536)), 0, 1), bits).astype(np.float64) / (2**bits - 1)
    return replace(sample, pixels=quantize(table, 16).astype(np.uint16)[sample.pixels])


def chest(seed: int, size: int = 96) -> Sample:
    """Two dark lungs in a bright body that fills the frame."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    body = 0.75 - 0.15 * np.abs(x) + 0.1 * y
    for side in (-1, 1):
        centre, width = side * rng.uniform(0.38, 0.46), rng.uniform(0.25, 0.32)
        body -= 0.4 / (1 + np.exp(12 * (((x - centre) / width) ** 2 + (y / rng.uniform(0.65, 0.8)) ** 2 - 1)))
    pixels = np.clip(body + 0.02 * rng.standard_normal(x.shape), 0, 1)
    return Sample(quantize(pixels, 16).astype(np.uint16), np.ones(x.shape, bool))


def noise(seed: int) -> Sample:
    """White noise."""
    pixels = np.random.default_rng(seed).integers(0, 65536, (96, 77)).astype(np.uint16)
    return Sample(pixels, np.ones(pixels.shape, bool))


def planted(images: Sequence[Sample], chests: dict[str, list[Sample]]) -> dict[str, list[Sample]]:
    """What does not belong among the images of a scanner."""
    flat = [
        replace(s, pixels=np.full_like(s.pixels, level)) for s, level in zip(images, (0, 9000, 65535), strict=False)
    ]
    return {
        "inverted polarity": [toned(s, lambda x: 1 - x) for s in images],
        "for processing, linear": [toned(s, lambda x: np.exp(-4 * x)) for s in images],
        "8 bits shifted into 12": [toned(s, lambda x: x, bits=8) for s in images],
        "8-bit values in 12 bits": [toned(s, lambda x: np.rint(255 * x) / 4095) for s in images],
        "simulated chest": [chest(i) for i in range(40)],
        "noise, constant": [noise(i) for i in range(40)] + flat,
        **chests,
    }


def measure(
    name: str,
    source: list[Sample],
    reference: ReferenceModel,
    test: list[Sample],
    others: dict[str, list[Sample]] | None = None,
) -> Shares:
    """Fit a gate and a drift: shares of alarms among single images, then among batches of 20."""
    fit = fit_source(source, reference, FitOptions(settings=ScannerSettings(resamples=0)))
    gate, drift = Novelty.of_fit(fit), ResponseDrift.of_fit(fit)
    assert drift is not None
    rng = np.random.default_rng(0)
    tests, labels = image_set(test), np.array([str(s.label) for s in test])
    looks, views = tests.looks_with(reference.air), tests.descriptors_with(reference.air)

    def alarms(looks: Floats) -> float:
        return float(np.mean([gate.complaint(x) is not None for x in looks]))

    def batches(of: NDArray[np.bool_], tone: Tone = lambda x: x) -> float:
        """No response changes the structure of an image; its percentiles go through it."""
        changed = replace(views, quantiles=tone(views.quantiles))
        deviations = drift.residual.of(changed, drift.residual.behind(changed, drift.curves))
        seen = np.concatenate([through(looks, tone), deviations], 1)[of]
        draws = (rng.choice(len(seen), min(BATCH, len(seen)), replace=False) for _ in range(DRAWS))
        return float(np.mean([bool(judge("", gate, drift, twice(seen[i])).differences) for i in draws]))

    def twice(part: Floats) -> Batch:
        """As large a batch as is judged, of fewer images if need be."""
        batch = Batch(gate)
        for look in [*part, *part][:BATCH]:
            batch.add(look)
        return batch

    shares = {"false alarms, single images": alarms(looks)}
    shares |= {f"  class {label}": alarms(looks[labels == label]) for label in sorted(set(labels))}
    for kind, samples in (others or {}).items():
        shares[f"caught: {kind}"] = alarms(image_set(samples).looks_with(reference.air))
    shares["batches of 20: false alarms"] = batches(np.ones(len(test), bool))
    shares |= {f"  class {label} alone": batches(labels == label) for label in sorted(set(labels))}
    shares |= {f"batches caught: {kind}": batches(np.ones(len(test), bool), tone) for kind, tone in CHANGES.items()}
    print(f"{name}: fitted on {len(source)} images, limit {gate.limit:.2f}, {len(test)} tested", flush=True)
    return shares


def report(name: str, fits: Sequence[Shares]) -> None:
    """Means over fits; of alarms the largest, too."""
    print(f"\n{name}, {len(fits)} fits")
    for kind in fits[0]:
        each = [fit[kind] for fit in fits if kind in fit]
        print(f"  {kind:34}{np.mean(each):6.2f}   {min(each):.2f} to {max(each):.2f}")


def mammograms(folder: Path, chests: dict[str, list[Sample]], seed: int) -> None:
    """Both source scanners of the phantom, whose fit sees classes B and C alone."""
    if not (folder / "manifest.csv").exists():
        make_phantom(folder, patients=340, size=96, seed=seed, workers=os.cpu_count() or 1, quiet=True, force=True)
    samples, _ = load_samples(list(Manifest.read(folder / "manifest.csv")), workers=1, quiet=True)
    reference = ReferenceModel([s for s in samples if s.domain == ALDER.domain and s.split != "test"])
    for scanner in (BIRCH, CEDAR):
        fitted = [s for s in samples if s.domain == scanner.domain and s.split != "test"]
        test = [s for s in samples if s.domain == scanner.domain and s.split == "test"]
        others = planted(test, chests)
        report(scanner.domain, [measure(scanner.domain, fitted, reference, test, others)])
        few = [[fitted[i] for i in np.random.default_rng(seed).permutation(len(fitted))[:25]] for seed in range(4)]
        report(f"{scanner.domain}, 25 images", [measure(scanner.domain, part, reference, test, others) for part in few])


def halves(samples: list[Sample], seed: int = 0) -> tuple[list[Sample], list[Sample]]:
    """Half of the patients, and the other half."""
    patients = sorted({s.patient for s in samples})
    first = set(np.random.default_rng(seed).permutation(patients)[: len(patients) // 2])
    return [s for s in samples if s.patient in first], [s for s in samples if s.patient not in first]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    folder = arguments.folder or Path(__file__).parent / "out" / f"gate-{arguments.seed}"
    halvings = range(3 * arguments.seed, 3 * arguments.seed + 3)
    real: dict[str, list[Sample]] = {}
    if arguments.real:
        for name, share in (("nih", 1.0), ("kermany", 0.07)):
            table = Manifest.read(arguments.real / name / "manifest.csv").table.sample(
                frac=share, random_state=arguments.seed
            )
            real[name] = load_samples(list(Manifest(table)), workers=1, quiet=True)[0]
    chests = {f"real chest, {name}": samples[:60] for name, samples in real.items()}
    mammograms(folder, chests, arguments.seed)
    if not real:
        return
    reference = ReferenceModel([s for s in real["nih"] if s.domain in ("spacing 0.168", "spacing 0.171")])
    fits = []
    for seed in halvings:
        first, second = halves([s for s in real["nih"] if s.domain == "spacing 0.143"], seed)
        fits += [measure("nih", *sides) for sides in ((first, reference, second), (second, reference, first))]
    report("nih, spacing 0.143", fits)
    fits, of_one_class = [], []
    for seed in halvings:
        first, rest = halves(real["kermany"], seed)
        reference = ReferenceModel(first)
        source, test = halves([toned(s, lambda x: x**2) for s in rest], seed)
        fits.append(measure("kermany", source, reference, test))
        for label in sorted({str(s.label) for s in source}):
            alone = [s for s in source if s.label == label]
            of_one_class.append(measure(f"kermany, {label}", alone, reference, test))
    report("kermany through x²", fits)
    report("the same, fitted on one class", of_one_class)


if __name__ == "__main__":
    main()
