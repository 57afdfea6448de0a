"""A scanner's curve from measured pairs of grey levels: a step wedge or a QC phantom imaged on both scanners."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from isotone.curves.tone_curve import ToneCurve
from isotone.errors import IsotoneError
from isotone.estimation.projection import projected
from isotone.estimation.settings import ScannerSettings

FEWEST = 4
"""Pairs that a curve needs: with three, a bend in the middle is not told from one at an end. Chosen here."""
FALL = 0.02
"""How much the reference's grey level may fall where the source's rises, as noise of a region's mean does. Raised,
wedges whose steps were mixed up pass. Chosen here."""


def curve_of_points(
    source: ArrayLike, reference: ArrayLike, settings: ScannerSettings = ScannerSettings()
) -> tuple[ToneCurve, str]:
    """The curve of a scanner from grey levels that the same object has on it and on the reference.

    The curve has steps where they follow the pairs, else straight lines (`isotone.estimation.projection`).

    Parameters
    ----------
    source, reference : array_like of shape (n,)
        Mean grey levels of one region on either scanner, 0 black to 1 white at full range (stored value /
        (2^BitsStored − 1), for MONOCHROME1 one minus that), in any order.
    settings : ScannerSettings

    Returns
    -------
    ToneCurve
        Source → reference.
    str
        A sentence: how far it is off the pairs, and which grey levels they cover.

    Raises
    ------
    IsotoneError
        E_DATA: a number is no grey level in [0, 1], there are fewer than four pairs, or no increasing curve goes
        through them.

    Examples
    --------
    >>> curve, said = curve_of_points([0.1, 0.3, 0.5, 0.7, 0.9], [0.01, 0.09, 0.25, 0.49, 0.81])
    >>> round(curve(0.6), 2)
    0.36
    >>> said[-85:]
    "They cover 0.10 to 0.90 of the source's range; beyond them the curve is extrapolated."
    """
    levels = np.array([source, reference], np.float64)
    outside = levels[~((levels >= 0) & (levels <= 1))]  # NaN fails too
    if outside.size:
        step = "Divide stored values by 2^BitsStored - 1."
        raise IsotoneError("E_DATA", f"{outside[0]:g} is no grey level in [0, 1]", next_step=step)
    if levels.shape[1] < FEWEST:
        what = f"{levels.shape[1]} pairs of grey levels are too few for a curve"
        raise IsotoneError("E_DATA", what, next_step=f"Give at least {FEWEST}, over the whole range.")
    x, y = levels[:, np.lexsort(levels[::-1])]
    rising = np.maximum.accumulate(y)
    if x[0] == x[-1] or float(np.max(rising - y)) > FALL:
        what = "no increasing curve goes through the pairs: the reference's grey level falls where the source's rises"
        raise IsotoneError("E_DATA", what, next_step="Invert MONOCHROME1, and check which steps belong together.")
    curve, _ = projected(x, rising, settings)
    off = 255 * float(np.sqrt(np.mean((curve(x) - y) ** 2)))
    return curve, (
        f"The curve is off the {len(x)} pairs by {off:.1f} of 255 grey levels (root mean square). They cover "
        f"{x[0]:.2f} to {x[-1]:.2f} of the source's range; beyond them the curve is extrapolated."
    )
