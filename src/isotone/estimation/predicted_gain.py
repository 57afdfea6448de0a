"""What will a curve do to the classifier? Reference images as the source scanner would have made them tell.

Labelled images of the reference go through the inverse of the curve. What the classifier loses on them is what the
curve gives back. No label of the source is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from isotone.curves.tone_curve import ToneCurve
from isotone.data.classifier_scores import scores_of
from isotone.data.sample import Sample
from isotone.errors import ModelError
from isotone.estimation.image_blend import ImageBlend
from isotone.estimation.report import PredictedGain
from isotone.estimation.settings import FrozenClassifier

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]

DRAWS = 500
"""Resamples of patients behind the intervals."""
LEVEL = 0.9
"""Of the intervals."""
IMAGES = 500
"""At most so many images, drawn at random. More make the intervals narrower, and the fit longer."""
FEWEST = 10
"""Patients, at least: of fewer an interval says nothing."""


@dataclass(frozen=True, eq=False)
class Simulated:
    """Labelled images of the reference, and as a source scanner would have made them.

    Attributes
    ----------
    labels : int array of shape (n,)
        Columns of what the classifier says.
    patients : int array of shape (n,)
        Numbers of the patients, from 0.
    source, harmonized : float32 arrays of shape (n, S, S)
        The classifier's inputs: through the inverse of the curve, and as these are harmonized.
    """

    labels: Ints
    patients: Ints
    source: NDArray[np.float32]
    harmonized: NDArray[np.float32]


def predicted_gain(
    reference: Sequence[Sample],
    curves: Sequence[ToneCurve],
    shares: Sequence[float],
    classifier: FrozenClassifier | None,
    seed: int,
    *,
    patients: int | None = None,
    blend: ImageBlend | None = None,
) -> PredictedGain | str:
    """What curves will do to AUC and to the weakest class's recall.

    Parameters
    ----------
    reference : sequence of Sample
        Of these, labelled ones of split "val" that the classifier was not trained on are used.
    curves : sequence of ToneCurve
        Source domain → reference domain: one, or one for each acquisition mode.
    shares : sequence of float
        How many of the source's images get each curve.
    classifier : FrozenClassifier or None
    seed : int
        Of the images drawn and of the resamples.
    patients : int, optional
        The intervals are to hold what a test on so many patients of the source measures, whose chance comes to that of
        the reference's patients. None: very many.
    blend : ImageBlend, optional
        Gives each image a curve of its own.

    Returns
    -------
    PredictedGain or str
        A clause says why nothing can be predicted.

    Notes
    -----
    It knows the tone alone: a source whose images differ in anatomy, noise or blur may gain less, or lose.
    """
    if classifier is None:
        return "no classifier was given"
    shown = simulated(reference, curves, shares, classifier, seed, blend)
    if isinstance(shown, str):
        return shown
    before, after = (scores_of([*images], classifier) for images in (shown.source, shown.harmonized))
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise ModelError("E_MODEL", "the classifier's scores are not all finite")
    rng = np.random.default_rng(seed)
    of = [np.flatnonzero(shown.patients == p) for p in range(shown.patients.max() + 1)]
    picks = [np.arange(len(shown.labels))]
    picks += [np.concatenate([of[p] for p in rng.integers(0, len(of), len(of))]) for _ in range(DRAWS)]
    labels = [shown.labels[at] for at in picks]
    gains = np.array([_measures(y, after[at]) - _measures(y, before[at]) for y, at in zip(labels, picks, strict=True)])
    wider = np.sqrt(1 + (len(of) / patients if patients else 0))
    around = gains[0] + wider * (gains[1:] - gains[0])
    low, high = np.nanquantile(around, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0).clip(-1, 1)
    return PredictedGain(
        auc=float(gains[0, 0]),
        auc_interval=(float(low[0]), float(high[0])),
        worst_recall=float(gains[0, 1]),
        worst_recall_interval=(float(low[1]), float(high[1])),
        images=len(shown.labels),
        patients=len(of),
    )


def simulated(
    reference: Sequence[Sample],
    curves: Sequence[ToneCurve],
    shares: Sequence[float],
    classifier: FrozenClassifier,
    seed: int,
    blend: ImageBlend | None = None,
) -> Simulated | str:
    """Held-out images of the reference through the inverse of curves; or a clause that says why there are none."""
    classes = list(classifier.config.classes)
    held_out = [s for s in reference if s.split == "val" and s.label in classes and s.prepared is not None]
    kept = [s for s in held_out if not s.trained]
    if not kept:
        trained = "the classifier was trained on all of them, or on their patients"
        return f"of the reference's labelled validation images {trained if held_out else 'there is none'}"
    rng = np.random.default_rng(seed)
    kept = [kept[i] for i in np.sort(rng.permutation(len(kept))[:IMAGES])]
    patients = np.unique([s.patient for s in kept], return_inverse=True)[1]
    labels = np.array([classes.index(str(s.label)) for s in kept])
    if len(np.unique(labels)) < 2:
        return f"the reference's labelled validation images are all of class {classes[labels[0]]}"
    if patients.max() + 1 < FEWEST:
        return f"the reference has labelled validation images of fewer than {FEWEST} patients"
    images = np.stack([s.prepared for s in kept if s.prepared is not None])
    source, harmonized = np.empty_like(images), np.empty_like(images)
    which = rng.choice(len(curves), len(kept), p=np.array(shares) / sum(shares))
    for number, curve in enumerate(curves):
        source[which == number] = curve.inverse()(images[which == number])
        harmonized[which == number] = curve(source[which == number])
    if blend is not None:  # the matching of an image is the same behind every increasing response
        own = [blend.curve(s, ToneCurve())(image) for s, image in zip(kept, harmonized, strict=True)]
        harmonized = np.stack(own)
    return Simulated(labels, patients, source, harmonized)


def _measures(labels: Ints, scores: Floats) -> Floats:
    """Mean one-versus-rest AUC and the lowest recall over the classes present; NaN where there is one class."""
    from scipy.stats import rankdata  # slow to load

    present = np.unique(labels)
    if len(present) < 2:
        return np.full(2, np.nan)
    said = scores.argmax(1)
    areas, recalls = [], []
    for c in present:
        positive = labels == c
        m = int(positive.sum())
        above = rankdata(scores[:, c])[positive].sum() - m * (m + 1) / 2
        areas.append(above / (m * (len(labels) - m)))
        recalls.append(np.mean(said[positive] == c))
    return np.array([np.mean(areas), min(recalls)])
