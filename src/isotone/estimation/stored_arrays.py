"""Objects made of arrays as JSON and back: shapes are checked where numbers enter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from isotone.errors import ModelError

Floats = NDArray[np.float64]
Json = Mapping[str, Any]
"""An object of a JSON file."""


class StoredArrays:
    """Base of frozen dataclasses whose fields are arrays and numbers.

    Attributes
    ----------
    SHAPES : mapping of str to str
        For each stored field a letter a dimension: the same letter is the same size everywhere. "" is a number.
    """

    SHAPES: ClassVar[Mapping[str, str]] = {}

    def to_json(self) -> dict[str, object]:
        """Numbers and lists, ready for JSON; no image can be made of them."""
        return {name: np.asarray(getattr(self, name)).tolist() for name in self.SHAPES}

    @classmethod
    def numbers(cls, entry: Json, **sizes: int) -> dict[str, Any]:
        """The fields that `to_json` wrote: arrays, and floats where there is no dimension.

        Parameters
        ----------
        entry : mapping
        **sizes : int
            Of letters that are known beforehand.

        Raises
        ------
        ModelError
            E_MODEL: one is missing, not finite, or of another shape.
        """
        found: dict[str, Any] = {}
        for name, letters in cls.SHAPES.items():
            array = _finite(entry, name)
            damaged(array.ndim != len(letters))
            for letter, size in zip(letters, array.shape, strict=True):
                damaged(sizes.setdefault(letter, size) != size or not size)
            found[name] = array if letters else float(array)
        return found


def damaged(is_damaged: bool) -> None:
    """Refuse a model whose numbers cannot be right.

    Raises
    ------
    ModelError
        E_MODEL.
    """
    if is_damaged:
        raise ModelError("E_MODEL", "numbers of the model are damaged")


def positive_definite(matrix: Floats) -> Floats:
    """The matrix itself, where it is the covariance of something.

    Raises
    ------
    ModelError
        E_MODEL: it is not positive definite.
    """
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        damaged(True)
    return matrix


def _finite(entry: Json, name: str) -> Floats:
    try:
        array = np.asarray(entry[name], np.float64)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ModelError("E_MODEL", "numbers of the model are damaged") from None
    damaged(not np.isfinite(array).all())
    return array
