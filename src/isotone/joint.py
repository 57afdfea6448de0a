"""Class mix and curve at once, for images whose structure is not the reference's.

Every class mix has a curve that brings the pooled grey levels of a scanner to those of the reference, and pooled they
all fit alike. Image by image they do not: those of one class, taken for a mixture, keep the narrow spread of one class.
So the mix is that behind whose curve the two sets of images are nearest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations_with_replacement
from math import comb

import numpy as np
from numpy.typing import NDArray

from isotone.mix import mixed
from isotone.transport import Pool, free_curve
from isotone.views import Views

Floats = NDArray[np.float64]

COMPONENTS = 4
"""Principal components of the reference images' quantiles by which images are compared, each in units of its spread."""
FAINTEST = 0.01
"""Smallest spread of a component that counts, as a share of the largest."""
MOST = 200
"""Images of the source that are compared."""
TRIED = 300
"""Mixes evenly over all there are, at most: mixes far apart can be nearly as good."""
FINEST = 20
"""Parts of a whole that those are made of, at most."""
STEPS = (0.05, 0.02)
"""Shares moved from class to class, one size after the other, while that brings the images nearer."""
EXPLAINED = 0.1
"""Distance from which tone and class mix do not explain the images."""
CLEARLY = 0.03
"""How much nearer a mix must bring the images than the reference's own, to be believed."""


@dataclass(frozen=True)
class Joint:
    """How near the images come to those of the reference.

    Attributes
    ----------
    mix : dict
        The class mix behind whose curve they are nearest.
    distance : float
        Behind that curve: squared energy distance (Székely & Rizzo 2013, doi:10.1016/j.jspi.2013.03.018) without what
        chance adds, so that it is about 0, or below, where tone and class mix explain the images.
    unmixed : float
        Behind the curve of the reference's own mix.
    """

    mix: dict[str, float]
    distance: float
    unmixed: float

    @property
    def explained(self) -> bool:
        """Whether tone and class mix explain the images."""
        return self.distance <= EXPLAINED

    @property
    def believed(self) -> bool:
        """Whether the mix is needed to explain them."""
        return self.explained and self.unmixed - self.distance >= CLEARLY


def joint_mix(ours: Views, reference: Views, air: float) -> Joint:
    """Find the class mix that, with the curve that follows from it, explains the source's images best.

    Parameters
    ----------
    ours, reference : Views
        Of a reference without labels there is no other mix than its own: {}.
    air : float
        Share of air, in [0, 1).
    """
    classes = sorted({str(c) for c in reference.labels if c})
    mean = reference.quantiles.mean(0)
    axes = np.linalg.svd(reference.quantiles - mean, full_matrices=False)[2][:COMPONENTS]
    theirs = (reference.quantiles - mean) @ axes.T
    spread = theirs.std(0)
    spread = spread.clip(max(FAINTEST * float(spread.max()), 1e-9))
    theirs /= spread
    within = _distances(theirs, theirs)
    some = np.unique(np.linspace(0, len(ours) - 1, MOST).astype(int))
    x, pool = Pool(ours, air).quantiles(np.ones(len(ours))), Pool(reference, air)

    def distance(weights: Floats) -> float:
        curve = free_curve(x, pool.quantiles(weights))
        moved = (curve(ours.quantiles[some]) - mean) @ axes.T / spread
        share = weights / weights.sum()
        between = float((_distances(moved, theirs) @ share).mean())
        own = float(_distances(moved, moved).sum()) / (len(some) * max(len(some) - 1, 1))
        other = float(share @ within @ share) / max(1 - float(share @ share), 1e-9)
        return 2 * between - own - other

    def named(shares: Floats) -> dict[str, float]:
        return dict(zip(classes, shares.tolist(), strict=True))

    def of_mix(shares: Floats) -> float:
        return distance(mixed(reference.labels, named(shares)))

    unmixed = distance(np.ones(len(reference)))
    if len(classes) < 2:
        return Joint({}, unmixed, unmixed)
    parts = max(n for n in range(1, FINEST + 1) if n == 1 or comb(n + len(classes) - 1, n) <= TRIED)
    whole = combinations_with_replacement(np.eye(len(classes)), parts)
    shares, least = _descend(of_mix, min((np.mean(some_of, axis=0) for some_of in whole), key=of_mix))
    return Joint(named(shares), least, unmixed)


def _descend(of_mix: Callable[[Floats], float], shares: Floats) -> tuple[Floats, float]:
    """Move shares from class to class while the distance falls."""
    least = of_mix(shares)
    for step in STEPS:
        while True:
            moves = [
                shares + min(step, shares[giver]) * (taken - given)
                for giver, given in enumerate(np.eye(len(shares)))
                for taker, taken in enumerate(np.eye(len(shares)))
                if taker != giver and shares[giver] > 1e-9
            ]
            distances = [of_mix(moved) for moved in moves]
            if min(distances) > least - 1e-4:
                break
            least, shares = min(distances), moves[int(np.argmin(distances))]
    return shares, least


def _distances(a: Floats, b: Floats) -> Floats:
    """Euclidean, of shape (len(a), len(b))."""
    squared = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * a @ b.T
    return np.asarray(np.sqrt(np.maximum(squared, 0)))
