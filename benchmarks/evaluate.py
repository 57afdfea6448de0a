"""How fast an evaluation is: from scores to report, and one pass over the images against one pass per method.

    python -m benchmarks.evaluate [--images N]

Wanted: scores and features of ResNet-50 in at most 0.6 of the processor time of two passes; the
report of 1,000 images × 8 methods, predictions cached, in at most 60 s and 20 MB.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from discs import Brightness, Power, write_cohort
from isotone._runtime.run_options import RunOptions
from isotone.baselines.by_name import BASELINES, baseline
from isotone.data.manifests.manifest import Manifest
from isotone.evaluation.evaluate import compare_methods
from isotone.evaluation.predict import observe
from isotone.evaluation.report import write_report
from isotone.networks.backbones import build
from isotone.networks.classifier import Classifier
from made_scores import REFERENCE, scores

METHODS = ("none", "oracle", *(f"method {k}" for k in range(6)))


def from_scores(images: int) -> None:
    """Metrics with 4,000 resamples, figures and page, from scores in memory."""
    quality = {(d, m): 0.1 * k for d in (REFERENCE, "Src A", "Src B", "Src C") for k, m in enumerate(METHODS)}
    made = scores(quality, patients=images // 4, classes=4)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        write_report(compare_methods(made, [REFERENCE], {}, seed=0), Path(folder))
        size = (Path(folder) / "report.html").stat().st_size
    seconds = time.perf_counter() - start
    print(f"report of {len(made.label)} images × {len(METHODS)} methods:", end=" ")
    print(f"{seconds:.1f} s (wanted: 60), {size / 1e6:.2f} MB (wanted: 20)")


def one_pass(images: int) -> None:
    """Decode, transform and classify: all methods at once, and one after the other."""
    with tempfile.TemporaryDirectory() as folder:
        table = write_cohort(Path(folder), patients=images // 4, size=(960, 800))
        table["path"] = [str(Path(folder) / p) for p in table["path"]]
        rows, classifier = list(Manifest(table.drop(columns="oracle_path"))), Brightness()
        plain = [n for n in ("full-range", "display-window", "min-max", "percentile") if n in BASELINES]
        methods = {f"power {g}": Power(g) for g in (0.5, 0.8, 1.2, 2.0)} | {n: baseline(n) for n in plain}
        start = time.perf_counter()
        observe(rows, methods, classifier, run=RunOptions(workers=1, quiet=True))
        together = time.perf_counter() - start
        start = time.perf_counter()
        for name, method in methods.items():
            observe(rows, {name: method}, classifier, run=RunOptions(workers=1, quiet=True))
        apart = time.perf_counter() - start
    print(f"{len(rows)} images × {len(methods)} methods: {together:.1f} s in one pass, {apart:.1f} s one by one")
    print(f"one pass is {apart / together:.1f} times as fast")


def scores_and_features(images: int = 16) -> None:
    """ResNet-50 with random weights: one pass through it, and two."""
    torch.manual_seed(0)
    classifier = Classifier.from_module(build("resnet50", 4), classes=[*"ABCD"], image_size=224)
    grey = np.random.default_rng(0).random((images, 224, 224), np.float32)
    seconds: dict[str, list[float]] = {"one": [], "two": []}
    for _ in range(4):
        start = time.process_time()
        classifier.predict_and_embed(grey)
        between = time.process_time()
        classifier.predict(grey)
        classifier.embed(grey)
        seconds["one"].append(between - start)
        seconds["two"].append(time.process_time() - between)
    ratio = np.median(np.array(seconds["one"][1:]) / np.array(seconds["two"][1:]))
    print(f"scores and features of ResNet-50 in one pass: {ratio:.2f} of the time of two (wanted: 0.6)")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    chosen = parser.parse_args()
    scores_and_features()
    from_scores(chosen.images)
    one_pass(min(chosen.images, 100))
