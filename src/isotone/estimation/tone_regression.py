"""Which quantiles an image ought to have on the reference, by what it shows apart from its tone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from isotone.data.descriptors.structure import standardized
from isotone.errors import ModelError

Floats = NDArray[np.float64]

NUMBERS = ("mean", "axes", "centre", "scale", "weights", "offset")
DAMAGED = "numbers of the model are damaged"
WAVES = 128
"""Directions of the quasi-random features."""


@dataclass(frozen=True, eq=False)
class Expectation:
    """A model from structure to the quantiles of the anatomy, along the axes in which images differ most.

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

    def to_dict(self) -> dict[str, Any]:
        """Lists of numbers, ready for JSON; no image can be made of them."""
        return {name: getattr(self, name).tolist() for name in NUMBERS}

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Self:
        """The expectation that `to_dict` described.

        Raises
        ------
        ModelError
            Not such numbers.
        """
        arrays = finite(entry, NUMBERS)
        q, k, d = arrays["mean"].size, arrays["offset"].size, arrays["centre"].size
        shapes = {"mean": (q,), "axes": (k, q), "centre": (d,), "scale": (d,), "offset": (k,)}
        shapes["weights"] = (k, d + 2 * WAVES)
        if {name: array.shape for name, array in arrays.items()} != shapes or not (arrays["scale"] > 0).all():
            raise ModelError("E_MODEL", DAMAGED)
        return cls(**arrays)


def finite(entry: Mapping[str, Any], names: Sequence[str]) -> dict[str, Floats]:
    """The arrays of these names.

    Raises
    ------
    ModelError
        One is missing, or no array of finite numbers.
    """
    try:
        arrays = {name: np.asarray(entry[name], np.float64) for name in names}
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ModelError("E_MODEL", DAMAGED) from None
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ModelError("E_MODEL", DAMAGED)
    return arrays


def positive_definite(matrix: Floats) -> Floats:
    """The matrix itself, where it is the covariance of something.

    Raises
    ------
    ModelError
        It is not positive definite.
    """
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        raise ModelError("E_MODEL", DAMAGED) from None
    return matrix


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
