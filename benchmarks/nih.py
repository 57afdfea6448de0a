"""Does harmonizing help on a real scanner pair? Chest radiographs of NIH ChestX-ray14, grouped by pixel spacing.

Label: sex. A classifier learns on the spacings 0.168 and 0.171 mm (the reference), and is tested on 0.143 mm (the
source) behind every method. Curves are cross-fitted: fitted on one half of the source's patients, tested on the other
and the other way round, so that every source patient is tested once. Patients imaged at both spacings are kept out of
all that; their scores before and after are compared by themselves. The images of 0.143 mm are all PA, of the reference
two thirds are AP: the reference is taken PA alone, and whole. The control maps 0.171 onto 0.168, where no gap is.

    python -m benchmarks.nih            # resumes; classifiers and scores are kept in benchmarks/out/nih
    python -m benchmarks.nih --again scanner        # only fits and scores these methods anew, and writes the tables
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.model_selection import StratifiedGroupKFold

from benchmarks import nih_table, residual_net
from isotone._runtime.files import write_text
from isotone.baselines.by_name import baseline
from isotone.data.manifests.manifest import Manifest
from isotone.data.sample import Sample, load_samples
from isotone.estimation.fit_source import fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.settings import FitOptions
from isotone.evaluation.distance import grouped_auc
from isotone.evaluation.metrics import auc
from isotone.evaluation.predict import Observe
from isotone.harmonizer.mappers import Mapper, mapper_of
from isotone.imaging.radiograph import Radiograph
from isotone.imaging.read import read_radiograph
from isotone.networks.classifier import Classifier
from isotone.networks.gdce_mapper import GDCEMapper
from isotone.networks.prepare import Prepare
from isotone.networks.training.fit_gdce import GDCESettings, fit_gdce
from isotone.networks.training.loop import seeded
from isotone.networks.training.train import TrainSettings, fit_classifier, fit_network

HERE = Path(__file__).resolve().parent
DATA = HERE.parents[1] / "shared" / "data" / "nih"
CLASSES = ("F", "M")
ARCHITECTURES = ("small", "residual")
BASELINES = ("histogram-matching", "histogram-matching-all-pixels")
FITTED: dict[str, dict[str, Any]] = {
    "scanner, labels": {},
    "scanner, no labels": {"labels": False},
    "scanner, no classifier": {"labels": False, "classifier": None},
    "adaptive, labels": {"modes": True},
    "adaptive, no labels": {"modes": True, "labels": False},
}
"""Of `FitOptions`, what each method asks for."""


@dataclass(frozen=True)
class Pair:
    """A question: from which spacing to which, and in which views."""

    name: str
    reference: tuple[str, ...]
    source: str
    pa_only: bool
    gdce: bool = True


PAIRS = (
    Pair("PA", ("spacing 0.168", "spacing 0.171"), "spacing 0.143", pa_only=True),
    Pair("all", ("spacing 0.168", "spacing 0.171"), "spacing 0.143", pa_only=False),
    Pair("control", ("spacing 0.168",), "spacing 0.171", pa_only=False, gdce=False),
)


@dataclass(frozen=True, eq=False)
class Images:
    """Images of one side: what a fit sees of them, the images themselves, and their views."""

    samples: list[Sample]
    radiographs: list[Radiograph]
    views: list[str]

    def where(self, chosen: Sequence[bool]) -> Images:
        indices = np.flatnonzero(chosen)
        kept = ([column[i] for i in indices] for column in (self.samples, self.radiographs, self.views))
        return Images(*kept)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Cohort:
    """The images of a pair; `straddling` are those of patients who were imaged on both sides."""

    pair: Pair
    source: Images
    reference: Images
    straddling_source: Images
    straddling_reference: Images


def load(pair: Pair, data: Path, prepare: Prepare, every: int) -> Cohort:
    """Read a pair's images; of the reference every k-th."""
    manifest = Manifest.read(data / "manifest.csv").select(domains=[*pair.reference, pair.source])
    sides = manifest.table.groupby("patient_id")["domain"].agg(lambda domains: len({d == pair.source for d in domains}))
    both = set(sides.index[sides > 1])
    table = manifest.table[manifest.table["view"] == "PA"] if pair.pa_only else manifest.table
    samples, refused = load_samples(list(Manifest(table)), prepare, workers=0, quiet=True)
    if refused:
        raise SystemExit(f"{len(refused)} images cannot be read: {refused[0]}")
    # The fits see every second pixel of every second row: a quarter of the time, and 16,000 pixels an image.
    samples = [replace(s, pixels=s.pixels[::2, ::2].copy(), valid=s.valid[::2, ::2].copy()) for s in samples]
    radiographs = [read_radiograph(path, domain=domain) for path, domain in table[["path", "domain"]].values]
    images = Images(samples, radiographs, table["view"].tolist())
    source = np.array([s.domain == pair.source for s in samples])
    straddling = np.array([s.patient in both for s in samples])
    taken = np.arange(len(samples)) % every == 0
    return Cohort(
        pair,
        images.where(source & ~straddling),
        images.where(~source & ~straddling & taken),
        images.where(source & straddling),
        images.where(~source & straddling),
    )


