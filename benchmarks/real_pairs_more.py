"""What else a reviewer asks of the pairs of `real_pairs.py`, each measured once: seed 0, the small classifier.

Percentile landmarks (Nyúl), batch normalization adapted to the source with and without a new last layer, a curve from a
simulated step wedge, a classifier trained with random tone curves, and patients imaged on both scanners. It uses the
classifiers and the curves that `real_pairs.py` kept.

    nice -n 19 python -m benchmarks.real_pairs_more   # resumes; real_pairs --table shows it
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from benchmarks.real_pairs import OUT, Blend, Run, Scene, run_name, trained
from benchmarks.real_pairs_data import PAIRS, Item, Pair
from benchmarks.real_pairs_scores import read_lines
from isotone._runtime.files import write_text
from isotone.baselines.by_name import baseline
from isotone.curves.tone_curve import ToneCurve
from isotone.data.sample import Sample
from isotone.estimation.measured_points import curve_of_points
from isotone.networks.classifier import Classifier
from isotone.networks.training.adaptation import adapt_batch_norm

MORE = OUT / "more"
LABELS = 20
"""Labelled source images of each class that a new last layer learns from."""
STEPS, NOISE = 11, 0.003
"""Of the wedge: steps from 0.02 to 0.98 of the reference's range, and the error of each mean grey level."""
COPIES = 3
"""Copies of each training image behind a random curve, beside the image itself."""
STRONG = 0.6
"""Largest coefficient of the eight steps of a random curve, every other one inverse."""


def measure(pair: Pair, folder: Path) -> dict[str, Any]:
    """Scores of both halves by every way, of the classifier and the curves that are there."""
    scene = Scene(pair, pair.load(0, folder), 0)
    run = Run(scene, "small", folder)
    lines = read_lines(run.path)[1:]
    found: dict[str, Any] = {"pair": pair.name, "halves": []}
    for line in lines:
        seen, tested = scene.dealt(line["half"])
        found["halves"].append({"half": line["half"], "scores": ways(run, curve_of(line), seen, tested)})
    if scene.cohort.twice[0]:
        found["twice"] = twice(run, curve_of(lines[0]))
    return found


def curve_of(line: dict[str, Any]) -> ToneCurve:
    return ToneCurve.from_json(json.dumps(line["curve"]))


def ways(run: Run, curve: ToneCurve, seen: Sequence[Item], tested: Sequence[Item]) -> dict[str, Any]:
    nyul = baseline("nyul").fit([item.radiograph for item in run.cohort.reference])
    plain, unseen = (run.images(lambda image: image, items) for items in (seen, tested))
    adapted = adapt_batch_norm(run.classifier, plain)
    labels, rng = np.array(run.numbers(seen)), np.random.default_rng(run.seed)
    few = np.concatenate([rng.permutation(np.flatnonzero(labels == c))[:LABELS] for c in np.unique(labels)])
    found = {"Nyúl": run.say(nyul.transform, tested), "BN adapted": rounded(adapted.predict(unseen))}
    for name, network in (("new last layer", run.classifier), ("BN adapted, new last layer", adapted)):
        model = LogisticRegression(C=0.1, max_iter=1000).fit(network.embed(plain[few]), labels[few])
        found[name] = rounded(model.predict_proba(network.embed(unseen)))
    if run.cohort.wedge is not None:
        steps = np.linspace(0.02, 0.98, STEPS)
        written, shown = (
            np.clip(levels + rng.normal(0, NOISE, STEPS), 0, 1) for levels in (run.cohort.wedge(steps), steps)
        )
        found["step wedge"] = run.say(Blend(curve_of_points(written, shown)[0], None, 0.0), tested)
    return found


def rounded(scores: np.ndarray) -> list[list[float]]:
    return np.round(np.asarray(scores, np.float64), 5).tolist()


def twice(run: Run, curve: ToneCurve) -> dict[str, list[float]]:
    """Mean score of each patient imaged on both scanners: on the reference, and on the source by each way."""
    ways = {
        "untouched": lambda image: image,
        "scanner curve": Blend(curve, run.scene.matching, 0.0),
        "half blend": Blend(curve, run.scene.matching, 0.5),
    }
    source, reference = run.cohort.twice
    patients = sorted({item.patient for item in source} & {item.patient for item in reference})

    def means(way: Any, items: Sequence[Item]) -> list[float]:
        scores = np.array(run.say(way, items))[:, 1]
        whose = np.array([item.patient for item in items])
        return [float(scores[whose == p].mean()) for p in patients]

    found = {name: means(way, source) for name, way in ways.items()}
    return found | {"reference": means(ways["untouched"], reference)}


def augmented(pair: Pair, folder: Path) -> dict[str, Any]:
    """The same behind a classifier that learned from images behind random curves, too."""
    scene = Scene(pair, pair.load(0, folder), 0)
    run = Run(scene, "small", folder)
    lines = read_lines(run.path)[1:]
    rng = np.random.default_rng(0)
    given = [copy for sample in scene.reference for copy in copies(sample, rng)]
    where = folder / "classifiers" / f"{run_name(pair, 'augmented', 0)}"
    run.classifier = trained("small", given, scene.cohort.classes, pair.image_size, 0, where)
    found: dict[str, Any] = {"pair": pair.name, "halves": [], "validation": validation_auc(run.classifier)}
    for line in lines:
        tested = scene.dealt(line["half"])[1]
        matching, curve = scene.matching, curve_of(line)
        ways = {"untouched": lambda image: image, "matching": matching.transform}
        ways |= {name: Blend(curve, matching, share) for name, share in (("scanner curve", 0.0), ("half blend", 0.5))}
        scores = {name: run.say(way, tested) for name, way in ways.items()}
        found["halves"].append({"half": line["half"], "scores": scores})
    return found


def copies(sample: Sample, rng: np.random.Generator) -> list[Sample]:
    """A training image, and the same behind random curves; a validation image alone."""
    if sample.split == "val" or sample.prepared is None:
        return [sample]
    return [sample, *(replace(sample, prepared=random_curve(rng)(sample.prepared)) for _ in range(COPIES))]


def random_curve(rng: np.random.Generator) -> ToneCurve:
    steps = ToneCurve(rng.uniform(-STRONG, STRONG, 4).tolist())
    return steps.then(ToneCurve(rng.uniform(-STRONG, STRONG, 4).tolist()).inverse())


def validation_auc(classifier: Classifier) -> float:
    return float(classifier.config.training["val_auc"] or 0)


def main() -> None:
    torch.set_num_threads(1)
    for what, way in (("more", measure), ("augmented", augmented)):
        for pair in PAIRS:
            target = MORE / f"{run_name(pair, what, 0)}.json"
            ready = (OUT / f"{run_name(pair, 'small', 0)}.jsonl").exists()
            if target.exists() or not ready:
                continue
            write_text(target, json.dumps(way(pair, OUT)))
            print(target.stem, flush=True)


if __name__ == "__main__":
    main()
