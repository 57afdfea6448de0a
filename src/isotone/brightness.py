"""How bright an image ought to be on the reference, as far as what it shows apart from its tone tells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isotone.views import Views

Floats = NDArray[np.float64]

FOLDS = 5


class Brightness:
    """A linear model from structure to the quantiles of the anatomy, along the axes in which images differ most.

    Parameters
    ----------
    reference : Views
    components : int
        How many principal components of the quantiles.
    seed : int
        Of the folds behind `expected`.

    Attributes
    ----------
    mean : float64 array of shape (q,)
        Mean quantiles.
    axes : float64 array of shape (k, q)
        Orthonormal.
    weights : float64 array of shape (k, d)
    offset : float64 array of shape (k,)
    expected, residuals : float64 array of shape (n, k)
        Scores of the reference's own images, each as a model of other patients predicts it; and what that misses.
    """

    def __init__(self, reference: Views, components: int, seed: int = 0) -> None:
        from sklearn.linear_model import RidgeCV  # the train half
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler

        x, q = reference.structure, reference.quantiles
        self.mean = q.mean(0)
        self.axes = np.linalg.svd(q - self.mean, full_matrices=False)[2][: min(components, len(x) - 1)]
        scores = self.scores(q)
        scaler, ridge = StandardScaler(), RidgeCV(np.geomspace(0.1, 1e4, 11))
        model = make_pipeline(scaler, ridge)
        self.expected = held_out(model, x, scores, reference.patients, seed)
        self.residuals = scores - self.expected
        model.fit(x, scores)
        self.weights = np.ascontiguousarray(np.atleast_2d(ridge.coef_) / scaler.scale_)
        self.offset = np.ravel(ridge.intercept_) - self.weights @ scaler.mean_

    def scores(self, quantiles: Floats) -> Floats:
        """Where images with quantiles of shape (n, q) lie along the axes, shape (n, k)."""
        return np.asarray((quantiles - self.mean) @ self.axes.T)

    def expect(self, structure: Floats) -> Floats:
        """The scores that images with structure of shape (n, d) ought to have, shape (n, k)."""
        return np.asarray(structure @ self.weights.T + self.offset)


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