def folds(samples: Sequence[Sample], number: int, seed: int) -> np.ndarray:
    """Number of each sample's fold: by patient, stratified by label."""
    dealer = StratifiedGroupKFold(number, shuffle=True, random_state=seed)
    labels, patients = [s.label for s in samples], [s.patient for s in samples]
    result = np.zeros(len(samples), int)
    for fold, (_, members) in enumerate(dealer.split(labels, labels, patients)):
        result[members] = fold
    return result


def with_splits(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """One fifth of the patients validates, the rest trains."""
    return [
        replace(s, split="val" if fold == 0 else "train")
        for s, fold in zip(samples, folds(samples, 5, seed), strict=True)
    ]


def split_of(samples: Sequence[Sample], split: str) -> list[Sample]:
    return [s for s in samples if s.split == split]


def trained(architecture: str, reference: Sequence[Sample], settings: TrainSettings, seed: int, folder: Path):
    """The classifier in the folder; trained and put there if it is not."""
    if (folder / "config.json").exists():
        return Classifier.load(folder)
    train, val = split_of(reference, "train"), split_of(reference, "val")
    domains = tuple(sorted({s.domain or "" for s in reference}))
    if architecture == "small":
        classifier = fit_classifier(train, val, settings, reference_domains=domains, seed=seed, quiet=True)
    else:
        with seeded(seed, 0):
            classifier = Classifier.from_module(
                residual_net.build(),
                classes=CLASSES,
                image_size=settings.image_size,
                reference_domains=domains,
                channels=1,
                backbone="benchmarks.residual_net:build",
            )
        classifier = fit_network(classifier, train, val, settings, seed=seed, quiet=True)
    classifier.save(folder)
    return classifier


def fitted(
    method: str,
    source: list[Sample],
    reference: ReferenceModel,
    classifier: Classifier,
    gdce: GDCESettings,
) -> tuple[Mapper, dict[str, Any]]:
    """A method's curves, and what its fit says of itself."""
    seed = reference.seed
    if method == "gdce":
        parts = split_of(source, "train"), split_of(reference.given, "train"), split_of(source, "val")
        network, log = fit_gdce(*parts, classifier, gdce, seed=seed, quiet=True)
        return GDCEMapper(network), {"epochs": log}
    fit = fit_source(source, reference, FitOptions(**{"classifier": classifier} | FITTED[method]))
    return mapper_of(fit), asdict(fit.report) | {"curve": json.loads(fit.curves[0].to_json())}


class Part:
    """One classifier (pair, architecture, seed) behind all methods; its scores are a JSON file, method by method."""

    def __init__(self, cohort: Cohort, architecture: str, seed: int, run: Run) -> None:
        self.cohort, self.seed, self.run = cohort, seed, run
        name = f"{cohort.pair.name}-{architecture}-{seed}"
        self.path = run.output / f"{name}.json"
        self.reference = ReferenceModel(with_splits(cohort.reference.samples, seed), seed)
        folder = run.output / "classifiers" / name
        self.classifier = trained(architecture, self.reference.given, run.training, seed, folder)
        self.half = folds(cohort.source.samples, 2, seed)
        self.scores = json.loads(self.path.read_text()) if self.path.exists() else self._start(architecture)

    def _start(self, architecture: str) -> dict[str, Any]:
        cohort = self.cohort
        numbers = {p: i for i, p in enumerate(dict.fromkeys(s.patient for s in cohort.source.samples))}
        twice = {p: i for i, p in enumerate(dict.fromkeys(s.patient for s in cohort.straddling_source.samples))}
        val = split_of(self.reference.given, "val")
        return {
            "pair": cohort.pair.name,
            "architecture": architecture,
            "seed": self.seed,
            "label": [CLASSES.index(str(s.label)) for s in cohort.source.samples],
            "patient": [numbers[s.patient] for s in cohort.source.samples],
            "validation_auc": float(auc(np.array([s.label == "M" for s in val]), self.say(prepared(val)))[0]),
            "straddling": {
                "patient": [twice[s.patient] for s in cohort.straddling_source.samples],
                "reference_patient": [twice.get(s.patient, -1) for s in cohort.straddling_reference.samples],
                "reference": self.say(prepared(cohort.straddling_reference.samples)).tolist(),
            },
            "methods": {},
        }

    def say(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Probability of class M."""
        return self.classifier.predict(np.stack(images))[:, 1] if len(images) else np.zeros(0)

    def complete(self, methods: Sequence[str]) -> None:
        """Score those of the methods that are missing from the file, and write it after each."""
        for method in methods:
            if method in self.scores["methods"]:
                continue
            began = time.time()
            result = self._unfitted(method) if method in ("none", *BASELINES) else self._cross_fitted(method)
            self.scores["methods"][method] = result
            write_text(self.path, json.dumps(self.scores))
            reached = auc(np.array(self.scores["label"]) == 1, np.array(result["source"]))[0]
            print(f"{self.path.stem}: {method}: AUC {reached:.3f}, {time.time() - began:.0f} s", flush=True)

    def _unfitted(self, method: str) -> dict[str, Any]:
        source, straddling = self.run.normalized(self.cohort, method)
        return {"source": self.say(source).tolist(), "straddling": [self.say(straddling).tolist()]}

    def _cross_fitted(self, method: str) -> dict[str, Any]:
        source, straddling = self.cohort.source, self.cohort.straddling_source
        scores = np.zeros(len(source.samples))
        result: dict[str, Any] = {"straddling": [], "cpu_seconds": [], "notes": []}
        for half in (0, 1):
            tested = self.half == half
            seen = with_splits(source.where(~tested).samples, self.seed)
            began = time.process_time()
            mapper, notes = fitted(method, seen, self.reference, self.classifier, self.run.gdce)
            result["cpu_seconds"].append(time.process_time() - began)
            result["notes"].append(notes)

            def mapped(radiograph: Radiograph, mapper: Mapper = mapper) -> np.ndarray:
                # As its fit saw the images: structure looks different through other pixels.
                seen = radiograph if method == "gdce" else radiograph.decimated(max(radiograph.stored.shape) // 2)
                return self.run.prepare(radiograph.map_tone(mapper.curve(seen)))

            scores[tested] = self.say([mapped(r) for r in source.where(tested).radiographs])
            result["straddling"].append(self.say([mapped(r) for r in straddling.radiographs]).tolist())
        return result | {"source": scores.tolist()}


def prepared(samples: Sequence[Sample]) -> list[np.ndarray]:
    return [s.prepared for s in samples if s.prepared is not None]


class Run:
    """What all parts have in common."""

    def __init__(self, output: Path, training: TrainSettings, gdce: GDCESettings) -> None:
        self.output, self.training, self.gdce = output, training, gdce
        self.prepare = Prepare(training.image_size)
        self._normalized: dict[tuple[str, str], tuple[list[np.ndarray], list[np.ndarray]]] = {}
        marker = output / "settings.json"
        # The path of the weights says where they lie, not what they are.
        settings = {"training": training, "gdce": gdce.model_copy(update={"perceptual_weights": None})}
        stated = {name: each.model_dump(mode="json", exclude_defaults=True) for name, each in settings.items()}
        text = json.dumps(stated, indent=1, sort_keys=True)
        if marker.exists() and marker.read_text() != text:
            raise SystemExit(f"{output} was made with other settings: name another --output, or delete it.")
        write_text(marker, text)

    def normalized(self, cohort: Cohort, method: str) -> tuple[list[np.ndarray], list[np.ndarray]]:
        """The source's images behind a method that knows neither classifier nor seed; made once for each pair."""
        key = cohort.pair.name, method
        if key not in self._normalized:
            transform: Callable[[Radiograph], Radiograph] = lambda radiograph: radiograph  # noqa: E731
            if method != "none":
                transform = baseline(method).fit(cohort.reference.radiographs).transform
            self._normalized[key] = tuple(  # type: ignore[assignment]
                [self.prepare(transform(r)) for r in side.radiographs]
                for side in (cohort.source, cohort.straddling_source)
            )
        return self._normalized[key]


def facts(cohort: Cohort, prepare: Prepare) -> dict[str, Any]:
    """What the pair looks like, and what can be had without looking at anatomy."""
    observe = Observe(prepare, {})
    sides: dict[str, Any] = {}
    brightness = []
    for name, images in (("source", cohort.source), ("reference", cohort.reference)):
        statistics = np.array([observe(r).statistics for r in images.radiographs])
        labels = np.array([CLASSES.index(str(s.label)) for s in images.samples])
        patients = np.unique([s.patient for s in images.samples], return_inverse=True)[1].tolist()
        projection = np.array([view == "AP" for view in images.views], float)
        brightness.append(statistics[:, 0])
        sides[name] = {
            "images": len(labels),
            "patients": len(set(patients)),
            "female": int((labels == 0).sum()),
            "ap": int(projection.sum()),
            "projection_auc": float(auc(labels == 1, projection)[0]),
            "grey_statistics_auc": grouped_auc(statistics, labels, patients),
        }
    is_source = np.repeat([True, False], [len(b) for b in brightness])
    darker = float(auc(is_source, -np.concatenate(brightness))[0])
    return sides | {"brightness_auc": max(darker, 1 - darker)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "data", type=Path, nargs="?", default=DATA, help="folder with manifest.csv (default: %(default)s)"
    )
    parser.add_argument("--table", type=Path, help="Markdown to write (default: docs/results_nih.md)")
    parser.add_argument("--output", type=Path, help="scores and classifiers (default: benchmarks/out/nih)")
    parser.add_argument("--vgg", type=Path, help="VGG-16 weights for gdce (default: the classifier's first stage)")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--again", metavar="METHOD", help="forget the scores of methods whose name starts like this")
    parser.add_argument("--quick", action="store_true", help="a smoke run: one seed, few images, a few epochs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    quick = options.quick
    output = options.output or HERE / "out" / ("nih-quick" if quick else "nih")
    training = TrainSettings.small(image_size=64, batch_size=16, epochs=2 if quick else 40, stop_after=40)
    gdce = GDCESettings.quick(
        perceptual="vgg16" if options.vgg else "classifier",
        perceptual_weights=options.vgg,
        epochs=1 if quick else 60,
        input_size=64,  # as many pixels as the classifier sees
    )
    output.mkdir(parents=True, exist_ok=True)
    if options.again:
        forget(output, options.again)
    run = Run(output, training, gdce)
    table = options.table or (output / "table.md" if quick else HERE.parent / "docs" / "results_nih.md")
    cohorts = [load(pair, options.data, run.prepare, every=6 if quick else 1) for pair in PAIRS]
    for cohort in cohorts:
        noted = output / f"facts-{cohort.pair.name}.json"
        if not noted.exists():
            write_text(noted, json.dumps(facts(cohort, run.prepare), indent=1))
    for methods in (("none", *BASELINES, *FITTED), ("gdce",)):  # what takes long comes last
        for cohort in cohorts:
            if methods == ("gdce",) and not cohort.pair.gdce:
                continue
            for seed, architecture in product(range(1 if quick else options.seeds), ARCHITECTURES):
                Part(cohort, architecture, seed, run).complete(methods)
        nih_table.write(output, table)
        print(f"{table} is written", flush=True)


def forget(output: Path, method: str) -> None:
    """Drop a method's scores from every part."""
    for path in output.glob("*-*-*.json"):
        scores = json.loads(path.read_text())
        scores["methods"] = {m: s for m, s in scores["methods"].items() if not m.startswith(method)}
        write_text(path, json.dumps(scores))


if __name__ == "__main__":
    main()
