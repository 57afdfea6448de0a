"""Which rule is the safest default on real pairs of scanners? Regret against the best choice in hindsight.

A classifier learns on a reference scanner until its validation stops improving, and is frozen. The source's patients
are dealt into halves: `ToneCurveHarmonizer.fit(method="auto")` sees one half's files without their labels, its
`transform` is tested on the other, and the other way round. It is compared with the image untouched, all-pixel
histogram matching of each image, one constant curve by all pixels, the scanner curve, and blends of scanner curve and
matching. Patients imaged on both sides are kept out. What a rule may look at, without labels, is kept beside the
scores, so that rules can be compared without fitting again.

    nice -n 19 python -m benchmarks.real_pairs [--seeds 0 1 2] [--architectures small residual] [--pairs sex]
    python -m benchmarks.real_pairs --table        # only the tables, from what there is

One run (a pair, an architecture, a seed) is a file of JSON lines in benchmarks/out/pairs; a run resumes. The tables go
to docs/results_pairs.md.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

import isotone
from benchmarks import real_pairs_table, residual_net
from benchmarks.real_pairs_data import PAIRS, REFERENCE, SOURCE, Cohort, Item, Pair, few, split
from benchmarks.real_pairs_scores import file_name
from isotone._runtime.files import write_text
from isotone.baselines.by_name import baseline
from isotone.baselines.constant_curve import ConstantCurve
from isotone.curves.tone_curve import ToneCurve
from isotone.data.descriptors.image_set import ImageSet, image_set
from isotone.data.sample import Sample, TakeSample
from isotone.errors import RadiographError
from isotone.estimation.report import FitReport
from isotone.harmonizer.mappers import BlendMapper, ScannerMapper
from isotone.imaging.radiograph import Radiograph
from isotone.networks.classifier import Classifier
from isotone.networks.prepare import Prepare
from isotone.networks.training.loop import seeded
from isotone.networks.training.train import TrainSettings, fit_classifier, fit_network

HERE = Path(__file__).resolve().parent
OUT = HERE / "out" / "pairs"
PAGE = HERE.parent / "docs" / "results_pairs.md"
ARCHITECTURES = ("small", "residual")
VALIDATION = 4
"""One of so many parts of the reference's patients validates."""
BLENDS = {"scanner curve": 0.0, "quarter blend": 0.25, "half blend": 0.5}
"""Share of per-image matching."""
HALVES = (0, 1)
OVERRULED = ("look", "harm")
"""Guards, for the curves of images that the default would refuse or keep."""
Transform = Callable[[Radiograph], Radiograph]


@dataclass(frozen=True)
class Blend:
    """A mean of a scanner's curve and of the image's own all-pixel matching: monotone, for both are."""

    curve: ToneCurve
    matching: Any
    share: float

    def __call__(self, image: Radiograph) -> Radiograph:
        tone = self.curve(image.tone)
        if self.share:
            tone = (1 - self.share) * tone + self.share * self.matching.transform(image).tone
        return replace(image, tone=tone)


def samples(items: Sequence[Item], prepare: Prepare, splits: Sequence[str] | None = None) -> list[Sample]:
    take = TakeSample(prepare)
    return [
        replace(take(item.radiograph), label=item.label, patient=item.patient, split=splits[i] if splits else "train")
        for i, item in enumerate(items)
    ]


def trained(
    architecture: str, reference: Sequence[Sample], classes: Sequence[str], size: int, seed: int, folder: Path
) -> Classifier:
    """The classifier in the folder; trained and put there if it is not."""
    builder = "build_four" if len(classes) == 4 else "build"
    name = f"benchmarks.residual_net:{builder}"
    if (folder / "config.json").exists():
        return Classifier.load(folder, allow_code=name)
    train, val = ([s for s in reference if s.split == part] for part in ("train", "val"))
    settings = TrainSettings.small(image_size=size, epochs=100, reduce_after=8, stop_after=20, dropout=0.1)
    if architecture == "small":
        classifier = fit_classifier(train, val, settings, seed=seed, quiet=True)
    else:
        with seeded(seed, 0):
            module = getattr(residual_net, builder)()
            classifier = Classifier.from_module(
                module, classes=tuple(classes), image_size=size, channels=1, backbone=name
            )
        classifier = fit_network(classifier, train, val, settings, seed=seed, quiet=True)
    classifier.save(folder)
    return classifier


