"""From predictions to the numbers of the tables; nothing here is read from anywhere else."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from isotone.evaluation.bootstrap import interval, patient_weights
from isotone.evaluation.metrics import confusion, macro_auc, precisions, recalls, worst_group_accuracy
from isotone.evaluation.proportions import steady_change, steady_share
from isotone.evaluation.resampled import known

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DRAWS = 1000
"""Resamples of patients behind an interval."""
SHARED = ("auc", "worst_group_accuracy", "precision", "recall")
BINARY = ("specificity", "called_positive")


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
    labels, probabilities = unpack(rows)
    return np.asarray(confusion(labels, probabilities.argmax(1), probabilities.shape[1])[0])


def measured(rows: pd.DataFrame, weights: NDArray[np.generic] | None = None) -> dict[str, Floats]:
    """Every metric of a method in a domain, each of shape (draws,).

    AUC and precision are means over the folds, as in the paper; recall and what follows from it are of all folds'
    predictions together, which is the mean where all folds score one test set, and the only sound way where each
    scores a few images of its own. With more than two classes precision and recall are means over the classes
    present.

    Parameters
    ----------
    rows : DataFrame
        Predictions of one method, columns as `methods.predict` gives them.
    weights : array of shape (draws, n), optional
        How often each row counts.
    """
    labels, probabilities = unpack(rows)
    predicted, count = probabilities.argmax(1), probabilities.shape[1]
    w = np.ones((1, len(rows))) if weights is None else weights.astype(np.float64)
    aucs, precision, total = [], [], np.zeros((len(w), count, count))
    for fold in rows["fold"].unique():
        of_fold = (rows["fold"] == fold).to_numpy()
        part = confusion(labels[of_fold], predicted[of_fold], count, w[:, of_fold])
        total += part
        precision.append(precisions(part)[:, 1] if count == 2 else _mean(precisions(part), 1))
        aucs.append(macro_auc(labels[of_fold], probabilities[of_fold], w[:, of_fold]))
    recall = recalls(total)
    found = {
        "auc": _mean(np.stack(aucs), 0),
        "worst_group_accuracy": worst_group_accuracy(total),
        "precision": _mean(np.stack(precision), 0),
        "recall": recall[:, 1] if count == 2 else _mean(recall, 1),
    }
    if count == 2:
        found |= {"specificity": recall[:, 0], "called_positive": total[:, :, 1].sum(1) / total.sum((1, 2))}
    return found


def summary(rows: pd.DataFrame, *, intervals: bool, seed: int) -> dict[str, float | None]:
    """Each metric and, with `intervals`, the ends of its 95 % interval (``_low``, ``_high``), patients resampled."""
    found = {name: known(value[0]) for name, value in measured(rows).items()}
    if intervals:
        weights = patient_weights(rows["patient"].tolist(), draws=DRAWS, seed=seed)
        for name, draws in measured(rows, weights).items():
            found |= _ends(name, draws, partial(steady_share, patients=_fewest(rows)))
    return found


def difference(
    rows: pd.DataFrame, base: pd.DataFrame, metric: str, *, intervals: bool, seed: int
) -> dict[str, float | None]:
    """How much better a method is than another on the same images, with the ends of its interval; {} where the two
    do not have the same images.
    """
    pair = [r.sort_values(["fold", "image"]).reset_index(drop=True) for r in (rows, base)]
    keys = [r[["fold", "image"]] for r in pair]
    if not keys[0].equals(keys[1]):
        return {}
    name = f"{metric}_difference"
    found = {name: known(measured(pair[0])[metric][0] - measured(pair[1])[metric][0])}
    if intervals:
        weights = patient_weights(pair[0]["patient"].tolist(), draws=DRAWS, seed=seed)
        draws = measured(pair[0], weights)[metric] - measured(pair[1], weights)[metric]
        same = np.array_equal(unpack(pair[0])[1], unpack(pair[1])[1])
        found |= _ends(name, draws, None if same else partial(steady_change, patients=_fewest(rows)))
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


def _ends(name: str, draws: Floats, steady: Callable[[float], tuple[float, float]] | None) -> dict[str, float | None]:
    """With the interval that holds where no resample differs from another."""
    found = interval(draws)
    if found and steady and found[0] == found[1]:
        found = steady(found[0])
    low, high = found or (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def _fewest(rows: pd.DataFrame) -> int:
    """Patients of the smallest class."""
    return int(rows.groupby("label")["patient"].nunique().min())


def _mean(values: Floats, axis: int) -> Floats:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN has the mean NaN
        return np.asarray(np.nanmean(values, axis=axis))
