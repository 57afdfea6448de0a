"""Which methods undo which responses, in which populations? Simulated scanners, where the truth is known.

Three anatomies: the phantom (density classes), chest radiographs of NIH within spacing 0.168 (sex), and paediatric
chests of Kermany et al. (pneumonia), where grey levels alone tell the label: a stress test. A frozen classifier learns
on reference images; a source scanner writes others with its response; every method is fitted on the source's images,
and judged on test images of both classes behind the same response. The oracle sees these without the response.

    python -m benchmarks.responses [--quick] [--anatomy phantom|nih|kermany] [--seeds 0 1 2]    # resumes
    python -m benchmarks.responses --paper     # the paper's preset on four responses and two populations
    python -m benchmarks.responses --table     # only the tables and the figure, from what there is

One part (an anatomy, a seed, a population) is a file in benchmarks/out/responses. Run several anatomies at once to use
several cores. The tables go to docs/results_responses.md, the figure beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks import responses_table
from benchmarks.responses_data import (
    BEYOND,
    BY_IMAGE,
    CROSSED,
    RESPONSES,
    SHARED,
    Image,
    World,
    beyond_tone,
    make_world,
    radiograph,
)
from isotone._runtime.files import replace_file
from isotone.baselines.by_name import baseline
from isotone.data.sample import Sample, TakeSample
from isotone.estimation.fit_source import fit_source
from isotone.estimation.reference_model import ReferenceModel
from isotone.estimation.settings import FitOptions, ScannerSettings
from isotone.evaluation.reproduction.curve_by_task_loss import fit_curve_by_task
from isotone.harmonizer.mappers import ScannerMapper, mapper_of
from isotone.imaging.radiograph import Radiograph
from isotone.networks.classifier import Classifier
from isotone.networks.gdce_mapper import GDCEMapper
from isotone.networks.prepare import Prepare
from isotone.networks.training.fit_gdce import GDCESettings, fit_gdce
from isotone.networks.training.train import TrainSettings, fit_classifier

HERE = Path(__file__).resolve().parent
BASELINES = ("min-max", "z-score", "histogram-matching", "histogram-matching-all-pixels", "nyul")
POPULATIONS = {"phantom": 8, "nih": 7, "kermany": 7}
IMAGE_SIZE = {"phantom": 64, "nih": 96, "kermany": 64}
EPOCHS = 40
"""Of the paper's preset on so few images; the tables say which one was kept."""
VGG = SHARED.parent / "weights" / "vgg16_features_conv2_2_caffe_rgb.safetensors"
QUANTILES = np.linspace(0, 1, 513)
"""Of the plainest curve: all pixels of the source onto all pixels of the reference."""
NOTED = ("mix", "mix_from", "window", "mismatch", "variance", "clipped_share", "warnings", "modes")
"""What is kept of a fit's report."""
QUICK = ScannerSettings(resamples=0)
WORKED = ("matched", "B and C", "C : D", "normal : pneumonia")
"""Beginnings of the populations on which the curve by task loss is fitted too."""

Predict = Callable[[Sequence[Radiograph]], np.ndarray]


@dataclass(frozen=True, eq=False)
class Bench:
    """A world with its classifier and the baselines fitted on its reference; `done` is what several cells share."""

    world: World
    classifier: Classifier
    reference: ReferenceModel
    normalizers: list[Any]
    done: dict[tuple[str, str], tuple[list[Radiograph], dict[str, np.ndarray]]]

    def source(self, population: str, response: str) -> list[Sample]:
        """What a fit sees of a population behind a response."""
        return samples(self.world.populations[population][0], response, self.classifier.prepare, "train")

    def predict(self, images: Sequence[Radiograph]) -> np.ndarray:
        return self.classifier.predict(np.stack([self.classifier.prepare(image) for image in images])).astype(
            np.float32
        )


def samples(images: Sequence[Image], response: str, prepare: Prepare, split: str) -> list[Sample]:
    take, domain = TakeSample(prepare), "ref" if response == "none" else "src"
    return [
        replace(take(radiograph(image, response, i, domain)), label=image.label, patient=image.patient, split=split)
        for i, image in enumerate(images)
    ]