class Scene:
    """What all classifiers of a pair and a seed share: its images, and their splits."""

    def __init__(self, pair: Pair, cohort: Cohort, seed: int) -> None:
        self.pair, self.cohort, self.seed = pair, cohort, seed
        self.prepare = Prepare(pair.image_size)
        self.halves = split(cohort.source, 2, seed)
        parts = split(cohort.reference, VALIDATION, seed)
        self.splits = ["val" if part == 0 else "train" for part in parts]
        self.reference: ImageSet = image_set(samples(cohort.reference, self.prepare, self.splits))
        self.validation = [item for item, part in zip(cohort.reference, parts, strict=True) if part == 0]
        written = [item.radiograph for item in cohort.reference]
        self.matching: Any = baseline("histogram-matching-all-pixels").fit(written)
        self.constant = ConstantCurve().fit(written)

    def dealt(self, half: int) -> tuple[list[Item], list[Item]]:
        """The images that are fitted on, and those that are tested."""
        sides: tuple[list[Item], list[Item]] = [], []
        for item, part in zip(self.cohort.source, self.halves, strict=True):
            sides[int(part == half)].append(item)
        return sides

    def fit(self, classifier: Classifier) -> isotone.ToneCurveHarmonizer:
        """As it ships, without labels of the source; its band, which no image depends on, is left out.

        What the test of a half is to be fitted on is a scanner by itself, so that the reference is read once.
        """
        items = [*self.cohort.reference, *self.cohort.source]
        named = [scanner(1 - part) for part in self.halves]
        table = {
            "path": [str(item.radiograph.header.path) for item in items],
            "domain": [*[REFERENCE] * len(self.splits), *named],
            "label": [item.label for item in items],
            "patient_id": [item.patient for item in items],
            "split": [*self.splits, *["train"] * len(named)],
        }
        both = [scanner(half) for half in HALVES]
        harmonizer = isotone.ToneCurveHarmonizer(REFERENCE, both, settings={"resamples": 0})
        return harmonizer.fit(isotone.Manifest(table), classifier, labels="none", seed=self.seed, workers=0)


class Run:
    """A pair, a seed and an architecture; what is found goes into a file of JSON lines."""

    def __init__(self, scene: Scene, architecture: str, folder: Path) -> None:
        self.scene, self.pair, self.cohort, self.seed = scene, scene.pair, scene.cohort, scene.seed
        self.architecture, self.prepare = architecture, scene.prepare
        name = run_name(scene.pair, architecture, scene.seed)
        self.path = folder / f"{name}.jsonl"
        self.features: dict[str, np.ndarray] = {}
        where = folder / "classifiers" / run_name(scene.pair, architecture, scene.seed, learned=True)
        size = scene.pair.image_size
        self.classifier = trained(architecture, scene.reference, scene.cohort.classes, size, scene.seed, where)

    def complete(self) -> None:
        """Measure, and write the file whole."""
        began = time.process_time()
        harmonizer = self.scene.fit(self.classifier)
        lines = [self.header(), *(self.half(half, harmonizer) for half in HALVES)]
        features = self.path.parent / "features" / f"{self.path.stem}.npz"
        features.parent.mkdir(exist_ok=True)
        np.savez_compressed(features, **self.features)  # type: ignore[arg-type]
        write_text(self.path, "".join(json.dumps(line) + "\n" for line in lines))
        print(f"{self.path.stem}: {time.process_time() - began:.0f} CPU s", flush=True)

    def header(self) -> dict[str, Any]:
        training = self.classifier.config.training
        prepared = np.stack([s.prepared for s in self.scene.reference if s.prepared is not None])
        self.features["reference"] = self.classifier.embed(prepared).astype(np.float16)
        return {
            "pair": self.pair.name,
            "architecture": self.architecture,
            "seed": self.seed,
            "classes": list(self.cohort.classes),
            "label": self.numbers(self.cohort.source),
            "patient": _anonymous(self.cohort.source),
            "halves": self.scene.halves.tolist(),
            "reference_label": self.numbers(self.cohort.reference),
            "validation": [k for k, split in enumerate(self.scene.splits) if split == "val"],
            "validation_label": self.numbers(self.scene.validation),
            "validation_patient": _anonymous(self.scene.validation),
            "training": {k: v for k, v in training.items() if isinstance(v, int | float)},
        }

    def numbers(self, items: Sequence[Item]) -> list[int]:
        return [self.cohort.classes.index(item.label) for item in items]

    def half(self, half: int, harmonizer: isotone.ToneCurveHarmonizer) -> dict[str, Any]:
        """What a fit on one half of the patients makes of the other."""
        (seen, tested), name = self.scene.dealt(half), scanner(half)
        mapper, report = harmonizer.scanners[name].mapper, harmonizer.scanners[name].report
        assert isinstance(mapper, ScannerMapper | BlendMapper)
        assert isinstance(report, FitReport)
        curve, ways = mapper.scanner_curve, self.candidates(mapper.scanner_curve, seen)
        ways["default"] = lambda image: harmonizer.transform(image, domain=name, allow=OVERRULED[:1])
        ways["default, overruled"] = lambda image: harmonizer.transform(image, domain=name, allow=OVERRULED)
        looked_at = tested if self.seed == 0 else []
        unlabelled = {way: ways[way] for way in ("untouched", "default, overruled")}
        for way, transform in unlabelled.items():
            self.features[f"{half} {way}"] = self.classifier.embed(self.images(transform, seen)).astype(np.float16)
        return {
            "half": half,
            "scores": {way: self.say(transform, tested) for way, transform in ways.items()},
            "seen": {way: self.say(transform, seen) for way, transform in unlabelled.items()},
            "validation": self.simulated(curve),
            "refused": sum(refuses(harmonizer, item.radiograph.with_domain(name)) for item in looked_at),
            "looked_at": len(looked_at),
            "curve": json.loads(curve.to_json()),
            "blended": isinstance(mapper, BlendMapper),
            "mix": report.mix and dict(report.mix),
            "mix_from": report.mix_from,
            "variance": report.variance,
            "extra_levels": report.extra_levels_8bit,
            "mismatch": [report.mismatch, report.mismatch_limit],
            "window": report.window,
            "warnings": [said.split()[0] for said in report.warnings],
            "weak": report.weak,
            "gain": report.gain and asdict(report.gain),
            "no_gain": report.no_gain,
            "blend": report.blend and asdict(report.blend),
            "kept": report.kept,
        }

    def candidates(self, curve: ToneCurve, seen: Sequence[Item]) -> dict[str, Transform]:
        """What the default may choose among, and what it is compared with."""
        matching, constant = self.scene.matching, self.scene.constant
        constant.fit_source([item.radiograph for item in seen])
        return {
            "untouched": lambda image: image,
            "matching": matching.transform,
            "constant curve": constant.transform,
            **{name: Blend(curve, matching, share) for name, share in BLENDS.items()},
        }

    def simulated(self, curve: ToneCurve) -> dict[str, list[list[float]]]:
        """Reference validation images as they are, as the source would write them, and what a blend makes of them."""
        undo = curve.inverse()
        as_source: list[Item] = [replace(i, radiograph=i.radiograph.map_tone(undo)) for i in self.scene.validation]
        found = {"untouched": self.say(lambda image: image, self.scene.validation)}
        found["as the source"] = self.say(lambda image: image, as_source)
        ways = {name: Blend(curve, self.scene.matching, share) for name, share in BLENDS.items()}
        return found | {f"{name} of the source's": self.say(way, as_source) for name, way in ways.items()}

    def images(self, way: Transform, items: Sequence[Item]) -> np.ndarray:
        return np.stack([self.prepare(way(item.radiograph)) for item in items])

    def say(self, way: Transform, items: Sequence[Item]) -> list[list[float]]:
        # Not rounded: a saturated classifier still ranks images, by what lies below 1e-6.
        return self.classifier.predict(self.images(way, items)).tolist()


