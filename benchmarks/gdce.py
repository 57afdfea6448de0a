"""Does the paper's network learn, on which of the phantom's scanners, and at which settings?

For each seed: a phantom of its own (360 patients of three scanners and those of Dogwood, 256 px), the small classifier
of the reference, and on each source scanner the networks below, the scanner curve without labels, all-pixel histogram
matching and the display window, all on the same test images. "before" is the quick preset as it was. The tables stand
in docs/results_gdce.md.

    python -m benchmarks.gdce FOLDER [--seeds 0 1 2]      # resumes; `--table` prints what there is
    python -m benchmarks.gdce FOLDER --seeds 0 --all      # the other settings, too
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from isotone.harmonizer.fitted_scanner import NetworkReport

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from isotone import (
    Classifier,
    GDCESettings,
    Manifest,
    ToneCurveHarmonizer,
    TrainSettings,
    make_phantom,
    train_classifier,
)
from isotone.data.phantom.scanners import ALDER, SCANNERS
from isotone.evaluation.evaluate import evaluate

SOURCES = [scanner.domain for scanner in SCANNERS if scanner is not ALDER]
BEFORE: dict[str, Any] = {
    "loss": "sum",
    "batch_size": 12,
    "epochs": 20,
    "stop_after": None,
    "second_learning_rate": None,
}
NETWORKS = {
    "quick": GDCESettings.quick(),
    "before": GDCESettings.quick(**BEFORE),
    "before, 3e-4, 60 epochs": GDCESettings.quick(**BEFORE | {"learning_rate": 3e-4, "epochs": 60}),
    "before, 1e-4, 60 epochs": GDCESettings.quick(**BEFORE | {"learning_rate": 1e-4, "epochs": 60}),
    "plain sum": GDCESettings.quick(loss="sum"),
}
BASELINES = ("display-window", "histogram-matching-all-pixels")


def run(folder: Path, seed: int, networks: Mapping[str, GDCESettings], sources: Sequence[str]) -> None:
    """Everything of one seed; what is there is not done again."""
    here = folder / f"seed-{seed}"
    manifest = make_phantom(here / "cohort", patients=360, size=256, seed=seed, quiet=True, force=True)
    if not (here / "classifier" / "config.json").exists():
        train_classifier(
            manifest, [ALDER.domain], TrainSettings.small(), seed=seed, quiet=True, folder=here / "classifier"
        )
    classifier = Classifier.load(here / "classifier")
    manifest = manifest.select(domains=[ALDER.domain, *sources])
    harmonizers = {"scanner": fitted(here / "scanner", manifest, classifier, None, seed)}
    for name, settings in networks.items():
        harmonizers[name] = fitted(here / name.replace(" ", "-"), manifest, classifier, settings, seed)
    evaluate(manifest, classifier, harmonizers=harmonizers, baselines=BASELINES, output=here / "evaluation", quiet=True)


def fitted(
    folder: Path, manifest: Manifest, classifier: Classifier, settings: GDCESettings | None, seed: int
) -> ToneCurveHarmonizer:
    """A harmonizer of all source scanners, and beside it the CPU seconds that it took."""
    if not (folder / "config.json").exists():
        began = time.process_time()
        sources = [domain for domain in SOURCES if domain in manifest.domains]
        harmonizer = ToneCurveHarmonizer(
            ALDER.domain, sources, method="gdce" if settings else "scanner", settings=settings
        )
        harmonizer.fit(manifest, classifier, labels="all" if settings else "none", seed=seed, folder=folder)
        (folder / "seconds.txt").write_text(f"{time.process_time() - began:.0f}\n", encoding="utf-8")
    return ToneCurveHarmonizer.load(folder)


def table(folder: Path) -> None:
    """Markdown: AUC with its interval and worst-group accuracy of every method, then how the networks were trained."""
    print("| seed | method | " + " | ".join(SOURCES) + " |")
    print("|---|---|" + "---|" * len(SOURCES))
    for here in sorted(folder.glob("seed-*")):
        if not (here / "evaluation" / "results.json").exists():
            continue
        rows = json.loads((here / "evaluation" / "results.json").read_text(encoding="utf-8"))["rows"]
        for method in dict.fromkeys(row["method"] for row in rows):
            cells = {row["domain"]: cell(row) for row in rows if row["method"] == method}
            print(f"| {here.name[5:]} | {method} | " + " | ".join(cells.get(d, "–") for d in SOURCES) + " |")
    print("\n| seed | network | scanner | epochs (rates) | kept | cross-entropy, validation | saturated | warnings |")
    print("|---|---|---|---|---|---|---|---|")
    for config in sorted(folder.glob("seed-*/*/config.json")):
        if config.parent.name in ("classifier", "scanner"):
            continue
        for domain, scanner in ToneCurveHarmonizer.load(config.parent).scanners.items():
            assert isinstance(scanner.report, NetworkReport)
            print(f"| {config.parts[-3][5:]} | {config.parent.name} | {domain} | {training(scanner.report)} |")


def cell(row: dict[str, Any]) -> str:
    """AUC [interval], worst-group accuracy."""
    low, high = row["auc_ci"]
    return f"{row['auc']:.2f} [{low:.2f}, {high:.2f}], {row['worst_group_accuracy']:.2f}"


def training(report: NetworkReport) -> str:
    """How a network was trained, in the columns of the second table."""
    epochs = report.epochs
    kept = next(row for row in epochs if row["kept"])
    rates = list(dict.fromkeys(row["learning_rate"] for row in epochs))
    said = ", ".join(f"{sum(row['learning_rate'] == rate for row in epochs)} ({rate:g})" for rate in rates)
    most = np.max([row["saturated"] for row in epochs])
    codes = ", ".join(warning.split()[0] for warning in report.warnings) or "–"
    loss = f"{epochs[0]['val_loss']:.2f} → {kept['val_loss']:.2f}"
    return f"{said} | {kept['epoch'] + 1:.0f} ({kept['learning_rate']:g}) | {loss} | {most:.2f} | {codes}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--sources", nargs="+", default=SOURCES, help="only these scanners, in a folder of their own")
    parser.add_argument("--all", action="store_true", help="every network, not only the quick preset's")
    parser.add_argument("--table", action="store_true", help="print, run nothing")
    options = parser.parse_args()
    for seed in () if options.table else options.seeds:
        run(options.folder, seed, NETWORKS if options.all else {"quick": NETWORKS["quick"]}, options.sources)
    table(options.folder)


if __name__ == "__main__":
    main()
