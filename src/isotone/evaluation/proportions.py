"""Intervals of shares of images where resampling says too little: few images, or an outcome that never differs.

The bootstrap of 0 of 12 is [0, 0], as if nothing were uncertain. The rule:

* each patient has one image: exact, and for a paired change adjusted Wald; nothing is resampled;
* a patient has several images: patients are resampled, since images of one patient are alike;
* a resample never differs: exact, with patients in the place of images, so that no second image of a patient counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest, norm

from isotone.evaluation.bootstrap import LEAST_PATIENTS, interval

Floats = NDArray[np.float64]
Interval = tuple[float, float]

Z = float(norm.ppf(0.975))


def exact(share: float, n: int) -> Interval:
    """95 % interval of Clopper and Pearson (Biometrika 26 (1934) 404) for a share of n images."""
    found = binomtest(round(share * n), n).proportion_ci(method="exact")
    return float(found.low), float(found.high)


def paired(gained: float, lost: float, n: int) -> Interval:
    """95 % interval of the change of a share: of n images `gained` became right and `lost` became wrong.

    Adjusted Wald, one image added to each (Bonett and Price, J Educ Behav Stat 37 (2012) 479): it has a width where
    nothing changed.
    """
    up, down = (gained + 1) / (n + 2), (lost + 1) / (n + 2)
    return _around(up - down, (up + down - (up - down) ** 2) / (n + 2))


def unpaired(first: float, n_first: int, second: float, n_second: int) -> Interval:
    """95 % interval of the second share minus the first, of other images (Agresti and Caffo, Am Stat 54 (2000) 280)."""
    shares = [(share * n + 1) / (n + 2) for share, n in ((first, n_first), (second, n_second))]
    spread = sum(p * (1 - p) / (n + 2) for p, n in zip(shares, (n_first, n_second), strict=True))
    return _around(shares[1] - shares[0], spread)


def share_interval(values: Floats, images: int, patients: int) -> Interval | None:
    """95 % interval of a share by the rule above.

    Parameters
    ----------
    values : array of shape (1 + draws,)
        The share, then its bootstrap draws.
    images, patients : int
        Of which it is a share.

    Returns
    -------
    pair of float or None
        None where it is undefined, or too few patients have several images.
    """
    share = float(values[0])
    if np.isnan(share):
        return None
    if images == patients or share in (0, 1):
        return exact(share, patients)
    return interval(values[1:]) if patients >= LEAST_PATIENTS else None


def change_interval(values: Floats, gained: int, lost: int, images: int, patients: int) -> Interval | None:
    """95 % interval of a share's change on the same images by the same rule; arguments as there and in `paired`."""
    if np.isnan(values[0]):
        return None
    if images == patients:
        return paired(gained, lost, images)
    found = interval(values[1:]) if patients >= LEAST_PATIENTS else None
    return steady_change(float(values[0]), patients) if found and found[0] == found[1] else found


def steady_share(share: float, patients: int) -> Interval:
    """`exact` for a share that is none or all in every resample; one between (the AUC of equal scores) stays."""
    return exact(share, patients) if share in (0, 1) else (share, share)


def steady_change(difference: float, patients: int) -> Interval:
    """`paired` for a change that is the same in every resample: of all patients, or of none."""
    return paired(max(difference, 0) * patients, max(-difference, 0) * patients, patients)


def _around(middle: float, variance: float) -> Interval:
    half = Z * float(np.sqrt(variance))
    return max(-1.0, middle - half), min(1.0, middle + half)
