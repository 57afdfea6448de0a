"""From predictions to the numbers of the tables; nothing here is read from anywhere else."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone.evaluation.bootstrap import Counts, patient_weights
from isotone.evaluation.metric_table import Cell
from isotone.evaluation.metrics import macro_auc, precisions, recalls, worst_group_accuracy
from isotone.evaluation.proportions import steady_change, steady_share
from isotone.evaluation.resampled import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 1000
"""Resamples of patients behind an interval."""


def classes_of(rows: pd.DataFrame) -> list[str]:
    """The classes that these predictions are about, in order."""
    return [c.removeprefix("p_") for c in rows.columns if c.startswith("p_") and rows[c].notna().any()]


def unpack(rows: pd.DataFrame) -> tuple[Ints, Floats]:
    """Labels as numbers, shape (n,), and probabilities, shape (n, C)."""
    classes = classes_of(rows)
    labels = rows["label"].map({name: k for k, name in enumerate(classes)}).to_numpy(np.int64)
    return np.asarray(labels), np.asarray(rows[[f"p_{name}" for name in classes]], np.float64)


def matrix(rows: pd.DataFrame) -> Floats:
    """Confusion matrix over all folds, shape (C, C): rows are labels, columns predictions."""
    return np.asarray(sum(cell.matrices[0] for cell in _folds(rows, _once(rows))))


def measured(rows: pd.DataFrame, counts: Counts | None = None) -> dict[str, Floats]:
    """Every metric of a method in a domain, each of shape (1 + draws,).

    AUC and precision are means over the folds, as in the paper; recall and what follows from it are of all folds'
    predictions together, which is the mean where all folds score one test set, and the only sound way where each
    scores a few images of its own. With more than two classes precision and recall are means over the classes
    present.

    Parameters
    ----------
    rows : DataFrame
        Predictions of one method, columns as `methods.predict` gives them.
    counts : array of shape (1 + draws, n), optional
        How often each row counts; without, once.
    """
    folds = _folds(rows, _once(rows) if counts is None else counts)
    total = np.sum([cell.matrices for cell in folds], axis=0)
    two = len(folds[0].classes) == 2

    def of_class(shares: Floats) -> Floats:
        return shares[:, 1] if two else _mean(shares, 1)

    recall = recalls(total)
    found = {
        "auc": _mean(np.stack([macro_auc(cell.labels, cell.probabilities, cell.weights) for cell in folds]), 0),
        "worst_group_accuracy": worst_group_accuracy(total),
        "precision": _mean(np.stack([of_class(precisions(cell.matrices)) for cell in folds]), 0),
        "recall": of_class(recall),
    }
    if two:
        found |= {"specificity": recall[:, 0], "called_positive": total[:, :, 1].sum(1) / total.sum((1, 2))}
    return found


def _folds(rows: pd.DataFrame, counts: Counts) -> list[Cell]:
    labels, probabilities = unpack(rows)
    classes, patients = tuple(classes_of(rows)), pd.factorize(rows["patient"])[0].astype(np.int64)
    folds = [(rows["fold"] == fold).to_numpy() for fold in rows["fold"].unique()]
    return [Cell(classes, labels[k], probabilities[k], patients[k], counts[:, k], {}) for k in folds]


def _once(rows: pd.DataFrame) -> Counts:
    return np.ones((1, len(rows)), np.uint16)


def _resampled(rows: pd.DataFrame, seed: int) -> Counts:
    return np.concatenate([_once(rows), patient_weights(rows["patient"].tolist(), draws=DRAWS, seed=seed)])


def summary(rows: pd.DataFrame, *, intervals: bool, seed: int) -> dict[str, float | None]:
    """Each metric and, with `intervals`, the ends of its 95 % interval (``_low``, ``_high``), patients resampled."""
    found = measured(rows, _resampled(rows, seed) if intervals else None)
    steady = partial(steady_share, patients=_fewest(rows))
    estimates = {name: Estimate(values, rows["patient"].nunique(), steady) for name, values in found.items()}
    return _columns(estimates, intervals)


def difference(
    rows: pd.DataFrame, base: pd.DataFrame, metric: str, *, intervals: bool, seed: int
) -> dict[str, float | None]:
    """How much better a method is than another on the same images, with the ends of its interval; {} where the two
    do not have the same images.
    """
    first, second = (r.sort_values(["fold", "image"]).reset_index(drop=True) for r in (rows, base))
    if not first[["fold", "image"]].equals(second[["fold", "image"]]):
        return {}
    counts = _resampled(first, seed) if intervals else None
    gap = Estimate(
        measured(first, counts)[metric] - measured(second, counts)[metric],
        first["patient"].nunique(),
        partial(steady_change, patients=_fewest(rows)),
        certain=np.array_equal(unpack(first)[1], unpack(second)[1]),
    )
    return _columns({f"{metric}_difference": gap}, intervals)


def _columns(estimates: Mapping[str, Estimate], intervals: bool) -> dict[str, float | None]:
    found = {name: estimate.point for name, estimate in estimates.items()}
    for name, estimate in estimates.items() if intervals else ():
        found[f"{name}_low"], found[f"{name}_high"] = estimate.ci or (None, None)
    return found


def recall_at(rows: pd.DataFrame, specificity: float) -> float | None:
    """Recall where the threshold is moved until the specificity is this one: mean over the folds.

    A method that merely calls more images positive gains recall and not this.
    """
    labels, probabilities = unpack(rows)
    found = []
    for fold in rows["fold"].unique():
        of_fold = (rows["fold"] == fold).to_numpy()
        positive, scores = labels[of_fold] == 1, probabilities[of_fold, 1]
        if positive.any() and not positive.all():
            threshold = np.quantile(scores[~positive], specificity)
            found.append(float((scores[positive] > threshold).mean()))
    return float(np.mean(found)) if found else None


def by_projection(rows: pd.DataFrame) -> pd.DataFrame:
    """The rule that says positive where the projection is AP, and looks at nothing else."""
    negative, positive = (f"p_{name}" for name in classes_of(rows))
    ap = (rows["view"] == "AP").astype(float)
    return rows.assign(method="rule: AP means positive", **{negative: 1 - ap, positive: ap})


def _fewest(rows: pd.DataFrame) -> int:
    """Patients of the smallest class."""
    return int(rows.groupby("label")["patient"].nunique().min())


def _mean(values: Floats, axis: int) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN has the mean NaN
        return np.asarray(np.nanmean(values, axis=axis))
