"""How sure is a scanner's curve, and what does that do to the classifier's scores? Patients resampled."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from isotone.data.sample import Sample
from isotone.estimation.report import Band, ScoreInterval
from isotone.estimation.settings import FrozenClassifier
from isotone.estimation.transport import Levels

Floats = NDArray[np.float64]

DRAWS = 20
"""Of the resampled curves, so many are followed up to the classifier's scores."""
IMAGES = 64
"""Of the source's images, at most so many."""


def resampled(
    source: Levels,
    reference: Levels,
    weights: Floats,
    patients: tuple[NDArray[np.intp], NDArray[np.intp]],
    levels: Floats,
    resamples: int,
    seed: int,
) -> Floats:
    """The transport at given source levels, again and again with patients of both scanners resampled.

    Parameters
    ----------
    source, reference : Pool or MiddleImage
    weights : float64 array of shape (n,)
        Of the reference images.
    patients : pair of integer arrays
        Numbers of the patients of source and reference, from 0.
    levels : float64 array of shape (m,)
        Grey levels of the source, increasing.
    resamples, seed : int

    Returns
    -------
    float64 array of shape (at most `resamples`, m)
    """
    rng = np.random.default_rng(seed)
    curves = []
    for _ in range(resamples):
        ours, theirs = (
            np.bincount(rng.integers(0, p.max() + 1, p.max() + 1), minlength=p.max() + 1)[p].astype(np.float64)
            for p in patients
        )
        if ours.any() and (theirs * weights).sum() > 0:
            x, y = source.quantiles(ours), reference.quantiles(theirs * weights)
            curves.append(np.interp(levels, x, y))
    return np.array(curves).reshape(-1, len(levels))


def band(levels: Floats, curves: Floats) -> Band | None:
    """Pointwise 95 % interval of `resampled` curves; None without curves."""
    if not len(curves):
        return None
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    return Band(tuple(levels.tolist()), tuple(low.tolist()), tuple(high.tolist()))


def score_interval(
    source: Sequence[Sample], levels: Floats, curves: Floats, classifier: FrozenClassifier, seed: int
) -> ScoreInterval | None:
    """What the band means for the classifier: how far an image's scores move from one resampled curve to another.

    None without curves or the classifier's inputs.
    """
    rng = np.random.default_rng(seed)
    prepared = [s.prepared for s in source if s.prepared is not None]
    if not prepared or not len(curves):
        return None
    taken = np.stack([prepared[i] for i in rng.permutation(len(prepared))[:IMAGES]])
    grid, starts = np.concatenate([[0.0], levels, [1.0]]), curves[:DRAWS]
    ends = np.concatenate([starts[:, :1], starts, np.maximum(starts[:, -1:], levels[-1:])], 1)
    said = np.stack([classifier.predict(np.interp(taken, grid, y).astype(np.float32)) for y in ends])
    first = said.mean(0).argmax(1)
    low, high = np.quantile(said[:, np.arange(len(taken)), first], [0.025, 0.975], axis=0)
    changed = (said.argmax(2) != said[0].argmax(1)).any(0)
    return ScoreInterval(float((high - low).mean()), float(changed.mean()), len(taken), len(starts))
