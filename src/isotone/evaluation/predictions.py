"""Evaluation where only scores are at hand: a vendor's black box, or somebody else's pipeline."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from isotone.data.manifest import Manifest
from isotone.data.splits import with_splits
from isotone.errors import UsageError
from isotone.evaluation.cautions import cautions
from isotone.evaluation.evaluate import compare_methods
from isotone.evaluation.report import write_report
from isotone.evaluation.results import Results
from isotone.evaluation.rows import frozen_thresholds
from isotone.evaluation.scores import NONE, Floats, Scores, label_indices, probabilities_of, read_table
from isotone.evaluation.training import Training


def evaluate_predictions(
    manifest: Manifest,
    predictions: str | Path,
    reference_domains: Sequence[str],
    *,
    output: str | Path,
    seed: int = 0,
) -> Results:
    """Metrics, intervals and report from a table of scores in place of a network.

    Parameters
    ----------
    manifest : Manifest
        Domain, label, patient and split of each image.
    predictions : path
        CSV with the columns `path` (absolute, or relative to this file, as a manifest has it), one per class with
        its probability, and optionally `method`, of which "none" is the untouched image (without it, all are).
    reference_domains : sequence of str
    output : path
        Gets ``results.json``, ``scores.csv``, ``report.html`` and ``figures/``.
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
    manifest = with_splits(manifest)
    if not reference_domains:
        raise UsageError("scores do not say what their reference is", next_step="Name it with --reference.")
    manifest.select(domains=list(reference_domains))
    table = read_table(source)
    if "path" not in table:
        raise UsageError("the scores have no column 'path'", code="E_MANIFEST", file=source)
    table = table.assign(path=[str((source.parent / p).absolute()) for p in table["path"]])
    if "method" not in table:
        table["method"] = NONE
    if table.duplicated(["path", "method"]).any():
        raise UsageError("an image has two scores by one method", code="E_MANIFEST", file=source)
    scores = _aligned(manifest.select(splits=["test"], labelled=True), table, source)
    results = compare_methods(
        scores, reference_domains, _thresholds(manifest, table, reference_domains, source), seed=seed
    )
    results.training = Training(recorded=False)
    results.notes = ["Only scores were given: distances, curves and images are not shown."]
    for row in results.rows:
        if row.refused:
            results.notes.append(f"{row.refused} test images of {row.domain} have no score by {row.method}.")
    results.cautions = cautions(results)
    folder = Path(output)
    scores.write(folder / "scores.csv")
    results.write(folder / "results.json")
    write_report(results, folder)
    return results


def _aligned(manifest: Manifest, table: pd.DataFrame, source: Path) -> Scores:
    """The scores of a manifest's rows."""
    classes = [c for c in table.columns if c not in ("path", "method")]
    rows = manifest.table
    if rows["domain"].isna().any():
        raise UsageError("a test row names no domain", code="E_MANIFEST")
    paths = [str(Path(p).absolute()) for p in rows["path"]]
    probabilities: dict[str, Floats] = {}
    for method, part in table.groupby("method", sort=False):
        given = pd.Index(part["path"]).get_indexer(pd.Index(paths))
        found = np.full((len(rows), len(classes)), np.nan)
        found[given >= 0] = probabilities_of(part, classes, source)[given[given >= 0]]
        probabilities[str(method)] = found
    if NONE not in probabilities or np.isnan(probabilities[NONE]).all():
        raise UsageError(
            "no test row has a score by method 'none'",
            code="E_MANIFEST",
            file=source,
            next_step="Paths are absolute, or relative to this file.",
        )
    return Scores(
        classes=tuple(classes),
        image=np.array([hashlib.sha256(p.encode()).hexdigest()[:16] for p in paths]),
        patient=pd.factorize(rows["patient_id"].fillna("row " + rows["path"]))[0].astype(np.int64),
        domain=rows["domain"].to_numpy(str),
        view=rows["view"].fillna("").to_numpy(str) if "view" in rows else np.full(len(rows), ""),
        label=label_indices(rows["label"], classes, source),
        probabilities=probabilities,
    )


def _thresholds(
    manifest: Manifest, table: pd.DataFrame, reference_domains: Sequence[str], source: Path
) -> dict[str, float | None]:
    try:
        rows = manifest.select(domains=list(reference_domains), splits=["val"], labelled=True)
        return frozen_thresholds(_aligned(rows, table, source))
    except UsageError:
        return {}  # no validation scores of the reference: nothing to freeze a threshold on