def scanner(half: int) -> str:
    """Name of the source in the fit that is tested on a half."""
    return f"{SOURCE} {half}"


def refuses(harmonizer: isotone.ToneCurveHarmonizer, image: Radiograph) -> bool:
    """Whether an image looks too unlike those of the fit (E_OOD), so that it would not be delivered."""
    try:
        harmonizer.curve(image)
    except RadiographError:
        return True
    return False


def run_name(pair: Pair, architecture: str, seed: int, learned: bool = False) -> str:
    """Of a run's file; or of its classifier, which simulated pairs of one reference share."""
    name = pair.name.partition(", ")[0] if learned and pair.kind == "simulated" else pair.name
    return f"{file_name(name)}-{architecture}-{seed}"


def _anonymous(items: Sequence[Item]) -> list[int]:
    return np.unique([item.patient for item in items], return_inverse=True)[1].tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--architectures", nargs="+", default=list(ARCHITECTURES), choices=ARCHITECTURES)
    parser.add_argument("--pairs", default="", help="only pairs whose name has this in it")
    parser.add_argument("--quick", action="store_true", help="every sixth image, one seed, in a folder of its own")
    parser.add_argument("--table", action="store_true", help="only the tables, from what there is")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = OUT.with_name("pairs-quick") if options.quick else OUT
    folder.mkdir(parents=True, exist_ok=True)
    for seed in () if options.table else options.seeds[: 1 if options.quick else None]:
        for pair in PAIRS:
            missing = [a for a in options.architectures if not (folder / f"{run_name(pair, a, seed)}.jsonl").exists()]
            if options.pairs not in pair.name or not missing:
                continue
            cohort = pair.load(seed, folder)
            scene = Scene(pair, few(cohort, 6) if options.quick else cohort, seed)
            for architecture in missing:
                Run(scene, architecture, folder).complete()
    if options.quick or options.table:
        real_pairs_table.write(folder, folder / "table.md" if options.quick else PAGE, PAIRS)


if __name__ == "__main__":
    main()
