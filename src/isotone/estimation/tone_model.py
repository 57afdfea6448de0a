"""How bright an image's anatomy ought to be on the reference, by what it shows apart from its tone.

Kernel ridge regression from structure to the quantiles of the anatomy, along the axes in which images differ most.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from isotone.data.descriptors.image_set import Descriptors
from isotone.data.descriptors.structure import NEVER, spread, standardized
from isotone.estimation.stored_arrays import Json, StoredArrays, damaged

Floats = NDArray[np.float64]

COMPONENTS = 6
"""Directions in which an image may deviate."""
FEWEST = 10
"""Patients of the reference, at least: of fewer, structure learns nothing."""
FOLDS = 5
WAVES = 128
"""Directions of the quasi-random features."""


@dataclass(frozen=True, eq=False)
class ToneRegression(StoredArrays):
    """From structure to quantiles, as a model stores it.

    Attributes
    ----------
    mean : float64 array of shape (q,)
        Mean quantiles on the reference.
    axes : float64 array of shape (k, q)
        Orthonormal.
    centre, scale : float64 arrays of shape (d,)
        Of the structure on the reference: what standardizes it.
    weights : float64 array of shape (k, d + 2 `WAVES`)
        Of the `features` of standardized structure.
    offset : float64 array of shape (k,)
        Scores where all features are 0.
    """

    SHAPES: ClassVar = {"mean": "q", "axes": "kq", "centre": "d", "scale": "d", "weights": "kf", "offset": "k"}

    mean: Floats
    axes: Floats
    centre: Floats
    scale: Floats
    weights: Floats
    offset: Floats

    def scores(self, quantiles: Floats) -> Floats:
        """Where images with quantiles of shape (n, q) lie along the axes, shape (n, k)."""
        return np.asarray((quantiles - self.mean) @ self.axes.T)

    def of(self, structure: Floats) -> Floats:
        """The scores that images with structure of shape (n, d) ought to have, shape (n, k)."""
        return np.asarray(features(standardized(structure, self.centre, self.scale)) @ self.weights.T + self.offset)

    @classmethod
    def from_json(cls, entry: Json, **sizes: int) -> Self:
        """The regression that `to_json` described.

        Raises
        ------
        ModelError
            E_MODEL: not such numbers.
        """
        damaged(not isinstance(entry, Mapping))
        found = cls(**cls.numbers(entry, **sizes))
        damaged(found.weights.shape[1] != found.centre.size + 2 * WAVES or not (found.scale > 0).all())
        return found


class ToneModel:
    """The regression, and what it says of the images it learned from.

    Parameters
    ----------
    reference : Descriptors
    components : int
        How many principal components of the quantiles.
    seed : int
        Of the folds behind `expected`.
    apart : bool array of shape (d,), optional
        Numbers of the structure that are left out.

    Attributes
    ----------
    regression : ToneRegression
    expected, residuals : float64 array of shape (n, k)
        Scores of the reference's own images, each as a model of other patients predicts it; and what that misses.
    """

    def __init__(
        self, reference: Descriptors, components: int, seed: int = 0, apart: NDArray[np.bool_] | None = None
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
        self.regression = ToneRegression(mean, axes, centre, scale, weights, offset)


def tone_model(reference: Descriptors, seed: int = 0) -> ToneModel | None:
    """The model of a reference; None where its patients are too few."""
    return ToneModel(reference, COMPONENTS, seed) if len(np.unique(reference.patients)) >= FEWEST else None


def held_out(
    model: object, x: Floats, y: NDArray[np.generic], patients: NDArray[np.intp], seed: int, *, proba: bool = False
) -> Floats:
    """What the model says of each image when it learned from other patients' alone."""
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold, cross_val_predict

    kind: Any = StratifiedGroupKFold if proba else GroupKFold
    folds = kind(min(FOLDS, len(np.unique(patients))), shuffle=True, random_state=seed)
    method = "predict_proba" if proba else "predict"
    return np.asarray(cross_val_predict(model, x, y, groups=patients, cv=folds, method=method)).reshape(len(x), -1)


def features(numbers: Floats) -> Floats:
    """Features whose inner products are nearly x·y / d + exp(-|x - y|² / d): a linear and a Gaussian kernel.

    A kernel's own model would keep every image of the reference; one of features (Rahimi & Recht 2007) does not.
    Their directions are a quasi-random sequence (Avron et al. 2016, JMLR 17:120), the same everywhere.

    Parameters
    ----------
    numbers : float64 array of shape (n, d)
        Standardized.

    Returns
    -------
    float64 array of shape (n, d + 2 `WAVES`)
    """
    d = numbers.shape[1]
    phase = numbers @ _directions(d)
    waves = np.concatenate([np.cos(phase), np.sin(phase)], 1) / np.sqrt(WAVES)
    return np.concatenate([numbers / np.sqrt(d), waves], 1)


@cache
def _directions(d: int) -> Floats:
    from scipy.stats import qmc  # slow to load

    sequence = qmc.Sobol(d, scramble=False)
    sequence.fast_forward(1)  # its first point is 0, which is no quantile
    return np.asarray(ndtri(sequence.random(WAVES)).T * np.sqrt(2 / d), np.float64)