def set_up(anatomy: str, seed: int, folder: Path, scale: float) -> Bench:
    """Make the world; train its classifier, or load it."""
    world = make_world(anatomy, seed, scale)
    size = IMAGE_SIZE[anatomy]
    kept = folder / f"classifier-{anatomy}-{seed}"
    train, val = (
        samples(images, "none", Prepare(size), split) for images, split in ((world.train, "train"), (world.val, "val"))
    )
    if not (kept / "config.json").exists():
        epochs = 60 if scale == 1 else 5
        settings = TrainSettings.small(image_size=size, epochs=epochs, stop_after=30, reduce_after=12, dropout=0.1)
        fit_classifier(train, val, settings, seed=seed, quiet=True).save(kept)
    written = [radiograph(image, "none", i, "ref") for i, image in enumerate(world.train)]
    normalizers = [baseline(name).fit(written) for name in BASELINES]
    return Bench(world, Classifier.load(kept), ReferenceModel([*train, *val]), normalizers, {})


def mappers(bench: Bench, source: list[Sample], task: bool) -> dict[str, tuple[Any, float, Any]]:
    """Every method that is fitted: its curves, the CPU seconds of its fit, and its report.

    The reference's images are described, and learned from, once for all fits; that is not in their seconds.
    """
    result: dict[str, tuple[Any, float, Any]] = {}

    def scanner(**options: Any) -> tuple[Any, dict[str, Any]]:
        fit = fit_source(source, bench.reference, FitOptions(settings=QUICK, **options))
        return mapper_of(fit), asdict(fit.report)

    def by_task() -> tuple[Any, dict[str, Any]]:
        fifth = [i % 5 == 0 for i in range(len(source))]
        fitted = [s for s, held in zip(source, fifth, strict=True) if not held]
        held = [s for s, held in zip(source, fifth, strict=True) if held]
        return ScannerMapper(fit_curve_by_task(fitted, held, bench.classifier)), {}

    def pooled() -> tuple[Any, dict[str, Any]]:
        sides = source, bench.reference.given
        ours, theirs = (np.quantile(np.concatenate([s.pixels.ravel() for s in side]), QUANTILES) for side in sides)
        return ScannerMapper(partial(np.interp, xp=ours / 65535, fp=theirs / 65535)), {}  # type: ignore[arg-type]

    def fit(name: str, way: Callable[..., tuple[Any, dict[str, Any]]], **options: Any) -> None:
        start = time.process_time()
        mapper, notes = way(**options)
        result[name] = (mapper, time.process_time() - start, notes)

    fit("pooled quantiles, all pixels", pooled)
    fit("scanner, labels", scanner, classifier=bench.classifier)
    fit("scanner, no labels", scanner, classifier=bench.classifier, labels=False)
    if result["scanner, no labels"][2]["mix_from"] == "classifier":
        fit("scanner, no classifier", scanner, labels=False)
    else:  # the classifier was not asked
        result["scanner, no classifier"] = result["scanner, no labels"]
    fit("adaptive, no labels", scanner, modes=True, classifier=bench.classifier, labels=False)
    if task:
        fit("Eq. 1 curve by task loss", by_task)
    return result


def unfitted(bench: Bench, test: str, response: str) -> tuple[list[Radiograph], dict[str, np.ndarray]]:
    """The test images behind a response, and the scores of what needs no source images."""
    tested = bench.world.tests[test]
    written = [radiograph(image, response, i, "src") for i, image in enumerate(tested)]
    plain = response if response in BEYOND else "none"
    # What no tone curve can mend stays in the oracle: the same images without the response alone.
    oracle = [radiograph(image, "none", i, "ref") for i, image in enumerate(_beyond(tested, plain))]
    scores = {"none": bench.predict(written), "oracle": bench.predict(oracle)}
    for normalizer in bench.normalizers:
        scores[normalizer.name] = bench.predict([normalizer.transform(image) for image in written])
    return written, scores


def run_cell(bench: Bench, population: str, response: str) -> dict[str, Any]:
    """Probabilities of every method on the test images, and what the fits said."""
    key = bench.world.populations[population][1], response
    if key not in bench.done:
        bench.done[key] = unfitted(bench, *key)
    written, scores = bench.done[key][0], dict(bench.done[key][1])
    seconds: dict[str, float] = {}
    source = bench.source(population, response)
    task = response in CROSSED and population.startswith(WORKED)
    notes = {}
    for name, (mapper, took, said) in mappers(bench, source, task).items():
        scores[name] = bench.predict([image.map_tone(mapper.curve(image)) for image in written])
        seconds[name] = took
        notes[name] = {k: said[k] for k in NOTED if k in said}
    return {"scores": scores, "seconds": seconds, "notes": notes}


def _beyond(images: Sequence[Image], kind: str) -> list[Image]:
    if kind == "none":
        return list(images)
    return [
        replace(image, grey=beyond_tone(kind, np.clip(image.grey, 0, 1), np.random.default_rng(i)))
        for i, image in enumerate(images)
    ]


