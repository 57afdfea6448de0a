"""From points of an increasing map to a curve that can be printed: steps where they follow it, else straight lines."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from isotone.curves.stages import Affine, Knots
from isotone.curves.tone_curve import ToneCurve
from isotone.estimation.settings import ScannerSettings
from isotone.estimation.transport import free_curve

Floats = NDArray[np.float64]

STRAY = 1.0
"""Grey levels of 255 (root mean square) that steps may be off the points; beyond it the curve is free. Raised, bends of
a response are smoothed away. Chosen with `benchmarks/responses.py`."""
AFFINE_FROM = 0.75
"""Grey levels of 255 that steps are off the points, from which on an affine stage is tried. Chosen here."""
AFFINE_GAIN = 0.7
"""An affine stage is kept where it leaves at most this share of that distance. Raised, more curves may clip."""


def projected(x: Floats, y: Floats, settings: ScannerSettings) -> tuple[ToneCurve, float]:
    """The steps nearest to the points, with an affine stage where they cannot do without; else the free curve.

    Parameters
    ----------
    x, y : float64 arrays of shape (n,)
        Grey levels of the source and of the reference in [0, 1], increasing.
    settings : ScannerSettings

    Returns
    -------
    ToneCurve
    float
        How far steps are off the points, in levels of 255 (root mean square), whether they are kept or not; 0 where
        the settings ask for a free curve.
    """
    if settings.free:
        return free_curve(x, y), 0.0

    def off(curve: ToneCurve) -> float:
        return 255 * float(np.sqrt(np.mean((curve(x) - y) ** 2)))

    steps = ToneCurve.fit(x, y, num_iterations=settings.num_iterations)
    if off(steps) > AFFINE_FROM:
        affine = ToneCurve.fit(x, y, num_iterations=settings.num_iterations, affine=True)
        steps = affine if off(affine) < AFFINE_GAIN * off(steps) else steps
    return steps if off(steps) <= STRAY else free_curve(x, y), off(steps)


def is_free(curve: ToneCurve) -> bool:
    """Whether it is no chain of steps."""
    return any(isinstance(stage, Knots) for stage in curve.stages)


def clipped_share(curve: ToneCurve, levels: Floats) -> float:
    """Share of grey levels that an affine stage maps outside [0, 1]."""
    if not any(isinstance(stage, Affine) for stage in curve.stages):
        return 0.0
    low, high = curve.unclipped()
    return float(np.mean((levels < low) | (levels > high)))
