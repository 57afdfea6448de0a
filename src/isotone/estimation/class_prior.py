"""How often each class occurs on a scanner, when nobody has labelled its images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

Floats = NDArray[np.float64]


def confusion(said: NDArray[np.intp], true: NDArray[np.intp], classes: int) -> Floats:
    """How often class `true` is called `said`, from held-out images of the reference domain.

    Returns
    -------
    float64 array of shape (classes, classes)
        Rows sum to 1. Each row gets half an image, so that unseen errors keep a small probability.
    """
    table = np.full((classes, classes), 0.5 / classes)
    np.add.at(table, (true, said), 1.0)
    return np.asarray(table / table.sum(axis=1, keepdims=True))


def mixed(labels: NDArray[np.str_], mix: Mapping[str, float]) -> Floats:
    """Image weights of mean 1 that give the classes these shares; classes without images are left out.

    Parameters
    ----------
    labels : array of shape (n,) of str
    mix : mapping of str to float
        Shares, not negative; of no class at hand: all images weigh alike.
    """
    weights = np.zeros(len(labels))
    for name, share in mix.items():
        own = labels == name
        weights += share * own / max(int(own.sum()), 1)
    return weights / weights.mean() if weights.any() else np.ones(len(labels))


def estimate_mix(likelihood: Floats, prior: Floats, strength: float = 2.0) -> Floats:
    """Maximum-likelihood class mix of the observed images, by expectation maximisation.

    Parameters
    ----------
    likelihood : float64 array of shape (n, k)
        How likely what is seen of image i is in each class, up to a factor per image. For a classifier that says
        a class, the column of its `confusion` matrix: then this is black-box shift estimation (Lipton et al.
        2018, arXiv:1802.03916) that stays inside the simplex.
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
    Saerens, Latinne & Decaestecker 2002 (doi:10.1162/089976602753284446).
    """
    prior = prior / prior.sum()
    mix = prior
    for _ in range(1000):
        share = likelihood * mix
        counts = (share / np.maximum(share.sum(axis=1, keepdims=True), 1e-300)).sum(axis=0) + strength * prior
        new = counts / counts.sum()
        if np.abs(new - mix).max() < 1e-7:
            break
        mix = new
    return np.asarray(mix)


def nearest_mix(centres: Floats, point: Floats, factor: Floats) -> Floats:
    """The shares of classes whose mean lies nearest to a point: least squares in the simplex.

    Parameters
    ----------
    centres : float64 array of shape (c, k)
        Mean of each class.
    point : float64 array of shape (k,)
    factor : float64 array of shape (k, k)
        Cholesky factor of the covariance in whose units distances are.

    Returns
    -------
    float64 array of shape (c,)
    """
    design, wanted = np.linalg.solve(factor, centres.T), np.linalg.solve(factor, point)
    heavy = 1e3 * (1 + np.abs(design).max())  # makes the shares add up to one
    shares = optimize.nnls(np.vstack([design, np.full(len(centres), heavy)]), np.append(wanted, heavy))[0]
    return np.asarray(shares / shares.sum())
