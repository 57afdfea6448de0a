"""Does the shift hurt, does the curve help, does it harm?"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Unpack

from isotone._runtime.run_options import RunKeywords, RunOptions
from isotone._version import __version__
from isotone.baselines.adapted_classifier import ADAPTATIONS, adapt_classifiers
from isotone.baselines.fit import baseline_names, fit_baselines
from isotone.data.manifests.manifest import Manifest
from isotone.data.splits import with_splits
from isotone.data.trained_on import VALIDATION
from isotone.errors import IsotoneError, ModelError, UsageError
from isotone.evaluation.cautions import cautions, fit_notes
from isotone.evaluation.notes import notes_of
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
    **options: Unpack[RunKeywords],
) -> Results:
    """Score the rows of split test of every domain, by the frozen classifier after each method.

    Parameters
    ----------
    manifest : Manifest
        Rows without a label are left out; without a column `split`, patients are dealt into folds. A column
        `oracle_path` adds the method "oracle" and the recovered shares.
    classifier : Classifier
        Its `config.reference_domains` are the reference; where it stores none, those of the harmonizers are. Test
        images that it was trained on, by its record (`trained_on`), are left out; without a record the results say
        W_NO_RECORD.
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
    **options
        The fields of `isotone._runtime.run_options.RunOptions`: `seed`, `workers`, `quiet`, `on_refusal`.

    Raises
    ------
    UsageError
        Nothing to evaluate on, no reference, labels that are no classes, or two methods of one name.
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
    run = RunOptions(**options)
    names = baseline_names(baselines)
    _refuse_names([*harmonizers, *names])
    classifier = _with_reference(classifier, harmonizers.values())
    # After the split, which may depend on the names: those of the classifier go before those of harmonizers.
    manifest = with_splits(manifest).called(classifier.config.reference_domains, workers=run.workers)
    for harmonizer in harmonizers.values():
        if hasattr(harmonizer, "known"):
            manifest = manifest.called(harmonizer.known, workers=run.workers)
    methods, own, notes = _methods(names, harmonizers, manifest, classifier, run)
    tested = manifest.select(splits=["test"], labelled=True)
    material = gather(tested, classifier, methods, classifiers=own, run=run)
    refuse_nothing(material)
    results = _judge(manifest, classifier, material, run)
    if refit:
        unseen = Manifest(manifest.table[~manifest.table["path"].isin([str(row.path) for row in material.left_out])])
        results.leakage, results.learning, failed = refit_checks(unseen, classifier, harmonizers, run=run)
        notes += failed
    results.notes = [*notes, *notes_of(results, material, methods, manifest)]
    results.fits = fit_notes(harmonizers)
    results.cautions = cautions(results)
    results.provenance.harmonizers = _digests(harmonizers)
    write_run(results, material.scores, Path(output), material.paths() if with_paths else None)
    shown: dict[str, Any] = {"material": material, "methods": methods}
    write_report(results, Path(output), **shown, with_images=with_images, workers=run.workers)
    return results


def write_run(results: Results, scores: Scores, folder: Path, paths: Iterable[tuple[str, str | Path]] | None) -> None:
    """Write ``results.json``, ``scores.csv`` and, unless `paths` is None, ``paths.csv``."""
    scores.write(folder / "scores.csv")
    results.write(folder / "results.json")
    write_paths(folder, paths)


def _with_reference(classifier: Any, harmonizers: Iterable[Any]) -> Any:
    """The classifier with a reference: its own, or that of the harmonizers."""
    if classifier.config.reference_domains:
        return classifier
    fitted = dict.fromkeys(name for h in harmonizers for name in getattr(h, "reference_domains", ()))
    if not fitted:
        raise UsageError(
            "the classifier does not say what its reference is", next_step="Name it with reference_domains=."
        )
    return classifier.with_reference(tuple(fitted))


def _methods(
    names: Sequence[str], harmonizers: Mapping[str, Any], manifest: Manifest, classifier: Any, run: RunOptions
) -> tuple[dict[str, Transform], dict[str, dict[str, Any]], list[str]]:
    """Every method by name, the classifiers of those that have their own, and what could not be fitted."""
    how: dict[str, Any] = {"workers": run.workers, "quiet": run.quiet}
    plain, adaptations = ([n for n in names if (n in ADAPTATIONS) is k] for k in (False, True))
    fitted, notes = fit_baselines(plain, manifest, classifier.config.reference_domains, **how)
    own, more = adapt_classifiers(adaptations, manifest, classifier, seed=run.seed, **how)
    return {**fitted, **{name: Unchanged() for name in own}, **harmonizers}, own, [*notes, *more]


def _judge(manifest: Manifest, classifier: Any, material: Material, run: RunOptions) -> Results:
    """All metrics, those included that need more than scores."""
    reference = tuple(classifier.config.reference_domains)
    training = Training.of(classifier)
    training.add("test", material.left_out, material.scores.domain, reference)
    results = compare_methods(
        material.scores, reference, _thresholds(manifest, classifier, training, run), seed=run.seed
    )
    results.training = training
    add_distances(material, results.rows, reference, seed=run.seed)
    add_label_probes(material, results.rows, seed=run.seed)
    results.grey_statistics_auc = grey_statistics_auc(material, seed=run.seed)
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


def _thresholds(manifest: Manifest, classifier: Any, training: Training, run: RunOptions) -> dict[str, float | None]:
    reference = list(classifier.config.reference_domains)
    try:
        rows = manifest.select(domains=reference, splits=["val"], labelled=True)
        found = gather(rows, classifier, {}, roles=VALIDATION, run=replace(run, on_refusal=None))
    except IsotoneError:
        return {}  # no reference validation rows: nothing to freeze a threshold on
    training.add("validation", found.left_out, found.scores.domain, reference)
    return frozen_thresholds(found.scores)


def _digests(harmonizers: Mapping[str, Any]) -> dict[str, str]:
    digests = {}
    for name, harmonizer in harmonizers.items():
        with suppress(AttributeError, ModelError):  # other people's methods, and networks never saved, have none
            digests[name] = str(harmonizer.digest)
    return digests


def _versions() -> dict[str, str]:
    found = {}
    for name in LIBRARIES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _fingerprint(scores: Scores) -> str:
    lines = sorted(
        f"{domain}|{scores.classes[label]}|{image}"
        for domain, label, image in zip(scores.domain, scores.label, scores.image, strict=True)
    )
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
