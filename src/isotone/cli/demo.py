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
from isotone.harmonizer.pipeline import Labels, Method

if TYPE_CHECKING:
    from isotone.evaluation.results import Results
    from isotone.networks.classifier import Classifier

REFERENCE = ALDER.domain
SHOWN = {
    DOGWOOD.domain: "a low range from black, after the paper's Senograph: its network, GDCE, is made for it",
    CEDAR.domain: "a lifted black: GDCE's curve (Eq. 1) keeps black where it is, so GDCE cannot mend it",
}
"""The source scanners of the demo, and what each is there for."""
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
    from isotone.evaluation.evaluate import evaluate

    with run_folder(output, {"command": "demo", "seed": seed, "version": __version__}, force=force) as folder:
        manifest = make_phantom(
            folder / "cohort", patients=PATIENTS, size=SIZE, seed=seed, workers=workers, force=force, quiet=quiet
        )
        manifest = manifest.select(domains=[REFERENCE, *SHOWN])
        classifier = _classifier(folder / "classifier", manifest, seed, device, workers, quiet)
        fits: dict[str, tuple[Method, Labels]] = {
            "scanner": ("scanner", "all"),
            "scanner-without-labels": ("scanner", "none"),
            "gdce": ("gdce", "all"),
        }
        harmonizers = {
            name: _harmonizer(
                folder / "harmonizers" / name, manifest, classifier, method, labels, seed, device, workers, quiet
            )
            for name, (method, labels) in fits.items()
        }
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
    labels: Labels,
    seed: int,
    device: str,
    workers: int,
    quiet: bool,
) -> ToneCurveHarmonizer:
    if not (folder / CONFIG).exists():
        from isotone.networks.training.fit_gdce import GDCESettings

        settings = GDCESettings.quick() if method == "gdce" else None
        harmonizer = ToneCurveHarmonizer(REFERENCE, list(SHOWN), method=method, settings=settings)
        harmonizer.fit(
            manifest, classifier, labels=labels, seed=seed, device=device, workers=workers, quiet=quiet, folder=folder
        )
    return ToneCurveHarmonizer.load(folder)