def responses_of(anatomy: str, population: str, quick: bool) -> list[str]:
    if quick:
        return ["gamma 2.5"]
    if population.startswith("matched"):
        return [*RESPONSES, *BY_IMAGE, *(BEYOND if anatomy == "phantom" else ())]
    return list(CROSSED)


def run_part(bench: Bench, anatomy: str, population: str, target: Path, quick: bool) -> None:
    """All responses of one population into one file."""
    test = bench.world.tests[bench.world.populations[population][1]]
    arrays: dict[str, Any] = {
        "labels": np.array([bench.world.classes.index(image.label) for image in test]),
        "patients": np.unique([image.patient for image in test], return_inverse=True)[1],
    }
    said: dict[str, Any] = {}
    for response in responses_of(anatomy, population, quick):
        cell = run_cell(bench, population, response)
        said[response] = {"seconds": cell["seconds"], "notes": cell["notes"]}
        arrays |= {f"{response}|{method}": scores for method, scores in cell["scores"].items()}
        print(f"{target.stem}: {response}", flush=True)
    arrays |= {"said": np.array(json.dumps(said)), "population": np.array(population)}
    with replace_file(target) as temporary:
        np.savez_compressed(temporary, **arrays)


def run_paper(bench: Bench, target: Path) -> None:
    """The paper's preset on small images, with the better of two learning rates by its own validation."""
    test = bench.world.tests["test"]
    arrays: dict[str, Any] = {
        "labels": np.array([bench.world.classes.index(image.label) for image in test]),
        "patients": np.unique([image.patient for image in test], return_inverse=True)[1],
    }
    if target.exists():
        with np.load(target) as done:
            arrays = dict(done)
    said = json.loads(str(arrays.pop("said", "{}")))
    start = time.process_time()
    assert bench.reference.tone is not None  # described now, and once for all fits
    described_in = time.process_time() - start
    for population, response in product(("matched, 200", "C : D 1 : 3"), CROSSED):
        key = f"{population}|{response}"
        if key in said:
            continue
        source = bench.source(population, response)
        order = np.random.default_rng(0).permutation(len(source))
        held, fitted = [source[i] for i in order[: len(order) // 5]], [source[i] for i in order[len(order) // 5 :]]
        start, fits = time.process_time(), []
        for rate in (1e-4, 1e-3):
            settings = GDCESettings(input_size=64, perceptual_weights=VGG, epochs=EPOCHS, learning_rate=rate)
            net, rows = fit_gdce(fitted, bench.reference.given, held, bench.classifier, settings, quiet=True)
            best = max(range(len(rows)), key=lambda i: (rows[i]["worst_group_accuracy"], i))
            fits.append((rows[best]["worst_group_accuracy"], best + 1, rate, net))
        took = time.process_time() - start
        _, epoch, rate, net = max(fits, key=lambda fit: fit[0])
        mapper = GDCEMapper(net)
        written = [radiograph(image, response, i, "src") for i, image in enumerate(test)]
        arrays[f"{key}|gdce"] = bench.predict([image.map_tone(mapper.curve(image)) for image in written])
        said[key] = {"seconds": took, "described_in": described_in, "epoch": epoch, "rate": rate}
        print(f"paper: {key}: {took:.0f} s, epoch {epoch}, rate {rate}", flush=True)
        with replace_file(target) as temporary:
            np.savez_compressed(temporary, said=np.array(json.dumps(said)), **arrays)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--anatomy", nargs="+", default=list(IMAGE_SIZE), choices=list(IMAGE_SIZE))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--quick", action="store_true", help="a tenth of the images, one response")
    parser.add_argument("--paper", action="store_true")
    parser.add_argument("--table", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    folder = HERE / "out" / ("responses-quick" if options.quick else "responses")
    for anatomy in () if options.table else options.anatomy:
        for seed in options.seeds[:1] if options.paper else options.seeds:
            bench = None
            for number in ("paper",) if options.paper else range(POPULATIONS[anatomy]):
                target = folder / f"{anatomy}-{seed}-{number}.npz"
                if target.exists() and not options.paper:
                    continue
                bench = bench or set_up(anatomy, seed, folder, 0.1 if options.quick else 1.0)
                if options.paper:
                    run_paper(bench, target)
                else:
                    run_part(bench, anatomy, list(bench.world.populations)[int(number)], target, options.quick)
    responses_table.write(folder, folder if options.quick else HERE.parent / "docs")


if __name__ == "__main__":
    main()
