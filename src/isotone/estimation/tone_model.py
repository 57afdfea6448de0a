"""How bright the images of the reference are, and how bright structure lets expect an image to be there."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isotone.data.descriptors.image_set import Views
from isotone.data.descriptors.structure import NEVER, spread, standardized
from isotone.estimation.tone_regression import Expectation, features

Floats = NDArray[np.float64]

COMPONENTS = 6
"""Directions in which an image may deviate."""
FEWEST = 10
"""Patients of the reference, at least: of fewer, structure learns nothing."""
FOLDS = 5


class Brightness:
    """Kernel ridge regression from structure to quantiles, and what it says of the images it learned from.

    Parameters
    ----------
    reference : Views
    components : int
        How many principal components of the quantiles.
    seed : int
        Of the folds behind `expected`.
    apart : bool array of shape (d,), optional
        Numbers of the structure that are left out.

    Attributes
    ----------
    expectation : Expectation
    expected, residuals : float64 array of shape (n, k)
        Scores of the reference's own images, each as a model of other patients predicts it; and what that misses.
    """

    def __init__(
        self, reference: Views, components: int, seed: int = 0, apart: NDArray[np.bool_] | None = None
    ) -> None:
        from sklearn.linear_model import RidgeCV  # the train half
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import FunctionTransformer

        centre, scale = spread(reference.structure)
        if apart is not None:
            scale = np.where(apart, NEVER, scale)
        x, q = standardized(reference.structure, centre, scale), reference.quantiles
        mean = q.mean(0)
        axes = np.linalg.svd(q - mean, full_matrices=False)[2][: min(components, len(x) - 1)]
        scores = (q - mean) @ axes.T
        ridge = RidgeCV(np.geomspace(1e-3, 1e3, 13))
        model = make_pipeline(FunctionTransformer(features), ridge)
        self.expected = held_out(model, x, scores, reference.patients, seed)
        self.residuals = scores - self.expected
        model.fit(x, scores)
        weights, offset = np.atleast_2d(ridge.coef_), np.atleast_1d(ridge.intercept_)
        self.expectation = Expectation(mean, axes, centre, scale, weights, offset)


def learned(reference: Views, seed: int = 0) -> Brightness | None:
    """How bright structure lets expect an image to be on the reference; None where its patients are too few."""
    return Brightness(reference, COMPONENTS, seed) if len(np.unique(reference.patients)) >= FEWEST else None


def held_out(
    model: object, x: Floats, y: NDArray[np.generic], patients: NDArray[np.intp], seed: int, *, proba: bool = False
) -> Floats:
    """What the model says of each image when it learned from other patients' alone."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, cross_val_predict

    folds = min(FOLDS, len(np.unique(patients)))
    kind = StratifiedGroupKFold if proba else GroupKFold
    said = cross_val_predict(
        model,
        x,
        y,
        groups=patients,
        cv=kind(folds, shuffle=True, random_state=seed),
        method="predict_proba" if proba else "predict",
    )
    return np.asarray(said).reshape(len(x), -1)
