"""Does a classifier tell its own classes? One that barely does is the first thing to mend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from isotone.data.classifier_scores import scores_of
from isotone.data.sample import Sample

WEAK = 0.6
"""Lower end of the interval of the AUC on untouched reference images down to which a classifier counts as weak (0.5 is
chance). Raised, more classifiers are warned of; chosen here."""


def auc_with_interval(
    labels: NDArray[np.int64], probabilities: NDArray[np.floating], patients: Sequence[object]
) -> tuple[float, tuple[float, float]] | None:
    """Mean one-versus-rest AUC over the classes present, and its 95 % interval over patients.

    DeLong, DeLong and Clarke-Pearson, "Comparing the areas under two or more correlated receiver operating
    characteristic curves", Biometrics 44 (1988) 837; all images of a patient together after Obuchowski, "Nonparametric
    analysis of clustered ROC curve data", Biometrics 53 (1997) 567.

    Parameters
    ----------
    labels : int array of shape (n,)
        Columns of `probabilities`.
    probabilities : float array of shape (n, C)
        Or any scores that rank images alike.
    patients : sequence of n
        Who each image is of.

    Returns
    -------
    tuple of float and pair of float, or None
        All in [0, 1]; None with fewer than two classes.

    Examples
    --------
    >>> labels = np.array([0, 0, 0, 1, 1, 1])
    >>> scores = np.array([0.1, 0.2, 0.6, 0.5, 0.8, 0.9])
    >>> auc, (low, high) = auc_with_interval(labels, np.stack([1 - scores, scores], 1), range(6))
    >>> print(f"{auc:.2f} [{low:.2f}, {high:.2f}]")
    0.89 [0.61, 1.00]
    """
    present = np.unique(labels)
    if len(present) < 2:
        return None
    areas, influence = zip(*(_area(labels == c, probabilities[:, c]) for c in present), strict=True)
    auc = float(np.mean(areas))
    number = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1]
    sums = np.bincount(number, np.mean(influence, axis=0))
    error = float(np.sqrt((sums**2).sum() * len(sums) / max(len(sums) - 1, 1)))
    half = float(special.ndtri(0.975)) * error
    return auc, (max(auc - half, 0.0), min(auc + half, 1.0))


def auc_on(samples: Sequence[Sample], classifier: Any) -> tuple[float, tuple[float, float]] | None:
    """AUC of a classifier on labelled images of its own scanner, with its interval.

    Parameters
    ----------
    samples : sequence of Sample
        Those with `label` among the classifier's classes and with `prepared` count.
    classifier : Classifier

    Returns
    -------
    tuple or None
        As `auc_with_interval`.
    """
    classes = list(classifier.config.classes)
    kept = [s for s in samples if s.label in classes and s.prepared is not None]
    if not kept:
        return None
    scores = scores_of([s.prepared for s in kept if s.prepared is not None], classifier)
    return auc_with_interval(np.array([classes.index(s.label) for s in kept]), scores, [s.patient for s in kept])


def _area(positive: NDArray[np.bool_], scores: NDArray[np.floating]) -> tuple[float, NDArray[np.float64]]:
    """AUC of one class, and by how much each image moves it."""
    from scipy.stats import rankdata  # slow to load

    ranks, m = rankdata(scores), int(positive.sum())
    n = len(scores) - m
    beaten = np.empty(len(scores))  # of the other kind, the share that an image is on the right side of
    beaten[positive] = (ranks[positive] - rankdata(scores[positive])) / n
    beaten[~positive] = 1 - (ranks[~positive] - rankdata(scores[~positive])) / m
    area = float(beaten[positive].mean())
    return area, (beaten - area) / np.where(positive, m, n)


def weak_sentence(where: str, auc: float | None, interval: tuple[float, float] | None) -> str | None:
    """What is said of a classifier whose AUC on its own scanner may be as low as `WEAK`; None of a better one.

    Parameters
    ----------
    where : str
        The images, e.g. "Alder Mammo One, a reference scanner".
    auc : float or None
    interval : pair of float or None
        None with too few patients: then the AUC itself is judged.
    """
    if auc is None or (auc if interval is None else interval[0]) > WEAK:
        return None
    ends = "(too few patients for an interval)" if interval is None else f"[{interval[0]:.2f}, {interval[1]:.2f}]"
    return (
        f"W_WEAK on {where}, the classifier's AUC is {auc:.2f} {ends}, and 0.50 is chance: mend the classifier first, "
        "for gains and losses elsewhere say little."
    )


def weak_record(training: Mapping[str, Any]) -> str | None:
    """What `weak_sentence` says of a classifier by the record of its training (`ClassifierConfig.training`)."""
    if "val_auc" not in training:
        return None
    interval = training["val_auc_low"], training["val_auc_high"]
    return weak_sentence("its own validation images", training["val_auc"], interval)
