"""How far two domains lie apart. Never read alone: what is near need not be classified well."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist
from scipy.stats import wasserstein_distance
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Floats = NDArray[np.floating]

FOLDS = 5


def grey_level_distance(first: Floats, second: Floats) -> float:
    """Wasserstein-1 distance of two histograms over [0, 1], in shares of the full range.

    Parameters
    ----------
    first, second : arrays of shape (bins,)
        Counts or shares in equal intervals of [0, 1].
    """
    centres = (np.arange(len(first)) + 0.5) / len(first)
    return float(wasserstein_distance(centres, centres, first, second))


def median_distance(features: Floats) -> float:
    """Median Euclidean distance between rows of (n, D): the usual width of the kernel."""
    distances = cdist(features, features)
    return float(np.median(distances[np.triu_indices(len(features), 1)]))


def maximum_mean_discrepancy(first: Floats, second: Floats, width: float) -> float | None:
    """Distance of two samples of features in a Gaussian kernel's space, at least 0.

    Gretton, Borgwardt, Rasch, Schölkopf and Smola, "A kernel two-sample test", JMLR 13 (2012) 723, the root of the
    unbiased estimate (Eq. 3), 0 where that is negative.

    Parameters
    ----------
    first, second : arrays of shape (n, D) and (m, D)
    width : float
        Of the kernel exp(−d² / (2 width²)).

    Returns
    -------
    float or None
        None with fewer than two rows, or without width.
    """
    n, m = len(first), len(second)
    if min(n, m) < 2 or not width > 0:
        return None

    def kernel(a: Floats, b: Floats) -> Floats:
        return np.asarray(np.exp(-cdist(a, b, "sqeuclidean") / (2 * width**2)))

    within = (kernel(first, first).sum() - n) / (n * (n - 1)) + (kernel(second, second).sum() - m) / (m * (m - 1))
    return float(np.sqrt(max(within - 2 * kernel(first, second).mean(), 0.0)))


def grouped_auc(features: Floats, labels: NDArray[np.int64], patients: Sequence[int], *, seed: int = 0) -> float | None:
    """AUC of a logistic regression on features, patient-grouped five-fold cross-validation, folds pooled.

    Parameters
    ----------
    features : array of shape (n, D)
    labels : int array of shape (n,)
        More than two kinds: mean one-versus-rest AUC over those present.
    patients : sequence of n
        No patient is in training and test of one fold.

    Returns
    -------
    float or None
        None where a label has fewer than five patients.
    """
    groups = np.asarray(patients)
    kinds, coded = np.unique(labels, return_inverse=True)
    if len(kinds) < 2 or min(len(np.unique(groups[coded == k])) for k in range(len(kinds))) < FOLDS:
        return None
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=1000))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    try:
        scores = cross_val_predict(model, features, coded, groups=groups, cv=folds, method="predict_proba")
    except ValueError:
        return None  # a fold's training part lacks a label
    if len(kinds) == 2:
        return float(roc_auc_score(coded, scores[:, 1]))
    return float(roc_auc_score(coded, scores, multi_class="ovr"))
