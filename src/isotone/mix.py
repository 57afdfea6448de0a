"""How often each class occurs on a scanner, when nobody has labelled its images.

Black-box shift estimation (Lipton et al. 2018, arXiv:1802.03916): a classifier whose confusion matrix is known tells
the class mix of a population from how often it says each class.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def confusion(said: NDArray[np.intp], true: NDArray[np.intp], classes: int) -> Floats:
    """How often class `true` is called `said`, from held-out images of the reference domain.

    Returns
    -------
    float64 array of shape (classes, classes)
        Rows sum to 1; half an image of each outcome is added, so that nothing seen never is not impossible.
    """
    table = np.full((classes, classes), 0.5 / classes)
    np.add.at(table, (true, said), 1.0)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def estimate_mix(said: Floats, matrix: Floats, prior: Floats, strength: float = 2.0) -> Floats:
    """The class mix that best explains what the classifier said, by expectation maximisation.

    Parameters
    ----------
    said : float64 array of shape (k,)
        How many images were called each class.
    matrix : float64 array of shape (k, k)
        From `confusion`.
    prior : float64 array of shape (k,)
        Mix to lean on where the images are few; classes of prior 0 stay at 0.
    strength : float
        How many images the prior counts for.

    Returns
    -------
    float64 array of shape (k,)
        Sums to 1.

    Notes
    -----
    Saerens et al. 2002 (doi:10.1162/089976602753284446), on hard decisions; converges to the most likely mix inside
    the simplex, where inverting the matrix may leave it.
    """
    mix = prior / prior.sum()
    for _ in range(500):
        share = mix[:, None] * matrix
        share /= np.maximum(share.sum(axis=0, keepdims=True), 1e-300)
        counts = share @ said + strength * prior / prior.sum()
        new = counts / counts.sum()
        if np.abs(new - mix).max() < 1e-7:
            break
        mix = new
    return np.asarray(mix)
