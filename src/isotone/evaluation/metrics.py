"""How well probabilities agree with labels; each metric under any number of case weights at once.

Weights of shape (draws, n) are how bootstrap resamples are counted: one row per draw, one column per image. What is
undefined (a class that is absent, a prediction never made) is NaN here and None in results, never a made-up number.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, roc_curve

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def auc(positive: Bools, scores: Floats, weights: Floats | None = None) -> Floats:
    """Area under the ROC curve: the chance that a positive scores above a negative, ties counted half.

    Parameters
    ----------
    positive : bool array of shape (n,)
    scores : array of shape (n,)
    weights : array of shape (draws, n), optional

    Returns
    -------
    array of shape (draws,)
        In [0, 1]; NaN where positives or negatives are missing.
    """
    w = np.ones((1, len(scores))) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.nan) != 0)
    ordered, hit = w[:, order], positive[order]
    up = np.add.reduceat(ordered * hit, starts, axis=1)
    down = np.add.reduceat(ordered * ~hit, starts, axis=1)
    below = np.cumsum(down, axis=1) - down / 2
    pairs = up.sum(1) * down.sum(1)
    return np.asarray(np.divide((up * below).sum(1), pairs, out=np.full(len(w), np.nan), where=pairs > 0))


def auc_per_class(labels: Ints, probabilities: Floats, weights: Floats | None = None) -> Floats:
    """One-versus-rest AUC of each class, shape (draws, C)."""
    columns = range(probabilities.shape[1])
    return np.stack([auc(labels == c, probabilities[:, c], weights) for c in columns], axis=1)


def macro_auc(labels: Ints, probabilities: Floats, weights: Floats | None = None) -> Floats:
    """Mean one-versus-rest AUC over the classes present in `labels`; of two classes, the usual AUC.

    Returns
    -------
    array of shape (draws,)
        NaN where a class that `labels` has is missing from a draw, or only one class is there.
    """
    if probabilities.shape[1] == 2:
        return auc(labels == 1, probabilities[:, 1], weights)
    present = np.unique(labels)
    columns = [auc(labels == c, probabilities[:, c], weights) for c in present]
    return np.asarray(np.mean(columns, axis=0))


def confusion(labels: Ints, predicted: Ints, classes: int, weights: Floats | None = None) -> Floats:
    """Confusion matrices, shape (draws, C, C): rows are labels, columns predictions."""
    w = np.ones((1, len(labels))) if weights is None else weights
    cells = np.eye(classes * classes)[labels * classes + predicted]
    return np.asarray((w @ cells).reshape(-1, classes, classes))


def recalls(matrix: Floats) -> Floats:
    """Recall of each class from confusion matrices (…, C, C), shape (…, C); NaN for a class that is absent."""
    return _share(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-1))


def precisions(matrix: Floats) -> Floats:
    """Precision of each class from confusion matrices (…, C, C), shape (…, C); NaN where never predicted."""
    return _share(np.diagonal(matrix, axis1=-2, axis2=-1), matrix.sum(-2))


def worst_group_accuracy(matrix: Floats) -> Floats:
    """Lowest recall over the classes present, from confusion matrices (…, C, C), shape (…)."""
    recall = recalls(matrix)
    worst = np.where(np.isnan(recall), np.inf, recall).min(-1)
    return np.where(np.isinf(worst), np.nan, worst)


def quadratic_kappa(labels: Ints, predicted: Ints, ranks: Sequence[int]) -> float:
    """Cohen's kappa with quadratic weights, of classes with these places in an order, from 0 (`ordinal_ranks`)."""
    if len(np.unique(np.concatenate([labels, predicted]))) < 2:
        return float("nan")
    place = np.asarray(ranks)
    return float(cohen_kappa_score(place[labels], place[predicted], labels=sorted(ranks), weights="quadratic"))


def brier(labels: Ints, probabilities: Floats) -> float:
    """Brier score: mean squared error of the probability of class 1 (two classes), or summed over all classes.

    Brier, "Verification of forecasts expressed in terms of probability", Mon Weather Rev 78 (1950) 1.
    """
    error = ((probabilities - np.eye(probabilities.shape[1])[labels]) ** 2).sum(1)
    return float(error.mean() / (2 if probabilities.shape[1] == 2 else 1))


def reliability(labels: Ints, probabilities: Floats, bins: int = 10) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and count of the predictions in each of `bins` equal intervals of confidence.

    Empty intervals are left out.
    """
    confidence = probabilities.max(1)
    correct = probabilities.argmax(1) == labels
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        (float(confidence[index == k].mean()), float(correct[index == k].mean()), int((index == k).sum()))
        for k in np.unique(index)
    ]


def expected_calibration_error(labels: Ints, probabilities: Floats, bins: int = 10) -> float:
    """Mean distance of confidence and accuracy over the intervals of `reliability`, weighted by count.

    Guo, Pleiss, Sun and Weinberger, "On calibration of modern neural networks", ICML 2017, Eq. 3.
    """
    return sum(n * abs(c - a) for c, a, n in reliability(labels, probabilities, bins)) / len(labels)


def youden_threshold(positive: Bools, scores: Floats) -> float:
    """The score from which on calling an image positive has the largest sensitivity + specificity.

    NaN where positives or negatives are missing.
    """
    if positive.all() or not positive.any():
        return float("nan")
    false, true, thresholds = roc_curve(positive, scores, drop_intermediate=False)
    return float(thresholds[1:][np.argmax((true - false)[1:])])


def sensitivity_specificity(
    positive: Bools, scores: Floats, threshold: float, weights: Floats | None = None
) -> tuple[Floats, Floats]:
    """Share of positives at or above a threshold and of negatives below it, shape (draws,) each; NaN where none are."""
    w = np.ones((1, len(scores))) if weights is None else weights
    called = scores >= threshold
    return _share(w @ (positive & called), w @ positive), _share(w @ ~(positive | called), w @ ~positive)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.asarray(np.divide(part, whole, out=np.full(whole.shape, np.nan), where=whole > 0))
