"""Evaluation where only scores are at hand: a vendor's black box, or somebody else's pipeline."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone.data.manifests.manifest import Manifest
from isotone.data.splits import with_splits
from isotone.errors import UsageError
from isotone.evaluation.cautions import cautions
from isotone.evaluation.evaluate import compare_methods, write_run
from isotone.evaluation.prediction_table import Predictions, read_predictions
from isotone.evaluation.report import write_report
from isotone.evaluation.result_rows import frozen_thresholds
from isotone.evaluation.results import Results
from isotone.evaluation.scores import NONE, Floats, Scores, aligned, label_indices, named
from isotone.evaluation.training_overlap import Training


def evaluate_predictions(
    manifest: Manifest,
    predictions: str | Path,
    reference_domains: Sequence[str],
    *,
    output: str | Path,
    with_paths: bool = False,
    seed: int = 0,
) -> Results:
    """Metrics, intervals and report from a table of scores in place of a network.

    Parameters
    ----------
    manifest : Manifest
        Domain, label, patient and split of each image.
    predictions : path
        Table with the columns `path` (absolute, or relative to this file, as a manifest has it), one per class with
        its probability, and optionally `method`, of which "none" is the untouched image (without it, all are). An
        image without a score by a method keeps its untouched one; without that, it is left out for every method.
    reference_domains : sequence of str
    output : path
        Gets ``results.json``, ``scores.csv``, ``report.html`` and ``figures/``.
    with_paths : bool
        Write ``paths.csv`` too: which image of ``scores.csv`` lies where.
    seed : int

    Returns
    -------
    Results
        Without distances, curves and grey statistics, which need images.

    Raises
    ------
    UsageError
        Not such a table, a score that is no probability, a label that is no column, no score of the test rows, two
        scores of one image by one method, or a reference domain that the manifest lacks.
    """
    source = Path(predictions)
    manifest = with_splits(manifest).called(reference_domains)
    if not reference_domains:
        raise UsageError("scores do not say what their reference is", next_step="Name it with reference_domains=.")
    manifest.select(domains=list(reference_domains))
    tested = manifest.select(splits=["test"], labelled=True)
    given = read_predictions(source, set(tested.table["label"]))
    scores, paths, notes = _aligned(tested, given, source)
    thresholds = _thresholds(manifest, given, reference_domains, source)
    results = compare_methods(scores, reference_domains, thresholds, seed=seed)
    results.training = Training(recorded=False)
    results.notes = ["Only scores were given: distances, curves and images are not shown.", *notes]
    results.notes += _notes(manifest, given, results)
    results.cautions = [*_not_adding_up(given), *cautions(results)]
    write_run(results, scores, Path(output), zip(scores.image, paths, strict=True) if with_paths else None)
    write_report(results, Path(output))
    return results


def _aligned(manifest: Manifest, given: Predictions, source: Path) -> tuple[Scores, list[str], list[str]]:
    """The scores of a manifest's rows, their paths, and what was left out."""
    rows = manifest.table
    if rows["domain"].isna().any():
        raise UsageError("a test row names no domain", code="E_MANIFEST")
    paths = [os.path.abspath(p) for p in rows["path"]]
    probabilities: dict[str, Floats] = {}
    for method in dict.fromkeys(given.method.tolist()):
        mine = given.method == method
        probabilities[method] = aligned(pd.Index(paths), pd.Index(given.path[mine]), given.scores[mine])
    nothing = np.full((len(rows), 1), np.nan)
    scored: NDArray[np.bool_] = np.asarray(~np.isnan(probabilities.get(NONE, nothing)).any(axis=1))
    if not scored.any():
        raise UsageError(
            f"no test row has a score by method 'none' (methods: {named(probabilities)})",
            code="E_MANIFEST",
            file=source,
            next_step="Give the untouched images' scores; paths are absolute, or relative to this file.",
        )
    notes = [
        f"{n} of {len(part)} test images of {domain} have no score by none and are left out for every method."
        for domain, part in pd.Series(scored).groupby(rows["domain"].to_numpy(str))
        if (n := int((~part).sum()))
    ]
    kept, paths = rows[scored], [p for p, there in zip(paths, scored, strict=True) if there]
    scores = Scores(
        classes=given.classes,
        image=np.array([hashlib.sha256(os.fsencode(p)).hexdigest()[:16] for p in paths]),
        patient=pd.factorize(kept["patient_id"].fillna("row " + kept["path"]))[0].astype(np.int64),
        domain=kept["domain"].to_numpy(str),
        view=kept["view"].fillna("").to_numpy(str) if "view" in kept else np.full(len(kept), ""),
        label=label_indices(kept["label"], given.classes, source),
        probabilities={method: table[scored] for method, table in probabilities.items()},
    )
    return scores, paths, notes


def _notes(manifest: Manifest, given: Predictions, results: Results) -> list[str]:
    """What of the two tables was not used, or read as something that it may not be."""
    notes = [
        f"{r.refused} of {r.n} test images of {r.domain} have no score by {r.method}: they keep their untouched "
        "score, so that all methods are judged on the same images."
        for r in results.rows
        if r.refused
    ]
    strange = len(given.path) - int(np.isin(given.path, [os.path.abspath(p) for p in manifest.table["path"]]).sum())
    if strange:
        notes.append(f"{strange} rows of the scores name no image of the manifest and were not used.")
    if given.ignored:
        notes.append(f"Columns of the scores that were not read: {named(given.ignored)}.")
    empty = [c for c in given.classes if c not in set(manifest.table["label"].dropna())]
    if empty:
        notes.append(f"Columns read as classes, though no image of the manifest has that label: {named(empty)}.")
    return notes


def _not_adding_up(given: Predictions) -> list[str]:
    wrong = given.not_adding_up
    if not wrong:
        return []
    return [
        f"W_SUM {wrong} of {len(given.path)} rows of scores do not add up to 1 (columns {named(given.classes)}): if "
        "all are classes, Brier score and calibration error still mean little."
    ]


def _thresholds(
    manifest: Manifest, given: Predictions, reference_domains: Sequence[str], source: Path
) -> dict[str, float | None]:
    try:
        rows = manifest.select(domains=list(reference_domains), splits=["val"], labelled=True)
        return frozen_thresholds(_aligned(rows, given, source)[0])
    except UsageError:
        return {}  # no validation scores of the reference: nothing to freeze a threshold on
