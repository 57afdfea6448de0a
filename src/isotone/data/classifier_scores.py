"""What a classifier says of images, a batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BATCH = 64
"""Images whose inputs are joined at a time: they may be mapped from files that are larger than the memory."""


def scores_of(images: Sequence[NDArray[np.float32]], classifier: Any) -> NDArray[np.float64]:
    """Probabilities of shape (n, classes).

    Parameters
    ----------
    images : sequence of n float32 arrays of shape (S, S)
        The classifier's inputs.
    classifier : Classifier
        Anything with its `predict`.
    """
    starts = range(0, len(images), BATCH)
    return np.concatenate([classifier.predict(np.stack(images[k : k + BATCH])) for k in starts])
