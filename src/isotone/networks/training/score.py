"""The number by which epochs are chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def worst_group_accuracy(labels: Sequence[str], predicted: ArrayLike) -> float:
    """The lowest recall over the classes that are present.

    Parameters
    ----------
    labels, predicted : sequence of n strings

    Returns
    -------
    float
        In [0, 1].
    """
    truth, guess = np.asarray(labels), np.asarray(predicted)
    return float(min((guess[truth == c] == c).mean() for c in np.unique(truth)))
