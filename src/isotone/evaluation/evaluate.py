"""Does the shift hurt, does the curve help, does it harm?"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from isotone._version import __version__
from isotone.baselines.adapted_classifier import ADAPTATIONS, adapt_classifiers
from isotone.baselines.fit import baseline_names, fit_baselines
from isotone.data.manifests.manifest import Manifest
from isotone.data.splits import with_splits
from isotone.data.trained_on import VALIDATION
from isotone.errors import IsotoneError, ModelError, UsageError
from isotone.evaluation.cautions import cautions, fit_notes
from isotone.evaluation.observations import (
    Material,
    add_distances,
    add_label_probes,
    gather,
    grey_statistics_auc,
    refuse_nothing,
)
from isotone.evaluation.path_table import write_paths
from isotone.evaluation.predict import Transform, Unchanged
from isotone.evaluation.refit import refit_checks
from isotone.evaluation.report import write_report
from isotone.evaluation.result_rows import Comparison, frozen_thresholds
from isotone.evaluation.results import Provenance, Results
from isotone.evaluation.scores import NONE, ORACLE, Scores
from isotone.evaluation.training_overlap import Training

LIBRARIES = ("numpy", "scipy", "scikit-learn", "scikit-image", "torch", "pydicom")


def evaluate(
    manifest: Manifest,
    classifier: Any,
    *,
    harmonizers: Mapping[str, Any],
    baselines: Sequence[str] = (),
    output: str | Path,
    with_images: bool = False,
    with_paths: bool = False,
    refit: bool = False,
    seed: int = 0,
    workers: int = 1,
    quiet: bool = False,
    on_refusal: Callable[[IsotoneError], None] | None = None,
) -> Results:
    """Score the rows of split test of every domain, by the frozen classifier after each method.

    Parameters
    ----------
    manifest : Manifest
        Rows without a label are left out; without a column `split`, patients are dealt into folds. A column
        `oracle_path` adds the method "oracle" and the recovered shares.
    classifier : Classifier
        Its `config.reference_domains` are the reference. Test images that it was trained on, by its record
        (`trained_on`), are left out; without a record the results say W_NO_RECORD.
    harmonizers : mapping of name to object with ``transform(radiograph)``
        An image that one refuses keeps its untouched score: all methods are judged on the same images.
    baselines : sequence of str
        Names of `isotone.baselines.by_name.BASELINES` or `ADAPTATIONS`, or "all"; fitted on train (and val) rows.
    output : path
        Gets ``results.json``, ``scores.csv``, ``report.html`` and ``figures/``.
    with_images : bool
        Show a handful of images in the report; they may identify a patient.
    with_paths : bool
        Write ``paths.csv`` too: which image of the report and of ``scores.csv`` lies where. It names files.
    refit : bool
        Fit the harmonizers again, with shuffled labels and on fewer images (`isotone.evaluation.refit`).
    seed : int
        Of resamples, folds and the choice of images.
    workers : int
        Processes that read images; 0: this one.
    quiet : bool
        No progress bar.
    on_refusal : callable, optional
        Gets the error of each image that could not be read; the results have its code alone.

    Raises
    ------
    UsageError
        Nothing to evaluate on, labels that are no classes, or two methods of one name.
    IsotoneError
        No image could be read, the classifier was trained on all of them, or a score is not finite.

    Examples
    --------
    >>> import isotone
    >>> manifest = isotone.Manifest.read("phantom/manifest.csv")
    >>> classifier = isotone.Classifier.load("classifier")
    >>> harmonizer = isotone.ToneCurveHarmonizer.load("harmonizer")
    >>> methods = {"scanner": harmonizer}
    >>> results = isotone.evaluate(manifest, classifier, harmonizers=methods, output="results", quiet=True)
    >>> [row.method for row in results.rows if row.domain == "Birch Mammo Two"]
    ['none', 'scanner', 'oracle']
    """
    names = baseline_names(baselines)
    run: dict[str, Any] = {"workers": workers, "quiet": quiet}
    _refuse_names([*harmonizers, *names])
    # After the split, which may depend on the names: those of the classifier go before those of harmonizers.
    manifest = with_splits(manifest).called(classifier.config.reference_domains, workers=workers)
    for harmonizer in harmonizers.values():
        manifest = manifest.called(harmonizer.known, workers=workers) if hasattr(harmonizer, "known") else manifest
    methods, own, notes = _methods(names, harmonizers, manifest, classifier, seed, run)
    tested = manifest.select(splits=["test"], labelled=True)
    material = gather(tested, classifier, methods, classifiers=own, seed=seed, on_refusal=on_refusal, **run)
    refuse_nothing(material)
    results = _judge(manifest, classifier, material, seed, run)
    if refit:
        unseen = Manifest(manifest.table[~manifest.table["path"].isin([str(row.path) for row in material.left_out])])
        results.leakage, results.learning, failed = refit_checks(unseen, classifier, harmonizers, seed=seed, **run)
        notes += failed
    results.notes = [*notes, *_notes(manifest, tested, material, results, methods)]
    results.fits = fit_notes(harmonizers)
    results.cautions = cautions(results)
    results.provenance.harmonizers = _digests(harmonizers)
    material.scores.write(Path(output) / "scores.csv")
    results.write(Path(output) / "results.json")
    write_paths(Path(output), material.paths() if with_paths else None)
    write_report(results, Path(output), material=material, methods=methods, with_images=with_images, workers=workers)
    return results


def _methods(
    names: Sequence[str],
    harmonizers: Mapping[str, Any],
    manifest: Manifest,
    classifier: Any,
    seed: int,
    run: Mapping[str, Any],
) -> tuple[dict[str, Transform], dict[str, dict[str, Any]], list[str]]:
    """Every method by name, the classifiers of those that have their own, and what could not be fitted."""
    plain, adaptations = ([n for n in names if (n in ADAPTATIONS) is k] for k in (False, True))
    fitted, notes = fit_baselines(plain, manifest, classifier.config.reference_domains, **run)
    own, more = adapt_classifiers(adaptations, manifest, classifier, seed=seed, **run)
    return {**fitted, **{name: Unchanged() for name in own}, **harmonizers}, own, [*notes, *more]


def _judge(manifest: Manifest, classifier: Any, material: Material, seed: int, run: Mapping[str, Any]) -> Results:
    """All metrics, those included that need more than scores."""
    reference = tuple(classifier.config.reference_domains)
    training = Training.of(classifier)
    training.add("test", [row.domain or "" for row in material.left_out], material.scores.domain, reference)
    results = compare_methods(material.scores, reference, _thresholds(manifest, classifier, training, run), seed=seed)
    results.training = training
    add_distances(material, results.rows, reference, seed=seed)
    add_label_probes(material, results.rows, seed=seed)
    results.grey_statistics_auc = grey_statistics_auc(material, seed=seed)
    results.refused = material.refused
    results.provenance.classifier = getattr(classifier.config, "sha256", "") or None
    return results


def compare_methods(
    scores: Scores, reference_domains: Sequence[str], thresholds: dict[str, float | None], *, seed: int = 0
) -> Results:
    """All that scores alone can say.

    Parameters
    ----------
    scores : Scores
    reference_domains : sequence of str
    thresholds : dict of class to float or None
        As `frozen_thresholds` gives them.
    seed : int
    """
    comparison = Comparison(scores, reference_domains, thresholds, seed=seed)
    rows = comparison.rows()
    return Results(
        schema=1,
        classes=list(scores.classes),
        reference_domains=list(reference_domains),
        rows=rows,
        shifts=comparison.shifts(),
        summary=comparison.summary(rows),
        by_view=comparison.by_view(),
        thresholds=thresholds,
        provenance=Provenance(
            isotone=__version__,
            python=platform.python_version(),
            libraries=_versions(),
            seed=seed,
            manifest=_fingerprint(scores),
        ),
    )


def _refuse_names(names: Sequence[str]) -> None:
    for name in names:
        if name in (NONE, ORACLE) or names.count(name) > 1:
            raise UsageError(f"two methods are called {name!r}", next_step="Rename the harmonizer's folder.")


def _thresholds(
    manifest: Manifest, classifier: Any, training: Training, run: Mapping[str, Any]
) -> dict[str, float | None]:
    reference = list(classifier.config.reference_domains)
    try:
        rows = manifest.select(domains=reference, splits=["val"], labelled=True)
        found = gather(rows, classifier, {}, roles=VALIDATION, **run)
    except IsotoneError:
        return {}  # no reference validation rows: nothing to freeze a threshold on
    training.add("validation", [row.domain or "" for row in found.left_out], found.scores.domain, reference)
    return frozen_thresholds(found.scores)


def _notes(
    manifest: Manifest, tested: Manifest, material: Material, results: Results, methods: Mapping[str, Transform]
) -> list[str]:
    """What a reader would otherwise miss."""
    notes = []
    everything = manifest.select(splits=["test"])
    if len(everything) > len(tested):
        notes.append(f"{len(everything) - len(tested)} test rows have no label and are left out.")
    if material.refused:
        notes.append(f"{len(material.refused)} images could not be read and are left out for every method.")
    for domain in results.reference_domains:
        left_out = {row.domain for row in material.left_out}  # said already, with the reason
        if domain not in {*material.scores.domains, *left_out}:
            notes.append(f"The manifest has no test row of the reference domain {domain}.")
    notes += _refusals(material, results, methods)
    if not results.thresholds:
        notes.append("No threshold was frozen: the reference has no labelled validation rows.")
    for domain in material.scores.domains:
        row = results.row(domain, NONE)
        absent = [c for c, value in (row.accuracy_per_class if row else {}).items() if value is None]
        if absent:
            notes.append(f"{domain} has no test image of {', '.join(absent)}.")
        if row and row.auc_ci is None:
            notes.append(f"{domain} has too few patients for an interval of the AUC ({row.patients}).")
    return notes


def _refusals(material: Material, results: Results, methods: Mapping[str, Transform]) -> list[str]:
    """What each method refused, by domain: all images, or some."""
    notes = []
    for name in methods:
        # An adapted classifier is none of the reference's, which keeps its own.
        for domain in material.scores.domains:
            if name in ADAPTATIONS and domain in results.reference_domains:
                continue
            inside = np.flatnonzero(material.scores.domain == domain)
            codes = [code for i in inside if (code := material.images[i].refused.get(name))]
            kinds = f" ({', '.join(sorted(set(codes)))})" if codes else ""
            if results.row(domain, name) is None:
                notes.append(f"{name} has nothing for {domain}{kinds}.")
            elif codes:
                notes.append(
                    f"{name} refused {len(codes)} of {len(inside)} images of {domain}{kinds}: they keep their "
                    "untouched score, so that all methods are judged on the same images."
                )
    return notes


def _digests(harmonizers: Mapping[str, Any]) -> dict[str, str]:
    digests = {}
    for name, harmonizer in harmonizers.items():
        try:
            digests[name] = str(harmonizer.digest)
        except (AttributeError, ModelError):
            continue  # other people's methods, and networks never saved, have none
    return digests


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _fingerprint(scores: Scores) -> str:
    lines = sorted(
        f"{domain}|{scores.classes[label]}|{image}"
        for domain, label, image in zip(scores.domain, scores.label, scores.image, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
