"""The whole story in a few minutes: phantom, classifier, harmonizers, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from isotone._runtime.files import run_folder
from isotone._version import __version__
from isotone.data.manifests.manifest import Manifest
from isotone.data.phantom.make_phantom import make_phantom
from isotone.data.phantom.scanners import ALDER, CEDAR, DOGWOOD
from isotone.errors import IsotoneError
from isotone.harmonizer.harmonizer import ToneCurveHarmonizer
from isotone.harmonizer.model_file import CONFIG
from isotone.harmonizer.pipeline import Method

if TYPE_CHECKING:
    from isotone.evaluation.results import Results
    from isotone.networks.classifier import Classifier

REFERENCE = ALDER.domain
SHOWN = {
    DOGWOOD.domain: "a low range from black: the paper's GDCE is made for it",
    CEDAR.domain: "a lifted black, which GDCE's curve (Eq. 1) cannot lower",
}
"""The source scanners of the demo, and what each is there for. Dogwood is like the paper's Senograph."""
FITS: dict[str, Method] = {"tone-curve": "scanner", "gdce": "gdce"}
"""The harmonizers of the demo: isotone's curve first, for the report is about the first."""
SAID = {"none": "untouched", "gdce": "by the paper's GDCE", "tone-curve": "by isotone's curve"}
PATIENTS = 360
SIZE = 256
BASELINES = ("full-range", "display-window", "z-score", "histogram-matching-all-pixels", "constant-curve")


def run_demo(
    output: str | Path,
    *,
    seed: int = 0,
    device: str = "cpu",
    workers: int = 1,
    force: bool = False,
    quiet: bool = False,
) -> Results:
    """Draw the phantom, train a classifier on one vendor, harmonize two others (`SHOWN`), and evaluate.

    The folder gets ``cohort/``, ``classifier/``, ``harmonizers/<name>/``, ``results.json`` and ``report.html``.
    Steps that an interrupted run has finished are not repeated.

    Raises
    ------
    UsageError
        The folder holds something else and `force` is not given.
    """
    import torch

    from isotone.evaluation.evaluate import evaluate

    # Sums in another order give another network: the figures of README and docs are the same on any number of cores.
    torch.set_num_threads(1)

    def stage(number: int, what: str) -> None:
        if not quiet:
            print(f"[{number}/{3 + len(FITS)}] {what}", flush=True)

    with run_folder(output, {"command": "demo", "seed": seed, "version": __version__}, force=force) as folder:
        stage(1, f"simulating mammograms of {PATIENTS} patients")
        manifest = make_phantom(
            folder / "cohort",
            patients=PATIENTS,
            size=SIZE,
            seed=seed,
            domains=[REFERENCE, *SHOWN],
            workers=workers,
            force=force,
            quiet=quiet,
        )
        stage(2, f"training a classifier on {REFERENCE}")
        classifier = _classifier(folder / "classifier", manifest, seed, device, workers, quiet)
        harmonizers = {}
        for number, (name, method) in enumerate(FITS.items(), 3):
            stage(number, f"fitting {name} for {' and '.join(SHOWN)}")
            harmonizers[name] = _harmonizer(
                folder / "harmonizers" / name, manifest, classifier, method, seed, device, workers, quiet
            )
        stage(3 + len(FITS), "classifying the test images before and after")
        return evaluate(
            manifest,
            classifier,
            harmonizers=harmonizers,
            baselines=BASELINES,
            output=folder,
            with_images=True,
            seed=seed,
            workers=workers,
            quiet=quiet,
        )


def ending(results: Results, report: Path) -> list[str]:
    """The five lines that the demo ends in: each scanner, the best plain alternative, the verdict, the report."""
    from isotone.evaluation.headline import headline

    return [
        *(_scanner(results, domain, why) for domain, why in SHOWN.items()),
        "The best of the plain methods, chosen by the same figures: "
        + "; ".join(_best_plain(results, domain) for domain in SHOWN)
        + ".",
        headline(results),
        str(report),
    ]


def _scanner(results: Results, domain: str, why: str) -> str:
    rows = {name: row for name in SAID if (row := results.row(domain, name)) is not None}
    auc = ", ".join(f"{_two(row.auc)} {SAID[name]}" for name, row in rows.items())
    weakest = " → ".join(_two(row.worst_group_accuracy) for row in rows.values())
    return f"{domain} ({why}): AUC {auc}; recall of the weakest class, in that order: {weakest}."


def _best_plain(results: Results, domain: str) -> str:
    from isotone.evaluation.headline import best_plain

    best = best_plain(results, domain)
    if best is None:
        return f"none on {domain}"
    return f"{best.method} on {domain}, AUC {_two(best.auc)}, weakest class {_two(best.worst_group_accuracy)}"


def _two(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"


def _classifier(folder: Path, manifest: Manifest, seed: int, device: str, workers: int, quiet: bool) -> Classifier:
    try:
        from isotone.networks.classifier import Classifier
        from isotone.networks.training.train import TrainSettings, train_classifier
    except ImportError:
        raise IsotoneError("E_EXTRA", "the demo trains networks, which needs torch") from None

    if not (folder / CONFIG).exists():
        train_classifier(
            manifest,
            [REFERENCE],
            TrainSettings.small(),
            seed=seed,
            device=device,
            workers=workers,
            quiet=quiet,
            folder=folder,
        )
    return Classifier.load(folder, device=device)


def _harmonizer(
    folder: Path,
    manifest: Manifest,
    classifier: Classifier,
    method: Method,
    seed: int,
    device: str,
    workers: int,
    quiet: bool,
) -> ToneCurveHarmonizer:
    if not (folder / CONFIG).exists():
        from isotone.networks.training.fit_gdce import GDCESettings

        settings = GDCESettings.quick() if method == "gdce" else None
        harmonizer = ToneCurveHarmonizer(REFERENCE, list(SHOWN), method=method, settings=settings)
        harmonizer.fit(manifest, classifier, seed=seed, device=device, workers=workers, quiet=quiet, folder=folder)
    return ToneCurveHarmonizer.load(folder)
